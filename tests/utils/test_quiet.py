"""What libraries say to every user stays out of the log."""

import subprocess
import sys


def test_importing_the_libraries_says_nothing() -> None:
    words = "from edu_align.utils.output import quiet; quiet(); import bitsandbytes, datasets, peft, trl"
    run = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert run.stdout + run.stderr == ""


def test_warnings_of_this_run_stay() -> None:
    words = (
        "import logging, warnings; from edu_align.utils.output import quiet; quiet(); warnings.warn('odd data'); "
        "warnings.warn('old name', FutureWarning); logging.getLogger('bitsandbytes').error('broken')"
    )
    run = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert "odd data" in run.stderr
    assert "broken" in run.stderr
    assert "old name" not in run.stderr
