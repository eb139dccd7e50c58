"""The Colab notebook: valid, short, nothing of one machine in it; slow: its CPU variant runs from top to bottom."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.load import compose, conf_dir

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "experiments" / "colab_t4.ipynb"
LONGEST = 16  # lines of a cell
MACHINE = re.compile(r"""["'\s=](/(?:home|root|work|content|tmp|usr|mnt)/|~/|[A-Z]:\\)""")
# Seconds with the random two-layer model; without these two the cells run as they stand.
QUICK = ["model=tiny", "tracking=off"]

nbformat = pytest.importorskip("nbformat")


@pytest.fixture
def notebook() -> Any:
    return nbformat.read(PLACE, as_version=4)


def parameters(notebook: Any) -> dict[str, Any]:
    """What the cell tagged `parameters` sets."""
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    values: dict[str, Any] = {}
    exec(cell.source, {}, values)
    return values


def test_it_is_a_valid_notebook_of_version_4_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    for cell in notebook.cells:
        assert len(cell.source.splitlines()) <= LONGEST, cell.source
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            compile(cell.source, "cell", "exec")


def test_nothing_of_one_machine_is_in_it() -> None:
    assert MACHINE.search(PLACE.read_text(encoding="utf-8")) is None


def test_its_recipe_is_an_experiment_for_a_t4_with_a_cpu_variant(
    notebook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    values = parameters(notebook)
    assert values["CPU"] is False
    assert compose([f"experiment={values['RECIPE']}", *values["EXTRA"]]).hardware.name == "t4"
    assert compose([f"experiment={values['RECIPE']}_cpu"]).hardware.name == "cpu"


def test_its_commands_are_modules_of_the_package(notebook: Any) -> None:
    commands = {name for cell in notebook.cells for name in re.findall(r'edu_align\("(\w+)"', cell.source)}
    assert {"plan", "train", "evaluate", "generate"} <= commands
    for name in commands:
        assert (conf_dir().parent / "edu_align" / f"{name}.py").is_file(), name


@pytest.mark.slow
def test_the_cpu_variant_runs_from_top_to_bottom(notebook: Any, tmp_path: Path) -> None:
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    after = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])) + 1
    chosen = f"CPU = True\nOUTPUTS = {str(tmp_path)!r}\nEXTRA = {QUICK!r}"
    notebook.cells.insert(after, nbformat.v4.new_code_cell(chosen))
    run = client.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(PLACE.parent)}}
    )
    run.execute()
    printed = {cell.source: "".join(out.get("text", "") for out in cell.outputs) for cell in codes(notebook)}
    everything = "\n".join(printed.values())
    assert "Traceback" not in everything
    assert ">>>" in next(text for source, text in printed.items() if '"preview=1"' in source)
    assert "edu_align: finished in" in everything
    (folder,) = (tmp_path / "runs").glob("notebook-*")
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["state"] == "finished"
    (answer,) = (folder / "answer.jsonl").read_text(encoding="utf-8").splitlines()
    assert "reply" in json.loads(answer)


def codes(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]
