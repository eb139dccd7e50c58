"""The Python door: `compose`, `train`, `evaluate`, `crossfit` and `chat`, in a script or a notebook.

    from edu_align.api import chat, evaluate, train

    run = train(["trainer=dpo", "model=smollm2"])
    print(run.metrics, chat(run, "I think 1/2 + 1/3 is 2/5. Is that right?"))

Words are those of the commands, one text each, and mean the same; a machine's own settings stand below them. What the
user can mend raises `UserError`, whose message says how. Nothing heavy is imported before it is needed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from signal import SIGINT
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from edu_align.utils.errors import Interrupted, UserError
from edu_align.utils.program import explanation, share_processors

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from edu_align.chatting.model import ChatModel
    from edu_align.config.schema import Config
    from edu_align.records import Message

__all__ = ["Run", "UserError", "chat", "compose", "crossfit", "evaluate", "train"]

P = ParamSpec("P")
T = TypeVar("T")
Words = Sequence[str]
Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished run. `path`: its folder, where all of it lies; `record`: what its run.json says."""

    path: Path
    record: dict[str, Any]

    @property
    def id(self) -> str:
        """Twelve hex digits over all that the run depends on."""
        return str(self.record["id"])

    @property
    def metrics(self) -> dict[str, float]:
        """By their names in run.json: `eval/pair_accuracy_implicit`, `train/loss`, `before/human_turn_nll` ..."""
        return {**self.record["metrics"]}

    @property
    def samples(self) -> list[Row]:
        """Replies, with `when` (before, step_<n>, after), `id`, `prompt`, `reply` and `reference_reply`."""
        from edu_align.utils.jsonl import read_rows

        return read_rows(self.path / "samples.jsonl", skip_damaged=True)


def _door(work: Callable[P, T]) -> Callable[P, T]:
    """`work` for callers in Python: a full disk and memory that runs out are a UserError, Ctrl-C stays what it is."""

    @wraps(work)
    def call(*args: P.args, **named: P.kwargs) -> T:
        share_processors()
        try:
            return work(*args, **named)
        except Interrupted as stopped:
            if stopped.number != SIGINT:
                raise
            raise KeyboardInterrupt(str(stopped)) from None
        except Exception as error:
            told = explanation(error)
            if told is None or told is error:
                raise
            raise told from error

    return call


@_door
def compose(words: Words = (), config_dirs: Sequence[str | Path] = ()) -> "Config":
    """The config that `python -m edu_align.train` makes of `words`, typed: `compose(["trainer=dpo"]).trainer.beta`.

    `config_dirs` are folders of options of one's own, as behind --config-dir. Raises UserError with every problem.
    """
    from omegaconf import OmegaConf

    config: Config = OmegaConf.to_object(_composed(words, config_dirs)[0])  # type: ignore[assignment]
    return config


@_door
def train(words: Words = (), config_dirs: Sequence[str | Path] = ()) -> Run:
    """Train one run, or a chain of them, and return the last.

    A finished run with these settings is returned as it is, and one that was cut off goes on, as the command does.
    Raises UserError for what is wrong with words, model, data or machine, before anything is made, and its subclass
    RunFailed for a run that diverged.
    """
    _chatting.clear()
    cfg, typed, folders = _composed(words, config_dirs)
    if cfg.preview:
        raise UserError("`preview` shows data and trains nothing. Leave it out, or use python -m edu_align.train.")
    from edu_align.training.run import run

    if cfg.chain:
        from edu_align.training.chain import run_chain

        done = run_chain(cfg.chain, typed, folders)[-1]
    else:
        done = run(cfg)
    assert done is not None  # only a preview makes none
    return Run(done.path, done.record)


@_door
def evaluate(runs: "Run | str | Path | Sequence[Run | str | Path]", words: Words = ()) -> list[Row]:
    """Measure runs by the whole suite, each beside its base model and what it started from; the rows of the table.

    `runs`: one or several, each what `train` returned, a folder, a name under outputs_root/runs or an id. `words` are
    keys of `evaluation`, `hardware` and `dataset`, `data_root` and `outputs_root`. A row is one number of one model:
    `label`, `metric`, `name`, `value`, `low` and `high` (its interval), `n`, `groups`, `unit`, `better`, `baselines`,
    paired differences and more (`evaluation.suite.summarise`). Stored results are not measured again. Raises
    UserError, after the other runs were measured where only some cannot be.
    """
    _chatting.clear()
    from edu_align.evaluate import evaluate as evaluate_run
    from edu_align.evaluate import evaluate_runs, read_words

    several = [runs] if isinstance(runs, Run | str | Path) else [*runs]
    if not several:
        raise UserError("`runs` is empty. Give what `train` returned, or the name of a finished run.")
    given = read_words(words)
    if taken := [key for key in ("run", "runs", "model", "adapter") if key in given]:
        raise UserError(f"`{taken[0]}={given[taken[0]]}`: what is measured is the first argument. Drop the word.")
    root = given.pop("outputs_root", None) or _root_of(several)
    outputs = None if root is None else Path(root)
    if len(several) == 1:
        return evaluate_run(_named(several[0]), given, outputs)
    return evaluate_runs(list(dict.fromkeys(map(_named, several))), given, outputs)


@_door
def crossfit(words: Words) -> list[Row]:
    """Train and measure one setting over the folds of all its questions; the rows of results.json.

    A row is one number of one model over all folds: as of `evaluate`, and `minus` has the paired differences to rules,
    base, the runs that it started from and the model without the dialogue. What is there already is not made again.
    Raises UserError.
    """
    _chatting.clear()
    from edu_align.launch import refuse_newer_python
    from edu_align.recipes.crossfit import read_plan, run_crossfit

    refuse_newer_python()
    folder = run_crossfit(read_plan(words))
    rows: list[Row] = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
    return rows


@_door
def chat(
    run: Run | str | Path,
    messages: "str | Sequence[Mapping[str, str] | Message]",
    words: Words = (),
    base: bool = False,
) -> str:
    """The run's reply to `messages`, as `python -m edu_align.chat` writes it; with `base`, that of its base model.

    `messages`: a question, or turns `{"role": "system" | "user" | "assistant", "content": text}` of which the last is
    the user's. The oldest turns are left out where they do not fit the model's context. `words` are keys of
    `generation` and `hardware`, `seed` (42) and `outputs_root`. The model stays in memory until another run is asked,
    or `train` or `evaluate` is called. Raises UserError.
    """
    from edu_align.config.arguments import parse

    turns = _turns(messages)
    given = parse([f"run={_named(run)}", *words], ("seed", "outputs_root", "accept_changed"))
    seed = given.number("seed", 42, 0, 2**32 - 1)
    if "outputs_root" not in given.own and (root := _root_of([run])):
        given.own["outputs_root"] = root
    model = _loaded(given, base)
    from transformers import set_seed

    from edu_align.chatting.model import stream

    set_seed(seed)
    prompt, dropped = model.prompt(turns)
    notes = [f"the oldest {dropped} turns were left out: the dialogue is longer than the context"] if dropped else []
    reply = "".join(stream(model, prompt, notes)).strip()
    for note in notes:
        print(f"edu_align: {note}", flush=True)
    return reply


_chatting: "dict[str, ChatModel]" = {}  # one entry: the model that answered last, by what it was asked for as


def _loaded(given: Any, base: bool) -> "ChatModel":
    from edu_align.chatting.source import source_of

    asked = {key: value for key, value in given.own.items() if key != "seed"}
    source = source_of(given)
    run = source.run
    what = json.dumps([str(run and run.path), run and run.record.get("files"), asked, given.overrides, base])
    if what not in _chatting:
        _chatting.clear()
        from edu_align.chatting.model import load

        _chatting[what] = load([source], with_base=base)[0]
    return _chatting[what]


def _composed(words: Words, config_dirs: Sequence[str | Path]) -> "tuple[DictConfig, list[str], list[Path]]":
    """The config, the words that made it (a machine's own before those given) and the folders."""
    from edu_align.config.arguments import key_of
    from edu_align.config.comments import PRIMARY, conf_dir
    from edu_align.config.compose import compose as composed
    from edu_align.config.compose import of_this_machine
    from edu_align.config.machine_settings import blamed
    from edu_align.config.text import hydra_words
    from edu_align.launch import refuse_newer_python

    refuse_newer_python()
    if isinstance(words, str):
        raise UserError(f'`words` is a list with a text for each word, got {words!r}. Write ["trainer=dpo", "seed=1"].')
    for word in words:
        if key_of(word) == "sweep" or word.startswith("-"):
            raise UserError(f"`{word}` belongs to the command. For a sweep: python -m edu_align.train {word} ...")
    folders = [Path(folder).expanduser().resolve() for folder in config_dirs]
    typed = hydra_words(words, [conf_dir(), *folders], several=False)
    typed = [*of_this_machine(typed, conf_dir(), folders, PRIMARY), *typed]
    try:
        return composed(typed, folders), typed, folders
    except UserError as error:
        raise UserError(blamed(str(error))) from None


def _named(run: Run | str | Path) -> str:
    return str(run.path if isinstance(run, Run) else run)


def _root_of(runs: Sequence[Run | str | Path]) -> str | None:
    """Where runs that `train` returned lie, as `outputs_root`; None where it is not the same for all."""
    roots = {str(run.path.parents[1]) if isinstance(run, Run) else None for run in runs}
    return roots.pop() if len(roots) == 1 else None


def _turns(messages: "str | Sequence[Mapping[str, str] | Message]") -> "list[Message]":
    """Errors: a turn of another form, which is named by its number, and a last one that is not the user's."""
    from edu_align.records import ROLES, Message

    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    form = '{"role": "user", "content": "..."}'
    turns = []
    for number, turn in enumerate(messages, 1):
        role, content = (turn.role, turn.content) if isinstance(turn, Message) else _fields(turn)
        if role not in ROLES or not isinstance(content, str) or not (content.strip() or role == "assistant"):
            raise UserError(f"message {number} must be {form} with a role of {', '.join(ROLES)}, got {turn!r}.")
        turns.append(Message(role, content))
    if not turns or turns[-1].role != "user":
        last = f"the last is the {turns[-1].role}'s" if turns else "there is none"
        raise UserError(f"`messages` must end with the user's, which is answered, and {last}. Add {form}.")
    return turns


def _fields(turn: Any) -> tuple[Any, Any]:
    return (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
