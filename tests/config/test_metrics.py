"""`objective` is checked before job 0, against the names that runs keep their numbers under."""

from pathlib import Path

import pytest
import yaml

from edu_align.config.comments import conf_dir
from edu_align.config.metrics import RUN_METRICS, check_objective
from edu_align.utils.errors import UserError
from tests.config.conftest import Here


@pytest.mark.cases("C8")
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("train/los", "train/loss"),
        ("loss", "eval/loss"),
        ("eval/pair_acuracy_logp", "eval/pair_accuracy_logp"),
        ("pair_accuracy_implicit", "eval/pair_accuracy_implicit"),
    ],
)
def test_a_name_that_no_run_measures_is_said_before_job_0(here: Here, name: str, meant: str) -> None:
    code, _, err = here("-m", "seed=1,2", f"objective={name}")
    assert code == 2
    assert err == f"edu_align: error: `objective={name}` is no metric of a run. Did you mean objective={meant}?\n"


def test_the_presets_name_metrics() -> None:
    files = [conf_dir() / "config.yaml", *(conf_dir() / "sweep").glob("*.yaml")]
    found = [yaml.safe_load(Path(file).read_text(encoding="utf-8")).get("objective") for file in files]
    for name in filter(None, found):
        check_objective(name)
    with pytest.raises(UserError, match=r"`objective=zzz` is no metric of a run. Metrics: train/loss, train/steps"):
        check_objective("zzz")
    assert len(RUN_METRICS) == len(set(RUN_METRICS))
