"""The evaluation suite: `python -m edu_align.evaluate run=<run>`, or `model=<model> adapter=<folder>`.

A run is measured beside the base model and the SFT run that it started from. Results are stored by what they depend on,
under outputs_root/evaluations, so the same command goes on where it was cut off, and the base is measured once.
"""

import sys
from pathlib import Path
from typing import Any

from edu_align.config.arguments import Words, quoted, split_word
from edu_align.utils.errors import UserError
from edu_align.utils.files import check_folder
from edu_align.utils.program import program

ADJUSTABLE = ("evaluation", "hardware", "dataset", "data_root")
OWN = ("run", "outputs_root", "adapter", "reward", "accept_changed")
MOVED = ("model.path", "model.revision")  # where a run's base model is now
HELP = """\
edu_align: python -m edu_align.evaluate run=<run> [outputs_root=outputs] [key=value ...]
           python -m edu_align.evaluate model=<model> [adapter=<folder>] [key=value ...]

  run                  a finished run: its folder, its name under outputs_root/runs, or its id. Measured are the base
                       model, the runs that it started from, and the run
  model                a model option (smollm2, zephyr ...) or a folder made by save_pretrained
  adapter              a folder made by PEFT's save_pretrained, measured beside the model
  reward               a finished run of trainer=reward: it scores the replies of every measured model too, beside the
                       human tutors' replies and a constant one
  evaluation.split     validation | test
  evaluation.metrics   [pair_accuracy_balanced,context_use] measures these only; all by default that the
                       data allow: a run's own file is measured by pair_accuracy_own (replies with scores, or chosen
                       and rejected), human_turn_nll, form_own and leak_own (a column gold_answer)
  evaluation.judge     base URL of an OpenAI-compatible endpoint, with evaluation.judge_model: held against people
                       first, then asked whose replies are better (pip install "edu_align[judge]")
  evaluation.*         and every other key of evaluation, hardware and dataset (model.* beside model)
  data_root            where the data sets are (MRBench, Bridge, MathDial, GSM8K), if not where the run found them
"""


@program
def main() -> None:
    words = sys.argv[1:]
    if not words or {"-h", "--help"} & set(words):
        print(HELP, end="")
        return
    from edu_align.config.machine_settings import PLACES, for_command

    given = dict(_split(word) for word in for_command(words, PLACES, ("evaluation", "hardware")))
    if "model" in given:
        if "run" in given:
            raise UserError("`model` beside `run`: a run has its own model. Drop one of them.")
        evaluate_model(given)
        return
    if "run" not in given:
        raise UserError(
            "`run` is missing. Give run=<folder of a finished run, its name under outputs_root/runs, or its id>, or "
            "model=<option or folder>."
        )
    if "adapter" in given:
        raise UserError("`adapter` goes with `model`: a run has its own adapter. Drop one of them.")
    root = given.pop("outputs_root", None)
    evaluate(given.pop("run"), given, None if root is None else Path(root))


def _split(word: str) -> tuple[str, str]:
    key, value = split_word(word, "Example: run=my_run evaluation.split=validation.")
    group = key.split(".")[0]
    if key not in OWN and group not in (*ADJUSTABLE, "model"):
        raise UserError(
            f"`{key}={value}` cannot be set here: a finished run keeps its settings. What can: {', '.join(ADJUSTABLE)}."
        )
    return key, value


def evaluate(run: str, overrides: dict[str, str], outputs: Path | None) -> list[dict[str, Any]]:
    """Measure a run, the runs that it started from and their base; returns the rows of `suite.summarise`.

    `outputs` is where runs are looked for and results are kept; None means outputs, and where the run kept its own.
    """
    from edu_align.config.stored import stored_config
    from edu_align.runs.folder import find_run

    kept = [key for key in overrides if key.split(".")[0] == "model" and key not in MOVED]
    if kept:
        raise UserError(f"`{kept[0]}` cannot be set here: a run has its own model. What can: {', '.join(MOVED)}.")
    root = outputs or Path("outputs")
    check_folder("outputs_root", root)
    accept = Words(own=overrides).switch("accept_changed")
    reward, overrides = _without_reward(overrides)
    folder = find_run("run", run, root, accept)
    overrides = {key: value for key, value in overrides.items() if key != "accept_changed"}
    config = stored_config(folder.path / "config.yaml", overrides)
    config.accept_changed = accept
    if outputs is not None:
        config.outputs_root = str(outputs)
    from edu_align.evaluation.suite.run import suite_of_run

    return _measured(config, lambda: suite_of_run(folder, config, root), reward, root)


def _without_reward(given: dict[str, str]) -> tuple[tuple[str, dict[str, str]] | None, dict[str, str]]:
    """The reward model's run with the keys of `hardware` that it is loaded with, and the other words."""
    rest = {key: value for key, value in given.items() if key != "reward"}
    hardware = {key: value for key, value in rest.items() if key.split(".")[0] == "hardware"}
    return (given["reward"], hardware) if "reward" in given else None, rest


def evaluate_model(given: dict[str, str]) -> list[dict[str, Any]]:
    """Measure a model that no run made here; `given` is the command line.

    It is measured on the public sources, and on a `dataset` where one is given.
    """
    from omegaconf import OmegaConf

    from edu_align.config.compose import compose

    reward, rest = _without_reward(given)
    words = {key: value for key, value in rest.items() if key != "adapter"}
    folder = Path(words["model"]).expanduser()
    if "/" in words["model"] or folder.is_dir():
        words |= {"model": "smollm2", "model.path": quoted(folder)}
    config: Any = OmegaConf.to_object(compose([*(f"{key}={value}" for key, value in words.items()), "tracking=off"]))
    if not any(key.split(".")[0] == "dataset" for key in words):
        config.dataset.sources = []
    from edu_align.evaluation.suite.run import suite_of_model

    adapter = Path(given["adapter"]).expanduser() if "adapter" in given else None
    return _measured(config, lambda: suite_of_model(config, adapter), reward, Path(config.outputs_root))


def _measured(config: Any, make: Any, reward: tuple[str, dict[str, str]] | None, outputs: Path) -> list[dict[str, Any]]:
    from edu_align.evaluation.judge.judging import SuiteJudge
    from edu_align.evaluation.judge.settings import JudgeSettings
    from edu_align.evaluation.suite.registry import chosen_metrics
    from edu_align.evaluation.suite.run import measure

    suite, judge = make(), JudgeSettings.of(config)
    view = SuiteJudge.of(suite, judge) if judge else None
    scored = None
    if reward:
        from edu_align.evaluation.suite.reward import RewardView

        scored = RewardView.of(*reward, outputs, config, suite)
    measured = measure(suite, chosen_metrics(config.evaluation.metrics, suite.trained_on))
    last = list(measured.results)[-1]
    if view:
        measured.results[last].update(view.ask())
    notes = list(measured.notes)
    if scored:
        found, left_out = scored.ask(suite)
        for label, result in found.items():
            measured.results[label][result.metric] = result
        notes += left_out
    from edu_align.evaluation.suite.summarise import summarise, table
    from edu_align.utils.tables import text

    given = config.evaluation
    rows = summarise(measured.results, config.seed, given.bootstrap_samples, given.confidence)
    print("\n".join(text(table(rows))))
    verdicts = [row["verdict"] for row in rows if row["verdict"] and row["label"] == last]
    print("\n".join(["", *notes, *verdicts]))
    return rows


if __name__ == "__main__":
    main()
