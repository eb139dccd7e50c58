"""llama.cpp's two programs, which are not ours: the script that writes a GGUF of a folder, and llama-quantize."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from edu_align.utils.errors import UserError
from edu_align.utils.parent import die_with_parent

CONVERTER, QUANTIZER = "convert_hf_to_gguf.py", "llama-quantize"
# Seconds that llama-quantize may take, and those for each GB of the file. One of 0.54 GB took 1 to 5 s on two cores.
PATIENCE, A_GB = 120.0, 300.0
WHOLE = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}  # the format that loses nothing of a dtype


def find_converter(given: str) -> Path:
    """The script that `export.converter` names, or that lies in the folder it names. Errors: there is none."""
    script = _in_folder(given, CONVERTER)
    if not script.is_file():
        raise UserError(
            f"`export.converter={given}`: {script} is no file. Give llama.cpp's {CONVERTER}, or its folder."
        )
    return script.resolve()


def find_quantizer(given: str) -> Path:
    """The program that `export.quantizer` names, or that lies in the folder it names. Errors: none that can be run."""
    program = _in_folder(given, QUANTIZER)
    found = shutil.which(str(program))  # a bare name is looked up in PATH
    if found is not None:
        return Path(found).resolve()
    problem = f"{program} cannot be executed (chmod +x)" if program.is_file() else f"there is no program {program}"
    raise UserError(f"`export.quantizer={given}`: {problem}. Give llama.cpp's {QUANTIZER}, or its folder.")


def _in_folder(given: str, name: str) -> Path:
    path = Path(given).expanduser()
    return path / name if path.is_dir() else path


def convert(script: Path, folder: Path, file: Path, kind: str, label: str) -> None:
    """Run it on the merged model in `folder`, with this Python, to write `file`. Errors: it fails; its last words."""
    command = [sys.executable, str(script), str(folder), "--outfile", str(file), "--outtype", kind]
    command += ["--model-name", label]  # else it takes the folder's name, which is a passing one
    way_out = "Install what it asks for, or drop export.converter to write the GGUF here."
    _write("`export.converter`", script, command, file, kind, way_out)


def quantize(program: Path, whole: Path, file: Path, kind: str) -> None:
    """Write `file`, the GGUF `whole` rounded to `kind`. Errors: it fails, takes too long or writes nothing."""
    command = [str(program), str(whole), str(file), kind.upper()]
    way_out = f"Give a {QUANTIZER} that knows this type and model, or write export.gguf=q4_0 without it."
    patience = PATIENCE + A_GB * whole.stat().st_size / 1e9
    _write("`export.quantizer`", program, command, file, kind, way_out, patience)


def _write(
    key: str, program: Path, command: list[str], file: Path, kind: str, way_out: str, patience: float | None = None
) -> None:
    """Run the command, which is to write `file` within `patience` seconds."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=patience,
            stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{key}: {program.name} was not done after {patience:.0f} s and was ended. Is it the right one? {way_out}"
        ) from None
    except OSError as error:  # another machine's program, or no program at all
        raise UserError(f"{key}: {program} cannot be run ({error.strerror}). {way_out}") from None
    if done.returncode or not file.is_file():
        raise UserError(
            f"{key}: {program.name} ended with code {done.returncode} and wrote no {kind}: "
            f"{_last_words(done.stdout + done.stderr)}. {way_out}"
        )


def _last_words(output: str) -> str:
    """The reason that llama-quantize gives in the middle of its log, else the last line that names an error."""
    if reasons := re.findall(r"failed to quantize: (.+)", output):
        return str(reasons[-1])[:300].rstrip(".")
    lines = [line.strip() for line in output.split("\n") if line.strip()] or ["it said nothing"]
    told = [line for line in lines if re.search("error|failed|invalid", line, re.IGNORECASE)]
    return (told or lines)[-1][:300].rstrip(".")
