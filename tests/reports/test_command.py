"""`python -m edu_align.report`: its words, its errors, and what it leaves out to be quick."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.arguments import run_names
from edu_align.report import parse
from edu_align.reports.sweep.reading import runs_as_sweep
from edu_align.runs.folder import find_stored
from tests.reports.comparison_builders import store, three
from tests.reports.sweep_builders import METRIC, grid_sweep, job_file, run_folder


def test_a_sweep_is_found_by_name_and_by_folder(tmp_path: Path, say: Any) -> None:
    folder = grid_sweep(tmp_path)
    job_file(folder, 6, {"trainer.beta": 0.9}, "failed", error="x")
    by_name = say("sweep=grid")
    assert by_name == say(f"sweep={folder}")
    assert "edu_align: grid: finished, 7 jobs: 6 finished, 1 failed" in by_name
    assert f"best by {METRIC} (maximize): job" in by_name
    assert f"python -m edu_align.chat run={tmp_path}/runs/grid-" in by_name
    assert f"edu_align: report {folder}/report.html" in by_name
    assert (folder / "report.html").is_file()


def test_runs_are_compared_by_what_their_configs_differ_in(tmp_path: Path, say: Any) -> None:
    for number, beta in enumerate((0.1, 0.3)):
        values = {"trainer.beta": beta, "seed": 42, "run_name": str(number)}
        run_folder(tmp_path, f"alone-{number}", values, 0.5 + beta, number)
    out = say(f"runs=[alone-0,{tmp_path}/runs/alone-1]", f"objective={METRIC}")
    (written,) = (tmp_path / "reports").iterdir()
    assert f"report {written}/report.html" in out
    text = (written / "report.md").read_text(encoding="utf-8")
    assert "| trainer.beta |" in text
    assert "job 2, trainer.beta=0.3" in text
    assert f"python -m edu_align.chat run={tmp_path}/runs/alone-1" in text
    assert not re.search(r"run_name|edu_align\.train", text)
    by_id = say(f"runs={0:012x},alone-1", f"objective={METRIC}", f"output={tmp_path}/here")
    assert f"report {tmp_path}/here/report.html" in by_id


def test_another_objective_and_direction(tmp_path: Path, say: Any) -> None:
    grid_sweep(tmp_path)
    assert "best by train/loss (minimize)" in say("sweep=grid", "objective=train/loss")
    assert f"best by {METRIC} (minimize)" in say("sweep=grid", "direction=minimize")


def test_several_objectives(tmp_path: Path, say: Any) -> None:
    grid_sweep(tmp_path, grid={"trainer.beta": [0.05, 0.3]})
    out = say("sweep=grid", f"pareto=[{METRIC},train/loss]")
    assert f"job  setting    {METRIC} (higher is better)" in out
    assert "## Several objectives" in (tmp_path / "sweeps" / "grid" / "report.md").read_text(encoding="utf-8")
    assert "on the front" in say("runs=[grid-0,grid-1]", f"pareto=[{METRIC},train/loss]")


def test_without_a_sweep_all_runs_are_listed(tmp_path: Path, say: Any) -> None:
    assert f"there is no run under {tmp_path}/runs" in say()
    for number in range(3):
        run_folder(tmp_path, f"run-{number}", {}, 0.5, number)
    out = say()
    assert out.splitlines()[0].split() == ["name", "id", "state", "started", "seconds", "metrics"]
    assert "run-0  000000000000  finished" in out
    assert "train/loss 0.5333" in out
    assert "... and 1 older runs; last=0 lists them" in say("last=2")
    assert len(say("last=0").splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweeps=x"], r"`sweeps` is not a key here\. Did you mean `sweep`\?"),
        (["mine"], r"got 'mine'\. Did you mean sweep=mine\?"),
        (["--web"], r"`--web` is no flag"),
        (["sweep="], r"`sweep=` is empty"),
        (["sweep=a", "sweep=b"], r"`sweep` is given twice"),
        (["sweep=a", "runs=[b]"], r"`sweep` and `runs` are both given"),
        (["objective=x"], r"`objective=x` needs a sweep or runs"),
        (["sweep=a", "last=3"], r"`last` belongs to the list"),
        (["last=few"], r"`last` must be a whole number, 0 for all runs, got 'few'"),
        (["sweep=a", "direction=maximise"], r"got 'maximise'\. Did you mean `maximize`\?"),
        (["runs=[a,a]"], r"names a twice"),
        (["sweep=grid", "split=test"], r"`split=test` belongs to what the suite measured"),
        (["runs=[a]", "split=tets"], r"`split` must be test \| validation, got 'tets'\. Did you mean `test`\?"),
        (["runs=[]"], r"names no run"),
        (["sweep=grid", "pareto=[x]"], r"`pareto=\[x\]` weighs two numbers or more, got \[x\]"),
        (["pareto=[a,b]"], r"`pareto=\[a,b\]` needs a sweep or runs"),
        (["sweep=grit"], r"`sweep=grit`: no sweep\.json.* Did you mean `grid`\? Newest sweeps there: grid"),
        (["sweep=grid", "objective=train/los"], r"`objective=train/los` is no metric of these runs"),
    ],
)
def test_what_is_wrong_is_said_once(tmp_path: Path, refused: Any, words: list[str], said: str) -> None:
    grid_sweep(tmp_path)
    assert re.search(said, refused(*words))


def test_names_in_a_list() -> None:
    assert run_names("[a, 'b',c]") == run_names("a,b,c") == ["a", "b", "c"]
    assert parse(["sweep=a=b"]) == {"sweep": "a=b"}


def test_a_run_without_a_config_is_compared_all_the_same(tmp_path: Path) -> None:
    for number, beta in enumerate((0.1, 0.3)):
        run_folder(tmp_path, f"r{number}", {"trainer.beta": beta}, 0.6, number)
    (run_folder(tmp_path, "bare", {}, 0.6, 3).path / "config.yaml").unlink()
    sweep = runs_as_sweep(find_stored("runs", ["r0", "r1", "bare"], tmp_path), tmp_path)
    assert sweep.keys == ["trainer.beta"]
    assert [job.values for job in sweep.jobs] == [{"trainer.beta": 0.1}, {"trainer.beta": 0.3}, {}]


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    """With all pictures drawn, in a process of its own; --help loads nothing at all."""
    grid_sweep(tmp_path)
    store(tmp_path, tmp_path / "runs" / "tutor-dpo", three(tmp_path))
    heavy = {"torch", "transformers", "trl", "datasets", "sklearn", "pandas", "matplotlib", "hydra", "wandb"}
    code = f"import sys; from edu_align.report import main; main(); print(sorted({heavy} & set(sys.modules)))"

    def loaded(*words: str) -> str:
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1]

    assert loaded("--help") == "[]"
    assert loaded(f"outputs_root={tmp_path}") == "[]"
    assert loaded("sweep=grid", f"outputs_root={tmp_path}") == "[]"
    assert loaded("runs=[tutor-dpo]", f"outputs_root={tmp_path}") == "[]"


def test_a_user_error_ends_with_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edu_align.report", "sweep=none", f"outputs_root={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("edu_align: error: `sweep=none`: no sweep.json")
    assert "Traceback" not in done.stderr
