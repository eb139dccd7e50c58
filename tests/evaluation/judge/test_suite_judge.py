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


def test_a_judge_on_this_machine_is_asked_by_the_engine(
    runs: Callable[[str], Any], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edu_align.evaluation.suite.subject import LoadedSubject

    run = str(runs("sft").path)
    asked = QUICK | {"evaluation.judge": "local"}
    with pytest.raises(UserError, match=r"`model=m` is not an option"):
        evaluate(run, asked, tmp_path)
    asked |= {"evaluation.judge_model": "tiny", "evaluation.judge_pairs": "2", "evaluation.judge_max_tokens": "64"}
    with pytest.raises(UserError, match="tiny gave no well-formed answer to 2 pairs"):  # random weights write no form
        evaluate(run, asked, tmp_path)
    assert "measuring" not in capsys.readouterr().out

    def prefers_first(self: LoadedSubject, prompts: Any, max_new_tokens: int) -> list[str]:
        labels = {"mistake_identification": "Yes", "mistake_location": "No", "providing_guidance": "Yes"}
        labels |= {"actionability": "No", "revealing_answer": "No"}
        return [json.dumps({"A": labels, "B": labels, "better": "A"}) for _ in prompts]

    monkeypatch.setattr(LoadedSubject, "replies", prefers_first)
    rows = evaluate(run, asked | {"evaluation.metrics": "[]"}, tmp_path)
    by_name = {row["name"]: row for row in rows}
    assert by_name["preferred/base"]["value"] == 0.5  # the order decided everywhere
