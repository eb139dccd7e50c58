"""llama.cpp's llama-quantize: a foreign program that rounds a GGUF of whole numbers to blocks of few bits."""

import re
import shutil
import subprocess
from pathlib import Path

from edu_align.utils.errors import UserError
from edu_align.utils.parent import die_with_parent

PROGRAM = "llama-quantize"
# Seconds that it may take, and those for each GB of the file. One of 0.54 GB took 1 to 5 s on two busy cores.
PATIENCE, A_GB = 120.0, 300.0
WHOLE = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}  # the format that loses nothing of a dtype


def find_quantizer(given: str) -> Path:
    """The program that `export.quantizer` names, or that lies in the folder it names. Errors: none that can be run."""
    path = Path(given).expanduser()
    program = path / PROGRAM if path.is_dir() else path
    found = shutil.which(str(program))  # a bare name is looked up in PATH
    if found is not None:
        return Path(found).resolve()
    problem = f"{program} cannot be executed (chmod +x)" if program.is_file() else f"there is no program {program}"
    raise UserError(f"`export.quantizer={given}`: {problem}. Give llama.cpp's {PROGRAM}, or its folder.")


def quantize(program: Path, whole: Path, file: Path, kind: str) -> None:
    """Write `file`, the GGUF `whole` rounded to `kind`. Errors: it fails, takes too long or writes nothing."""
    command = [str(program), str(whole), str(file), kind.upper()]
    patience = PATIENCE + A_GB * whole.stat().st_size / 1e9
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=patience,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UserError(
            f"`export.quantizer`: {program.name} was not done after {patience:.0f} s and was ended. Is it {PROGRAM}? "
            "Or write export.gguf=q4_0 without it."
        ) from None
    except OSError as error:  # another machine's program, or no program at all
        raise UserError(f"`export.quantizer`: {program} cannot be run ({error.strerror}). Give {PROGRAM}.") from None
    if done.returncode or not file.is_file():
        raise UserError(
            f"`export.quantizer`: {program.name} ended with code {done.returncode} and wrote no {kind}: "
            f"{_last_words(done.stdout + done.stderr)}. Give a {PROGRAM} that knows this type and model, or write "
            "export.gguf=q4_0 without it."
        )


def _last_words(output: str) -> str:
    """The reason that llama-quantize gives in the middle of its log, else the last line that names an error."""
    if reasons := re.findall(r"failed to quantize: (.+)", output):
        return str(reasons[-1])[:300].rstrip(".")
    lines = [line.strip() for line in output.split("\n") if line.strip()] or ["it said nothing"]
    told = [line for line in lines if re.search("error|failed|invalid", line, re.IGNORECASE)]
    return (told or lines)[-1][:300].rstrip(".")
