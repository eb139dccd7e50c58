"""Several values for a key: only with -m, and every value checked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align.config.comments import conf_dir
from tests.config.test_conf_files import uncommented

Problems = Callable[..., list[str]]


@pytest.mark.parametrize("value", ["0.1,0.3", "choice(0.1,0.3)", "range(0.1,0.5,0.2)", "interval(0.1,0.5)"])
def test_a_sweep_needs_multirun(problems: Problems, value: str) -> None:
    (found,) = problems("trainer=dpo", f"trainer.beta={value}")
    assert found.startswith(f"`trainer.beta={value}` gives several values. Add -m to run each of them")
    assert problems("trainer=dpo", f"trainer.beta={value}", "sweep.sampler=random", multirun=True) == []


def test_of_a_thousand_wrong_options_the_first_eight_are_named(problems: Problems) -> None:
    found = problems("adapter=range(0,1000)", multirun=True)
    assert [text.split(" is ")[0] for text in found[:-1]] == [f"`adapter={n}`" for n in range(8)]
    assert found[-1].startswith("Further combinations of the swept options were not looked at")


def test_an_interval_needs_a_sampler_that_draws(problems: Problems) -> None:
    (found,) = problems("trainer=dpo", "trainer.beta=interval(0.1,0.5)", multirun=True)
    assert found.startswith("`trainer.beta=interval(0.1,0.5)` has no end of values, and sweep.sampler=grid tries all.")
    (found,) = problems("sweep=tpe", "sweep.sampler=grid", "sweep.prune_metric=null", "trainer.beta=0.1")
    assert found.startswith("`trainer.learning_rate=tag(log,interval(1e-5,1e-3))` has no end of values")


def test_the_rules_of_sweep_keys(problems: Problems) -> None:
    found = problems("sweep.sampler=gird", "sweep.trials=0", "sweep.name=a/b", "sweep.prune_metric=eval/loss")
    assert [text.split(", got")[0] for text in found] == [
        "`sweep.trials` must be >= 1",
        "`sweep.sampler` must be one of grid | random | tpe",
        "`sweep.name` must be the name of a folder (letters, digits, - _ .)",
        "`sweep.prune_metric` is for sweep.sampler=tpe",
        "`sweep.prune_metric=eval/loss` is measured every `trainer.eval_steps` steps, and that is null. Set "
        "trainer.eval_steps=20, or a sweep.prune_metric that starts with train/.",
    ]


PRESETS = sorted(path.stem for path in (conf_dir() / "sweep").glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_turn_the_sweep_on_and_are_explained(problems: Problems, preset: str) -> None:
    assert problems(f"sweep={preset}") == []
    path = conf_dir() / "sweep" / f"{preset}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["# @package _global_", f"# python -m edu_align.train sweep={preset}"]
    assert uncommented(path) == []
    (found,) = problems(f"sweep={preset}", "trainer.bata=1")
    assert found.startswith("`trainer.bata` is not a key.")


def test_the_command_line_wins_over_a_preset(problems: Problems) -> None:
    assert problems("sweep=beta_lr", "trainer.beta=0.2") == []
    (found,) = problems("sweep=beta_lr", "trainer.beta=0.2,-1")
    assert found.startswith("`trainer.beta` must be > 0, got -1")


def test_every_swept_value_is_checked(problems: Problems) -> None:
    found = problems("trainer=dpo", "trainer.beta=0.1,-0.3,x", "seed=range(-1,1)", multirun=True)
    assert [text.split(". ")[0] for text in found] == [
        "`trainer.beta` must be a number, got 'x'",
        "`seed` must be >= 0 and < 4294967296, got -1",
        "`trainer.beta` must be > 0, got -0.3",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("trainer=sft,dpo trainer.beta=0.1", "`trainer.beta` belongs to trainer=dpo | trainer=kto | trainer=grpo, and"),
        ("model=tiny,zefyr", "`model=zefyr` is not an option. Did you mean `model=zephyr`?"),
        ("trainer=sft,dpo dataset=edu_tutor,mathdial", "trainer=dpo needs preferences, and mathdial"),
        (
            "trainer=dpo trainer.loss_type=robust,exo_pair trainer.label_smoothing=0.1,0.0",
            "`trainer.loss_type` exo_pair needs",
        ),
    ],
)
def test_every_swept_option_and_pair_is_checked(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems(*words.split(), multirun=True)
    assert found.startswith(expected)


def test_hydra_mode_asks_for_a_sweep_too(problems: Problems) -> None:
    assert problems("hydra.mode=MULTIRUN", "seed=1,2") == []


def test_the_sweep_of_a_file_is_checked(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    text = "# @package hydra\nmode: MULTIRUN\nsweeper:\n  params:\n    trainer.bata: 0.1,0.3\n    seed: a,1\n"
    (tmp_path / "sweep" / "betas.yaml").write_text(text, encoding="utf-8")
    found = problems("trainer=dpo", "sweep=betas", folder=tmp_path)
    assert found == [
        "`trainer.bata` is not a key. Did you mean `trainer.beta`?",
        "`seed` must be a whole number, got 'a'. Write digits, such as 10.",
    ]
