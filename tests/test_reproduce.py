"""`make reproduce`, end to end on the tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest

from edu_align import reproduce as module
from edu_align.reproduce import reproduce
from edu_align.utils.errors import UserError
from tests.conftest import TINY


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    return [*TINY, f"outputs_root={tmp_path}"]


def test_both_stages_and_the_report(words: list[str], tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    kept = tmp_path / "kept.json"
    monkeypatch.setattr(module, "kept_results", lambda experiment: kept)
    assert not reproduce(words)  # nothing is kept yet
    report = tmp_path / "reports" / "reproduce"
    results = json.loads((report / "results.json").read_text())
    speeds = [
        results.pop(name) for name in ("suite_seconds", "generation_tokens_per_second", "scoring_replies_per_second")
    ]
    assert speeds[0] > 0
    assert speeds[1] is None  # neither metric asks for replies
    assert speeds[2] > 0
    assert list(results) == ["base", "SFT", "DPO"]
    printed = capsys.readouterr().out
    entry = results["DPO"]["pair_accuracy_implicit"]
    (row,) = (line for line in printed.splitlines() if line.startswith("pair_accuracy_implicit "))
    assert f"{entry['value']:.3f} [" in row
    assert "chance 0.500" in row
    assert f"edu_align: report {report / 'report.html'}, with report.md; " in printed
    assert "No kept results at" in printed
    for name in ("report.md", "report.html"):
        page = (report / name).read_text()
        assert "pair_accuracy_edu_tutor" in page.replace("<wbr>", "")
        assert "Sample 1" in page
    assert (report / "report.html").read_text().count("<svg") >= 4
    assert {r["settings"]["groups"] for r in results.values()} == {4}
    runs = sorted(p.name for p in (tmp_path / "runs").iterdir())
    assert [name.split("-")[0] for name in runs] == ["dpo", "sft"]
    value = results["DPO"]["pair_accuracy_implicit"]["value"]
    kept.write_text(json.dumps({"DPO/pair_accuracy_implicit": {"value": value, "tolerance": 0.0}}))
    assert reproduce(words)  # the same words on the same machine give the same number
    assert "agree with the 1 kept" in capsys.readouterr().out
    assert json.loads((report / "results.json").read_text())["suite_seconds"] is None  # all was found again
    (evaluation,) = (tmp_path / "runs").glob("dpo-*/evaluation.json")
    evaluation.write_text(json.dumps({k: v for k, v in json.loads(evaluation.read_text()).items() if k != "base"}))
    with pytest.raises(UserError, match=r"evaluation\.json has no part `base`: an earlier edu_align wrote it"):
        reproduce([*words, "accept_changed=true"])


def test_a_mistake_shows_before_anything_is_paid_for(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`trainer\.learning_rate` must be > 0"):
        reproduce([*words, "trainer.learning_rate=-1"])
    assert not (tmp_path / "runs").exists()
