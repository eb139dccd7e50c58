import json

import pytest

from edu_align.recipes.kept_results import check_kept
from edu_align.utils.errors import UserError

RESULTS = {
    "DPO": {"pair_accuracy_logp": {"value": 0.62, "low": 0.6, "high": 0.64}, "train/loss": 0.5},
    "broken": float("nan"),
}


def keep(tmp_path, content):
    path = tmp_path / "kept.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def near(kept):
    """`near({"a": (0.5, 0.1)})`: 0.5 within 0.1 was kept for a."""
    return {name: {"value": value, "tolerance": tolerance} for name, (value, tolerance) in kept.items()}


def test_results_that_agree(tmp_path):
    numbers = {"DPO/pair_accuracy_logp": (0.61, 0.02), "DPO/pair_accuracy_logp/low": (0.6, 0)}
    kept = keep(tmp_path, near({**numbers, "DPO/train/loss": (0.5, 0.01)}))
    assert check_kept(kept, RESULTS) == (True, ["The results agree with the 3 kept in kept.json."])


def test_how_fast_they_were_measured_is_not_compared(tmp_path):
    kept = keep(
        tmp_path, near({"DPO/train/loss": (0.5, 0.01)}) | {"suite_seconds": 12.5, "scoring_replies_per_second": None}
    )
    assert check_kept(kept, RESULTS) == (True, ["The results agree with the 1 kept in kept.json."])


def test_results_that_do_not_are_named(tmp_path):
    losses = {"DPO/train/loss": (0.5, 0.01), "SFT/train/loss": (0.5, 0.01)}
    kept = keep(tmp_path, near({"DPO/pair_accuracy_logp": (0.7, 0.02), **losses, "broken": (0.5, 10)}))
    agrees, lines = check_kept(kept, RESULTS)
    assert not agrees
    assert "3 of 4 differ: DPO/pair_accuracy_logp, SFT/train/loss, broken." in lines[0]
    assert lines[1] == "DPO/pair_accuracy_logp: kept 0.7 within 0.02, got 0.62."
    assert "not among the results" in lines[2]
    assert "got nan" in lines[3]


def test_missing_file_is_said_plainly(tmp_path):
    agrees, lines = check_kept(tmp_path / "none.json", RESULTS)
    assert not agrees
    assert "No kept results at" in lines[0]


@pytest.mark.parametrize(
    "content", ["{", [], {}, {"a": 1}, {"a": {"value": 1}}, {"a": {"value": 1, "tolerance": -1}}, {"a": {"value": "1"}}]
)
def test_malformed_file_is_an_error(tmp_path, content):
    with pytest.raises(UserError, match=r"kept\.json"):
        check_kept(keep(tmp_path, content), RESULTS)
