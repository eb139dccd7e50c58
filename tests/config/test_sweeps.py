"""Several values for a key: only with -m, and every value checked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align.config.comments import conf_dir
from edu_align.config.text import for_hydra
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


ZIP = "sweep.zip=[trainer.beta,trainer.learning_rate]"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            f"trainer.beta=0.1,0.3 trainer.learning_rate=1e-4,2e-4,3e-4 {ZIP}",
            "`sweep.zip=[trainer.beta,trainer.learning_rate]` pairs values one by one, and they are not as many: "
            "trainer.beta has 2, trainer.learning_rate has 3. Give each key as many values.",
        ),
        (
            "trainer.beta=0.1,0.3 seed=1,2 sweep.zip=[trainer.beta,sed]",
            "`sweep.zip=[trainer.beta,sed]` names sed, which is not swept. Did you mean `seed`? Give it several values",
        ),
        ("trainer.beta=0.1,0.3 trainer.learning_rate=1e-4 " + ZIP, "names trainer.learning_rate, which is not swept."),
        (
            f"trainer.beta=0.1,0.3 trainer.learning_rate=1e-4,2e-4 sweep.sampler=tpe {ZIP}",
            "sweep.sampler=tpe chooses each key by itself. Set sweep.sampler=grid or random, or drop it.",
        ),
        (
            f"trainer.beta=interval(0.1,0.3) trainer.learning_rate=1e-4,2e-4 sweep.sampler=random {ZIP}",
            "pairs listed values, and trainer.beta has an interval. List its values: trainer.beta=<a>,<b>.",
        ),
        ("trainer.beta=0.1,0.3 sweep.zip=[trainer.beta]", "pairs the values of two keys or more, and this is one."),
        ("trainer.beta=0.1,0.3 sweep.zip=[trainer.beta,trainer.beta]", "names trainer.beta twice."),
    ],
)
def test_what_cannot_be_zipped_is_one_problem(problems: Problems, words: str, expected: str) -> None:
    (found,) = problems("trainer=dpo", *words.split(), multirun=True)
    assert expected in found


def test_only_the_pairs_of_a_zip_are_checked_together(problems: Problems) -> None:
    sizes = ["trainer.batch_size=8,9", "hardware.per_device_batch_size=4,3"]
    assert [found.split(". ")[0] for found in problems(*sizes, multirun=True)] == [
        "`trainer.batch_size` must be a multiple of `hardware.per_device_batch_size` (3), got 8",
        "`trainer.batch_size` must be a multiple of `hardware.per_device_batch_size` (4), got 9",
    ]
    zipped = "sweep.zip=[trainer.batch_size,hardware.per_device_batch_size]"
    assert problems(*sizes, zipped, multirun=True) == []
    (found,) = problems("trainer.batch_size=8,9", "hardware.per_device_batch_size=4,4", zipped, multirun=True)
    assert found.startswith("`trainer.batch_size` must be a multiple of `hardware.per_device_batch_size` (4), got 9.")
    methods = ["trainer=sft,dpo", "dataset=mathdial,edu_tutor"]
    assert len(problems(*methods, multirun=True)) == 1
    assert problems(*methods, "sweep.zip=[trainer,dataset]", multirun=True) == []


def test_a_zip_and_a_file_of_jobs_need_a_sweep(problems: Problems) -> None:
    (found,) = problems("trainer=dpo", "sweep.zip=[seed,trainer.beta]")
    assert found == "`sweep.zip=[seed,trainer.beta]` is of a sweep, and this is one run. Add -m, or drop it."
    (found,) = problems("trainer=dpo", "sweep.jobs_file=x.txt")
    assert found == "`sweep.jobs_file=x.txt` is of a sweep, and this is one run. Add -m, or drop it."


def test_every_line_of_a_file_of_jobs_is_checked(problems: Problems, tmp_path: Path) -> None:
    file = tmp_path / "jobs.txt"

    def said(text: str, *words: str) -> list[str]:
        file.write_text(text, encoding="utf-8")
        found = problems("trainer=dpo", f"sweep.jobs_file={file}", *words, multirun=True)
        return [each.replace(f"`sweep.jobs_file={file}`", "FILE") for each in found]

    good = "# two jobs\n\ntrainer.beta=0.1 trainer.learning_rate=1e-4\ntrainer.beta=0.3 adapter.rank=8  # alone\n"
    assert said(good) == []
    assert said(good, "seed=1,2") == []
    assert said("trainer.beta=-1 adapter.rank=8\ntrainer.beta=0.1 seed=x\ntrainer.bata=1\n") == [
        "`trainer.beta` must be > 0, got -1.0. A common value is trainer.beta=0.1.",
        "`seed` must be a whole number, got 'x'. Write digits, such as 10.",
        "`trainer.bata` is not a key. Did you mean `trainer.beta`?",
    ]
    assert said("trainer.beta=0.1,0.3") == [
        "FILE, line 1: `trainer.beta=0.1,0.3` gives several values. Write a line for each."
    ]
    assert said("seed=1\n" + good, "seed=1,2") == [
        "FILE, line 1: seed is set on the command line or by the preset too. Take it out of one of them."
    ]
    assert said("seed=1 seed=2") == ["FILE, line 1: seed stands there twice. Give each key once."]
    assert said("seed") == ["FILE, line 1: 'seed' is no key=value. Write what a command line would have."]
    assert said("sweep.name=a") == ["FILE, line 1: sweep.name is of the whole sweep. Give it on the command line."]
    assert said("run_name='a") == ["FILE, line 1 cannot be read (No closing quotation). Close the quotes."]
    assert said("# none\n")[0].startswith("FILE has no job in it. Write a line of overrides for each, as trainer.beta=")
    assert said(good, "sweep.sampler=random")[0].startswith("FILE lists its jobs, and sweep.sampler=random chooses")
    file.unlink()
    (found,) = problems(f"sweep.jobs_file={file}", multirun=True)
    assert found.startswith(f"`sweep.jobs_file={file}` cannot be read (No such file or directory). Give a text file")


@pytest.mark.parametrize("asked", ["0;1", "first", "0,", "0,0", "-1"])
def test_what_is_no_gpu_is_a_problem(problems: Problems, asked: str) -> None:
    (found,) = problems(*for_hydra([f"sweep.gpus={asked}"], several=True), multirun=True)
    assert "`sweep.gpus" in found


def test_a_file_of_a_hundred_jobs_is_taken(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "jobs.txt").write_text("".join(f"seed={n}\n" for n in range(100)), encoding="utf-8")
    assert problems(f"sweep.jobs_file={tmp_path}/jobs.txt", multirun=True) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            "leak_rate",
            "`sweep.pareto` weighs two numbers or more, got [leak_rate]. Name another one, or set objective=",
        ),
        ("leak_rate,leak_rate", "`sweep.pareto` names leak_rate twice. Name each number once."),
        ("leak_rate,eval/los", "`sweep.pareto`: eval/los is no metric of a run. Did you mean eval/loss?"),
    ],
)
def test_objectives_that_cannot_be_weighed(problems: Problems, names: str, expected: str) -> None:
    (found,) = problems(*for_hydra([f"sweep.pareto=[{names}]"], several=True), multirun=True)
    assert found.startswith(expected)
