"""The evaluation suite: `python -m edu_align.evaluate run=<run>`, `runs=[<run>,<run>]` or `model=<model>`.

A run is measured beside the base model and the SFT run that it started from. Results are stored by what they depend on,
under outputs_root/evaluations, so the same command goes on where it was cut off, and the base is measured once.
"""

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.config.arguments import Words, quoted, run_names, split_word
from edu_align.utils.errors import EXIT_USER_ERROR, SomeFailed, UserError
from edu_align.utils.files import check_folder
from edu_align.utils.program import answers_help, explanation, program
from edu_align.utils.secrets import redacted

if TYPE_CHECKING:
    from edu_align.config.schema import Config
    from edu_align.evaluation.suite.run import Suite
    from edu_align.evaluation.suite.several import Measured

ADJUSTABLE = ("evaluation", "hardware", "dataset", "data_root")
OWN = ("run", "runs", "outputs_root", "adapter", "reward", "accept_changed")
MOVED = ("model.path", "model.revision")  # where a run's base model is now
HELP = """\
edu_align: python -m edu_align.evaluate run=<run> [outputs_root=outputs] [key=value ...]
           python -m edu_align.evaluate runs=[<run>,<run>,...] [key=value ...]
           python -m edu_align.evaluate model=<model> [adapter=<folder>] [key=value ...]

  run                  a finished run: its folder, its name under outputs_root/runs, or its id. Measured are the base
                       model, the runs that it started from, and the run
  runs                 several of them, in one table: each model once, and each base model loaded once. A run that
                       cannot be measured is named at the end, and the others are measured
  model                a model option (smollm2, zephyr ...), a folder made by save_pretrained or a .gguf file
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
    if answers_help(HELP, words):
        return
    evaluate_words(read_words(words))


def evaluate_words(given: dict[str, str]) -> None:
    """Measure what the words of a command line, by their keys, ask for."""
    _check_subject(given)
    if "model" in given:
        evaluate_model(given)
        return
    root = given.pop("outputs_root", None)
    outputs = None if root is None else Path(root)
    if "runs" in given:
        evaluate_runs(run_names(given.pop("runs")), given, outputs)
    else:
        evaluate(given.pop("run"), given, outputs)


def _check_subject(given: dict[str, str]) -> None:
    """Errors: not exactly one of `run`, `runs` and `model`; an adapter without a model."""
    asked = [key for key in ("run", "runs") if key in given]
    if "model" in given and asked:
        raise UserError(f"`model` beside `{asked[0]}`: a run has its own model. Drop one of them.")
    if len(asked) > 1:
        raise UserError("`run` beside `runs`: name all of them in runs=[<run>,<run>].")
    if not asked and "model" not in given:
        raise UserError(
            "`run` is missing. Give run=<folder of a finished run, its name under outputs_root/runs, or its id>, "
            "runs=[<run>,<run>], or model=<option or folder>."
        )
    if "adapter" in given and asked:
        raise UserError("`adapter` goes with `model`: a run has its own adapter. Drop one of them.")


def read_words(words: Sequence[str]) -> dict[str, str]:
    """Words of the command line by their keys, a machine's own below those given. Errors: a key of something else."""
    from edu_align.config.machine_settings import PLACES, for_command

    return dict(_split(word) for word in for_command(words, PLACES, ("evaluation", "hardware")))


def _split(word: str) -> tuple[str, str]:
    key, value = split_word(word, "Example: run=my_run evaluation.split=validation.")
    group = key.split(".")[0]
    if key not in OWN and group not in (*ADJUSTABLE, "model"):
        raise UserError(
            f"`{key}={value}` cannot be set here: a finished run keeps its settings. What can: {', '.join(ADJUSTABLE)}."
        )
    return key, value


@dataclass(frozen=True)
class _Opened:
    """A suite that is ready to be measured, and the config that says how.

    `reward`: see `_without_reward`; `root`: where runs are looked for.
    """

    config: "Config"
    suite: "Suite"
    reward: tuple[str, dict[str, str]] | None
    root: Path

    @property
    def folder(self) -> Path | None:
        return self.suite.run and self.suite.run.resolve()


def evaluate(run: str, overrides: dict[str, str], outputs: Path | None) -> list[dict[str, Any]]:
    """Measure a run, the runs that it started from and their base; returns the rows of `suite.summarise`.

    `outputs` is where runs are looked for and results are kept; None means outputs, and where the run kept its own.
    """
    _check_own_model(overrides, outputs)
    opened = _open(run, overrides, outputs)
    return _shown(opened.config, [_measured(opened)])


def evaluate_runs(runs: "Sequence[str]", overrides: dict[str, str], outputs: Path | None) -> list[dict[str, Any]]:
    """The same of several runs, each model once, in one table; each base model is loaded once.

    A run that cannot be measured leaves the others as they are. Raises SomeFailed for those at the end.
    """
    _check_own_model(overrides, outputs)
    from edu_align.evaluation.suite.several import Shared, by_base

    shared, ready, failed = Shared(), dict[str, _Opened](), _Failed()
    for run in runs:
        with failed.noting(run):
            opened = _open(run, overrides, outputs)
            opened = replace(opened, suite=shared.suite(opened.suite))
            if opened.folder not in [other.folder for other in ready.values()]:  # by its name and by its id
                ready[run] = opened
    found = {}
    for number, run in enumerate(by_base({run: opened.suite for run, opened in ready.items()}), 1):
        print(f"edu_align: {run}, {number} of {len(ready)}", flush=True)
        with failed.noting(run):
            found[run] = _measured(ready[run])
        for subject in ready[run].suite.subjects:  # of one that failed
            subject.release()
    measured = [run for run in ready if run in found]
    rows = _shown(ready[measured[0]].config, [found[run] for run in measured]) if measured else []
    failed.raise_them()
    return rows


class _Failed:
    """The runs that could not be measured, by the reason: what is wrong with a word of the command is said once."""

    def __init__(self) -> None:
        self.reasons: dict[str, list[str]] = {}
        self.by_user = True

    @contextmanager
    def noting(self, run: str) -> Iterator[None]:
        """Keep what the block raises. A fault of the program is shown with its traceback."""
        try:
            yield
        except Exception as error:
            told = explanation(error)
            if told is None:
                traceback.print_exception(error, file=sys.stderr)
            self.by_user &= told is not None and told.exit_code == EXIT_USER_ERROR
            reason = redacted(str(told) if told else f"{type(error).__name__}: {error}")
            print(f"edu_align: {run} was not measured: {reason}", file=sys.stderr, flush=True)
            self.reasons.setdefault(reason, []).append(run)

    def raise_them(self) -> None:
        if self.reasons:
            texts = [f"{', '.join(runs)}: {reason}" for reason, runs in self.reasons.items()]
            raise SomeFailed(texts, self.by_user, "run", "not measured")


def _check_own_model(overrides: dict[str, str], outputs: Path | None) -> None:
    kept = [key for key in overrides if key.split(".")[0] == "model" and key not in MOVED]
    if kept:
        raise UserError(f"`{kept[0]}` cannot be set here: a run has its own model. What can: {', '.join(MOVED)}.")
    check_folder("outputs_root", outputs or Path("outputs"))


def _open(run: str, overrides: dict[str, str], outputs: Path | None) -> _Opened:
    from edu_align.config.stored import stored_config
    from edu_align.runs.folder import find_run

    root = outputs or Path("outputs")
    accept = Words(own=overrides).switch("accept_changed")
    reward, overrides = _without_reward(overrides)
    folder = find_run("run", run, root, accept)
    overrides = {key: value for key, value in overrides.items() if key != "accept_changed"}
    config = stored_config(folder.path / "config.yaml", overrides)
    config.accept_changed = accept
    if outputs is not None:
        config.outputs_root = str(outputs)
    from edu_align.evaluation.suite.run import suite_of_run

    return _Opened(config, suite_of_run(folder, config, root), reward, root)


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
    opened = _Opened(config, suite_of_model(config, adapter), reward, Path(config.outputs_root))
    return _shown(config, [_measured(opened)])


def _measured(opened: _Opened) -> "Measured":
    """Measure it, ask the judge where one is named, and let the reward model score the replies."""
    from edu_align.evaluation.judge.judging import SuiteJudge
    from edu_align.evaluation.judge.settings import JudgeSettings
    from edu_align.evaluation.suite.registry import chosen_metrics
    from edu_align.evaluation.suite.run import measure

    config, suite = opened.config, opened.suite
    judge = JudgeSettings.of(config)
    view = SuiteJudge.of(suite, judge) if judge else None
    scored = None
    if opened.reward:
        from edu_align.evaluation.suite.reward import RewardView

        scored = RewardView.of(*opened.reward, opened.root, config, suite)
    found = measure(suite, chosen_metrics(config.evaluation.metrics, suite.trained_on))
    if view:
        found.results[list(found.results)[-1]].update(view.ask())
    if scored:
        rewards, left_out = scored.ask(suite)
        for label, result in rewards.items():
            found.results[label][result.metric] = result
        found = replace(found, notes=(*found.notes, *left_out))
    return suite, found


def _shown(config: "Config", measured: "Sequence[Measured]") -> list[dict[str, Any]]:
    """The rows of all models, printed as one table; then notes, what no rule explains less well, and the speed."""
    from edu_align.evaluation.suite.registry import NOTED
    from edu_align.evaluation.suite.several import asked, rows_of
    from edu_align.evaluation.suite.summarise import table
    from edu_align.models.speed import Speed
    from edu_align.utils.tables import text

    given = config.evaluation
    rows = rows_of(measured, config.seed, given.bootstrap_samples, given.confidence)
    print("\n".join(text(table(rows))))
    last, notes = asked(measured), dict.fromkeys(note for _, found in measured for note in found.notes)
    notes |= dict.fromkeys(
        f"{row['metric']}: {note}" for row in rows if row["metric"] in NOTED for note in row["notes"]
    )
    weak = [row for row in rows if row["verdict"] and row["label"] in last]
    verdicts = [f"{row['label']}: {row['verdict']}" if len(last) > 1 else row["verdict"] for row in weak]
    speed = Speed.total(found.speed for _, found in measured).sentence()
    print("\n".join(["", *notes, *verdicts, *([speed] if speed else [])]))
    return rows


if __name__ == "__main__":
    main()
