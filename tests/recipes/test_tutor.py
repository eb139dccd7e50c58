"""The tutor recipe under two seeds, on sample rows and the tiny model: trained, measured, one table, kept numbers."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align.recipes.tutor import SEEDS, repeat, seeds_in
from edu_align.utils.errors import UserError
from tests.conftest import TINY

SAMPLES = Path(__file__).parents[2] / "experiments" / "tutor_recipe" / "samples"


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    few = ["evaluation.max_groups=2", "dataset.max_train_records=4", "trainer.max_steps=1"]
    metrics = "evaluation.metrics=[pair_accuracy,selection_score,leak,form]"
    tiny = [word for word in TINY if not word.startswith(("dataset=", "dataset.size=", "trainer.max_steps="))]
    return [*tiny, *few, metrics, f"outputs_root={tmp_path}", f"data_root={SAMPLES}"]


@pytest.mark.slow
def test_two_seeds_one_table(words: list[str], tmp_path: Path, capsys: Any) -> None:
    kept = tmp_path / "kept.json"
    assert not repeat([*words, "seeds=1,2"], kept)  # nothing is kept yet
    printed = capsys.readouterr().out
    numbers = json.loads((tmp_path / "reports" / "tutor" / "results.json").read_text())
    speeds = {name for name in numbers if "/" not in name}
    assert speeds == {"suite_seconds", "generation_tokens_per_second", "scoring_replies_per_second"}
    assert all(numbers[name] > 0 for name in speeds)
    assert {name.split("/")[0] for name in numbers.keys() - speeds} == {"base", "SFT", "DPO"}
    assert all(entry["tolerance"] > 0 for name, entry in numbers.items() if name not in speeds)
    assert (tmp_path / "reports" / "tutor" / "report.html").stat().st_size > 0
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "runs").iterdir()) == ["dpo", "dpo", "sft", "sft"]
    (line,) = (line for line in printed.splitlines() if line.startswith("pair_accuracy/implicit ") and " DPO " in line)
    mean = numbers["DPO/pair_accuracy/implicit"]["value"]
    assert f" {mean:.3f} [" in line
    others = {"DPO/pair_accuracy/implicit": {"value": mean + 0.2, "tolerance": 0.1}}
    kept.write_text(json.dumps(numbers | others))
    assert not repeat([*words, "seeds=1,2"], kept)  # every run is found again
    printed = capsys.readouterr().out
    assert "training:" not in printed
    assert "do NOT agree" in printed


def test_which_seeds() -> None:
    assert seeds_in(["model=tiny"]) == (SEEDS, ["model=tiny"])
    assert seeds_in(["seeds=[7, 8]", "model=tiny"]) == ((7, 8), ["model=tiny"])
    for wrong in ("seeds=", "seeds=1,1", "seeds=a", "seeds=-1"):
        with pytest.raises(UserError, match="`seeds` must be different whole numbers >= 0, got"):
            seeds_in([wrong])
    with pytest.raises(UserError, match="Give seeds=42 for one"):
        seeds_in(["seed=1"])
