"""llama.cpp's own converter, where the user has it."""

import subprocess
import sys
from pathlib import Path

from edu_align.errors import UserError

SCRIPT = "convert_hf_to_gguf.py"


def find_converter(given: str) -> Path:
    """The script that `export.converter` names, or that lies in the folder it names. Errors: there is none."""
    path = Path(given).expanduser()
    script = path / SCRIPT if path.is_dir() else path
    if not script.is_file():
        raise UserError(f"`export.converter={given}`: {script} is no file. Give llama.cpp's {SCRIPT}, or its folder.")
    return script.resolve()


def convert(script: Path, folder: Path, file: Path, kind: str, label: str) -> None:
    """Run it on the merged model in `folder`, with this Python, to write `file`. Errors: it fails; its last words."""
    command = [sys.executable, str(script), str(folder), "--outfile", str(file), "--outtype", kind]
    command += ["--model-name", label]  # else it takes the folder's name, which is a passing one
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not file.is_file():
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise UserError(
            f"`export.converter`: {script.name} ended with code {done.returncode}: {said[-1][:300]}. Install what it "
            "asks for, or drop export.converter to write the GGUF here."
        )
