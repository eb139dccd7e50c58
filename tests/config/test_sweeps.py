"""Several values for a key: only with -m, and every value checked."""

from collections.abc import Callable
from pathlib import Path

import pytest

Problems = Callable[..., list[str]]


@pytest.mark.parametrize("value", ["0.1,0.3", "choice(0.1,0.3)", "range(0.1,0.5,0.2)", "interval(0.1,0.5)"])
def test_a_sweep_needs_multirun(problems: Problems, value: str) -> None:
    (found,) = problems("trainer=dpo", f"trainer.beta={value}")
    assert found.startswith(f"`trainer.beta={value}` gives several values. Add -m to run each of them")
    assert problems("trainer=dpo", f"trainer.beta={value}", multirun=True) == []


def test_every_swept_value_is_checked(problems: Problems) -> None:
    found = problems("trainer=dpo", "trainer.beta=0.1,-0.3,x", "seed=range(-1,1)", multirun=True)
    assert [text.split(". ")[0] for text in found] == [
        "`trainer.beta` must be a number, got 'x'",
        "`seed` must be >= 0 and < 4294967296, got -1",
        "`trainer.beta` must be > 0, got -0.3",
    ]


def test_every_swept_option_is_checked(problems: Problems) -> None:
    (found,) = problems("trainer=sft,dpo", "trainer.beta=0.1", multirun=True)
    assert found.startswith("`trainer.beta` belongs to trainer=dpo, and this config has trainer=sft.")
    (found,) = problems("model=tiny,zefyr", multirun=True)
    assert found.startswith("`model=zefyr` is not an option. Did you mean `model=zephyr`?")
    (found,) = problems("trainer=sft,dpo", "dataset=edu_tutor,mathdial", multirun=True)
    assert found.startswith("trainer=dpo needs preferences, and mathdial")


def test_rules_across_two_swept_keys(problems: Problems) -> None:
    swept = ["trainer=dpo", "trainer.loss_type=sigmoid,exo_pair", "trainer.label_smoothing=0.1,0.0"]
    (found,) = problems(*swept, multirun=True)
    assert found.startswith("`trainer.loss_type` exo_pair needs")


def test_hydra_mode_asks_for_a_sweep_too(problems: Problems) -> None:
    assert problems("hydra.mode=MULTIRUN", "seed=1,2") == []


def test_the_sweep_of_a_file_is_checked(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    text = "# @package hydra\nmode: MULTIRUN\nsweeper:\n  params:\n    trainer.bata: 0.1,0.3\n    seed: a,1\n"
    (tmp_path / "sweep" / "betas.yaml").write_text(text, encoding="utf-8")
    found = problems("trainer=dpo", "+sweep=betas", folder=tmp_path)
    assert found == [
        "`trainer.bata` is not a key. Did you mean `trainer.beta`?",
        "`seed` must be a whole number, got 'a'. Write digits, such as 10.",
    ]
