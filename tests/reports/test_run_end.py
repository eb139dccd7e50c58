"""What a finished run says at its end."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.compose import compose
from edu_align.reports.run_end import next_steps, outcome
from edu_align.runs.folder import RunFolder

CHOICES = {"model": "tiny", "dataset": "mine", "hardware": "cpu", "adapter": "lora"}


def commands(run: RunFolder, outputs: Path | str, *words: str, folders: tuple[Path, ...] = ()) -> list[list[str]]:
    """The commands as a shell splits them, without `python -m edu_align.`."""
    lines = next_steps(run, str(outputs), words, CHOICES, folders)
    typed = [shlex.split(line) for line in lines if line.startswith("    python -m edu_align.")]
    return [[command[2].removeprefix("edu_align."), *command[3:]] for command in typed]


def made(path: Path, trainer: str = "sft", **metrics: float) -> RunFolder:
    path.mkdir(parents=True)
    return RunFolder(path, {"id": "0123456789ab", "trainer": trainer, "metrics": metrics})


def test_the_losses_and_the_main_numbers_are_told(runs: Callable[[str], Any]) -> None:
    run = runs("dpo").folder
    metrics = run.record["metrics"]
    loss, implicit, likely = outcome(run)
    assert loss == (
        f"edu_align: training loss {metrics['train/loss']:.4g} on average over 3 steps, "
        f"{metrics['eval/loss']:.4g} on the validation examples after them"
    )
    assert "pairs that training moved the right way" in implicit
    assert " before, " in likely
    assert " beat" in likely


def test_a_reward_model_is_not_talked_to(runs: Callable[[str], Any], tmp_path: Path) -> None:
    _, reward = outcome(runs("reward").folder)
    assert "share of pairs whose better reply has the higher reward: 0.500 " in reward
    run = made(tmp_path / "runs" / "a", "reward")
    typed = commands(run, tmp_path)
    assert typed[0] == ["evaluate", "run=<run>", "reward=a", f"outputs_root={tmp_path}"]
    assert "chat" not in [command for command, *_ in typed]


def test_a_run_that_was_not_evaluated_or_whose_file_is_broken(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "a", **{"train/loss": 1.5, "train/steps": 1})
    assert outcome(run) == [
        "edu_align: training loss 1.5 on average over 1 step",
        "edu_align: it was not evaluated, so nothing says whether it became better",
    ]
    (run.path / "evaluation.json").write_text("{")
    assert "evaluation.json is not JSON" in outcome(run)[-1]


def test_the_next_commands_of_a_run_under_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = made(Path("outputs/runs/a"), "dpo")
    assert commands(run, "outputs") == [
        ["chat", "run=a", "--compare"], ["evaluate", "run=a"], ["report", "runs=a"], ["export", "run=a"],
    ]  # fmt: skip
    (run.path / "evaluation").mkdir()
    (run.path / "evaluation" / "test.json").write_text("{}")
    page = Path("outputs/reports/a/report.html")
    page.parent.mkdir(parents=True)
    page.touch()
    assert "evaluate" not in [command for command, *_ in commands(run, "outputs")]
    assert f"page {page}" in next_steps(run, "outputs", [], CHOICES, [])[0]


@pytest.mark.parametrize("name", ["mein Lauf", "l'été", "a,b", "2024_01_15", "null", 'say "hi" $HOME'])
def test_odd_names_reach_every_command_as_they_are(name: str, tmp_path: Path) -> None:
    root = tmp_path / "donnés, (1)"
    run = made(root / "runs" / name, **{"eval/pair_accuracy_logp": 0.5})
    chat, dpo, evaluate, report, export = commands(run, root)
    for command in (chat, evaluate, export):
        assert {f"run={name}", f"outputs_root={root}"} <= set(command)
    assert report[1] == f"runs={'0123456789ab' if ',' in name else name}"
    config = compose([*dpo[1:], "model=tiny", "tracking=off"])
    assert (config.init_from, config.outputs_root, config.trainer.algorithm) == (name, str(root), "dpo")


def test_a_dpo_run_takes_over_where_and_with_what_but_not_how(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "a", **{"eval/pair_accuracy_logp": 0.5})
    words = [
        "trainer=sft", "model=tiny", "dataset.path=x.csv", "trainer.learning_rate=1", "trainer.max_steps=3", "seed=3",
        "+trainer.args.tf32=true", "run_name=a", "init_from=b", "force=true", "sweep=lora_rank",
    ]  # fmt: skip
    dpo = ["train", "trainer=dpo", "init_from=a", "model=tiny", "dataset.path=x.csv", "trainer.max_steps=3", "seed=3"]
    assert commands(run, tmp_path, *words)[1] == dpo
    there = ["train", "trainer=dpo", "init_from=a", "dataset=mine", "hardware=cpu", "adapter=lora", "model=big"]
    own = commands(run, tmp_path, "experiment=x", "model=big", folders=(tmp_path,))[1]
    assert own == [*there, f"--config-dir={tmp_path}"]


def test_data_without_pairs_is_not_taken_over(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "a", **{"eval/human_turn_nll": 2.0})
    dpo = commands(run, tmp_path, "dataset=local", "dataset.path=x.csv", "seed=3")[1]
    assert dpo == ["train", "trainer=dpo", "init_from=a", "seed=3", "dataset=edu_tutor"]


@pytest.mark.cases("A7")
def test_own_replies_to_choose_between_are_taken_over(tmp_path: Path) -> None:
    run = made(tmp_path / "runs" / "a")
    run.record["data"] = {"sources": {"local": {"choices": 3}}}
    dpo = commands(run, tmp_path, "dataset=local", "dataset.path=x.csv")[1]
    assert dpo == ["train", "trainer=dpo", "init_from=a", "dataset=local", "dataset.path=x.csv"]


def test_a_command_of_the_program_says_it_twice_alike(
    runs: Callable[[str], Any], outputs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is finished already, so this takes no training."""
    from edu_align.train import main
    from tests.conftest import TINY

    run = runs("sft")
    words = [*TINY, f"outputs_root={outputs}", "data_root=null", "trainer=sft", "run_name=sft"]
    monkeypatch.setattr("sys.argv", ["train", *words])
    capsys.readouterr()
    main()
    out = capsys.readouterr().out
    assert "\n".join([*outcome(run.folder), f"edu_align: card {run.path / 'README.md'}", "what next:"]) in out
    assert f"    python -m edu_align.train trainer=dpo init_from=sft {' '.join(TINY[:3])} " in out
