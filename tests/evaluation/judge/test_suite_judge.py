"""`evaluate` asks the judge: about people's labels before anything is measured, then about what the models wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluate import evaluate, evaluate_model
from edu_align.utils.errors import UserError
from tests.evaluation.judge.conftest import Serve
from tests.evaluation.judge.server import Reply, prefers_questions

SAMPLES = Path(__file__).parents[3] / "experiments" / "tutor_recipe" / "samples"
QUICK = {
    "data_root": str(SAMPLES), "evaluation.metrics": "[pair_accuracy]", "evaluation.max_new_tokens": "8",
    "evaluation.judge_model": "m", "evaluation.bootstrap_samples": "100",
}  # fmt: skip


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)


def test_people_first_then_the_replies(runs: Callable[[str], Any], tmp_path: Path, capsys: Any, serve: Serve) -> None:
    observed, server = runs("sft"), serve(prefers_questions)
    rows = evaluate(str(observed.path), QUICK | {"evaluation.judge": server.url}, tmp_path)
    asked = len(server.bodies)
    again = evaluate(str(observed.path), QUICK | {"evaluation.judge": server.url}, tmp_path)
    assert [{**row, "notes": []} for row in again] == [{**row, "notes": []} for row in rows]
    assert len(server.bodies) == asked  # everything came from the cache
    printed = capsys.readouterr().out
    assert printed.index("agreement/pairs: ") < printed.index("measuring base: pair_accuracy")
    assert printed.index("measuring SFT: pair_accuracy") < printed.index("preferred/base: ")
    by_name = {row["name"]: row for row in rows}
    assert by_name["agreement/pairs"]["n"] > by_name["preferred/base"]["n"] == 4
    assert {"chance", "longer"} <= by_name["preferred/base"]["baselines"].keys()
    kept = json.loads((observed.path / "evaluation" / "judge-test.json").read_text())
    assert kept["model"] == "m"
    assert len(kept["judge"]["measured"]["preferred/base"]["items"]) == 4


def test_what_the_judge_cannot_do_is_said_before_anything_is_measured(
    runs: Callable[[str], Any], tmp_path: Path, capsys: Any, serve: Serve
) -> None:
    asked = QUICK | {"evaluation.judge": serve(lambda *_: Reply("no such model", status=404)).url}
    run = str(runs("sft").path)
    with pytest.raises(UserError, match="no such model"):
        evaluate(run, asked, tmp_path)
    with pytest.raises(UserError, match=r"MRBench first .*data_root"):
        evaluate(run, asked | {"data_root": str(tmp_path)}, tmp_path)
    with pytest.raises(UserError, match="got base alone"):
        evaluate_model({"model": "tiny", "outputs_root": str(tmp_path)} | asked)
    assert "measuring" not in capsys.readouterr().out
