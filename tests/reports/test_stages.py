"""evaluation.json of a run as one table over the stages of its training."""

import json
from pathlib import Path

import pytest

from edu_align.evaluation.preference import ScoredGroup, evaluate_preferences
from edu_align.reports.stages import Stage, read_evaluation, results_table
from edu_align.utils.errors import UserError
from edu_align.utils.tables import markdown, text
from tests.evaluation.test_preference import many


def test_a_row_a_metric_with_intervals_counts_and_baselines() -> None:
    before, after = many(0.0), many(0.9)
    after = [ScoredGroup(item.group, item.logp, item.tokens, old.logp) for item, old in zip(after, before, strict=True)]
    found = [evaluate_preferences(items, 2.0, seed=0, samples=100) for items in (before, after)]
    rows = {name: rest for name, *rest in results_table([Stage("base", found[0]), Stage("DPO", found[1])])}
    assert rows["metric"] == ["base", "DPO", "n (groups)", "baselines on the same items"]
    entry = found[1]["pair_accuracy_logp"]
    _, *shown, rules = rows["pair_accuracy_logp"]
    interval = f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"
    assert shown == [interval, f"{entry['n']} (120)"]
    assert "chance 0.500" in rules
    assert rows["pair_accuracy_implicit"][0] == "-"


def test_other_items_one_group_and_no_family() -> None:
    two, three = (evaluate_preferences(many(0.5), margin, seed=0, samples=50) for margin in (2.0, 3.0))
    counts = {row[0]: row[3] for row in results_table([Stage("base", two), Stage("SFT", three)])}
    assert counts["pair_accuracy_logp"].endswith(f" / {three['pair_accuracy_logp']['n']} (120)")
    one = evaluate_preferences(many(0.5, groups=1), 2.0, seed=0, samples=50)
    assert "[no interval: 1 group]" in results_table([Stage("base", one)])[1][1]
    entry = {"value": 2.5, "low": 2.4, "high": 2.6, "n": 300, "clusters": 40}
    alone = results_table([Stage("SFT", {"human_turn_nll": entry})])[1]
    assert alone == ["human_turn_nll", "2.500 [2.400, 2.600]", "300 (40)", "-"]


def test_no_cell_breaks_a_table() -> None:
    rows = [["a", "b"], ["x | y", "<i>\n& z"]]
    assert markdown(rows) == ["| a | b |", "| --- | --- |", "| x \\| y | &lt;i&gt; &amp; z |"]
    assert text([["a", "b"], ["long", "c"]]) == ["a     b", "long  c"]


@pytest.mark.parametrize(
    ("content", "said"), [(None, r"no evaluation\.json"), ('{"a": 1', "is not JSON"), ("[]", "must be a JSON object")]
)
def test_an_evaluation_that_cannot_be_read_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(UserError, match=said):
        read_evaluation(tmp_path)
    (tmp_path / "evaluation.json").write_text(json.dumps({"base": {"settings": {}}}))
    assert read_evaluation(tmp_path) == {"base": {"settings": {}}}
