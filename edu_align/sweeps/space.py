"""What is searched: every override as a dimension, in the words of Hydra and of its Optuna plugin.

trainer.beta=0.05,0.1                              each of these
trainer.beta=range(0.1,0.5,0.1)                    0.1, 0.2, 0.3, 0.4; the end is left out
trainer.beta=interval(0.01,0.5)                    any number between, for sweep.sampler=random and tpe
trainer.learning_rate=tag(log,interval(1e-5,1e-3)) the same, evenly by order of magnitude
"""

import json
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align.config.arguments import key_of
from edu_align.config.comments import conf_dir
from edu_align.config.jobs_file import JobLine
from edu_align.config.precheck.overrides import swept_values
from edu_align.config.sweep_rules import problems_of_zip
from edu_align.sweeps.state import Job, SweepFolder, update, waiting
from edu_align.utils.errors import UserError

DIGITS = 6  # significant ones of a drawn number


@dataclass(frozen=True)
class Dimension:
    """One override. `words` are its values where they can be listed; else it is the interval from `low` to `high`.

    `key` has its sign (`+trainer.args.seed`). `text` is what was typed behind the `=`.
    """

    key: str
    text: str
    swept: bool = False
    words: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    log: bool = False

    @property
    def name(self) -> str:
        return self.key.lstrip("+~")

    def draw(self, source: random.Random) -> str:
        """A value, every one of them as likely as the others, as it is typed."""
        if self.words:
            return source.choice(self.words)
        if not self.log:
            drawn = source.uniform(self.low, self.high + self.whole)
        else:
            drawn = math.exp(source.uniform(math.log(self.low), math.log(self.high + self.whole)))
        return self.written(min(math.floor(drawn), self.high) if self.whole else drawn)

    def written(self, value: float) -> str:
        """A number of an interval as it is typed; never outside the interval for being rounded."""
        if self.whole:
            return str(int(value))
        return repr(min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high))


@dataclass(frozen=True)
class Together:
    """Overrides that go together: a job has all of one row. `keys`: names of the dimensions that the rows set."""

    keys: frozenset[str]
    rows: tuple[tuple[str, ...], ...]

    def draw(self, source: random.Random) -> tuple[str, ...]:
        return source.choice(self.rows)


def zipped(space: list[Dimension], keys: list[str], sampler: str) -> Together | None:
    """The values of `sweep.zip` one by one; None where it is empty. Errors: `problems_of_zip`."""
    swept = {one.name: one for one in space if one.swept}
    counts = {name: len(one.words) or None for name, one in swept.items()}
    for problem in problems_of_zip(keys, counts, sampler):
        raise UserError(problem)
    if not keys:
        return None
    words = ([f"{swept[key].key}={word}" for word in swept[key].words] for key in keys)
    return Together(frozenset(keys), tuple(zip(*words, strict=True)))


def of_lines(lines: list[JobLine]) -> tuple[list[Dimension], Together]:
    """The jobs of a file: a dimension for each key that a line sets, and the lines. Errors: a value that is several."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    rows = []
    for line in lines:
        parsed = OverridesParser.create().parse_overrides(list(line.words))
        if several := [one.input_line for one in parsed if one.is_sweep_override()]:
            raise UserError(f"`sweep.jobs_file`, line {line.number}: `{several[0]}` gives several values.")
        pairs = [(one.get_key_element(), one.get_value_element_as_str()) for one in parsed]
        rows.append(tuple(f"{key}={word}" for key, word in pairs))
        for key, word in pairs:
            found[key.lstrip("+~")].append((key, word))
    space = [
        Dimension(pairs[0][0], ",".join(word for _, word in pairs), True, tuple(word for _, word in pairs))
        for pairs in found.values()
    ]
    return space, Together(frozenset(found), tuple(rows))


def folders_of(config: DictConfig) -> list[Path]:
    """The folders that a sweep's config is composed from, besides edu_align's own."""
    every = [Path(one.path) for one in config.hydra.runtime.config_sources if one.schema == "file"]
    return [folder for folder in every if folder != conf_dir()]


def dimensions(overrides: list[str], loader: Any, config: DictConfig) -> list[Dimension]:
    """Parse `overrides`; of two for one key the last counts, in the place of the first, as in Hydra's basic sweeper.

    An interval over a key that holds a whole number in `config` takes whole numbers. Errors: an interval without
    numbers in it, or one below zero on a logarithmic scale.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    found: dict[str, Dimension] = {}
    for parsed in OverridesParser.create(config_loader=loader).parse_overrides(overrides):
        key = parsed.get_key_element()
        name = key.lstrip("+~")  # `++key` beside a preset's `key` is one dimension
        if not parsed.is_sweep_override():
            word = parsed.get_value_element_as_str()
            found[name] = Dimension(key, word, words=(word,))
        elif parsed.is_discrete_sweep():
            found[name] = Dimension(key, parsed.get_value_string(), True, _listed(parsed))
            if not found[name].words:
                raise UserError(f"`{parsed.input_line}` has no value in it.")
        else:
            held = OmegaConf.select(config, parsed.key_or_group, throw_on_missing=False)
            found[name] = _interval(key, parsed, isinstance(held, int) and not isinstance(held, bool))
    return list(found.values())


def _listed(parsed: Any) -> tuple[str, ...]:
    """The values of a sweep over what can be listed, as they are typed."""
    from hydra.core.override_parser.types import RangeSweep

    value = parsed.value()
    if not isinstance(value, RangeSweep):
        return tuple(parsed.sweep_string_iterator())
    if math.isinf(value.stop or 0):
        raise UserError(f"`{parsed.input_line}` has no end of values. Give range() a finite end.")
    words = [repr(each) for each in swept_values(parsed)]
    if value.shuffle:
        random.shuffle(words)
    return tuple(words)


def _interval(key: str, parsed: Any, whole: bool) -> Dimension:
    value = parsed.value()
    low, high, log = value.start, value.end, "log" in value.tags
    whole = whole or (isinstance(low, int) and isinstance(high, int))
    if not low < high or (log and low <= 0):
        rule = "0 < from < to" if log else "from < to"
        raise UserError(f"`{parsed.input_line}` must be an interval with {rule}, got {low} and {high}.")
    return Dimension(key, parsed.get_value_string(), True, (), float(low), float(high), whole, log)


def grid(space: list[Dimension], together: Together | None = None) -> Iterator[list[str]]:
    """Overrides of every combination, the last key changing fastest: the jobs of Hydra's basic sweeper, in order.

    Keys that go together stand where the first of them does.
    """
    endless = [dimension for dimension in space if not dimension.words]
    if endless:
        raise UserError(
            f"`{endless[0].name}={endless[0].text}` has no end of values, and sweep.sampler=grid takes all of them. "
            "List values (0.1,0.2) or range(...), or set sweep.sampler=random or tpe."
        )
    for parts in product(*(_rows(part) for part in _parts(space, together))):
        yield [word for part in parts for word in part]


def drawn(space: list[Dimension], trials: int, seed: int, together: Together | None = None) -> Iterator[list[str]]:
    """Overrides of `trials` different combinations drawn at random; fewer where there are no more.

    The first ones are the same whatever `trials` is.
    """
    source = random.Random(seed)
    seen: set[tuple[str, ...]] = set()
    parts = _parts(space, together)
    size = math.prod(len(_rows(part)) or math.inf for part in parts)
    while len(seen) < min(trials, size):
        words: list[str] = []
        for part in parts:
            drew = part.draw(source)
            words += [f"{part.key}={drew}"] if isinstance(part, Dimension) else drew
        if tuple(words) not in seen:
            seen.add(tuple(words))
            yield words


def _parts(space: list[Dimension], together: Together | None) -> list[Dimension | Together]:
    """What a job takes one value or one row of, each; the rows in the place of the first key that they set."""
    if together is None:
        return [*space]
    first = next(one.name for one in space if one.name in together.keys)
    return [
        together if one.name == first else one for one in space if one.name == first or one.name not in together.keys
    ]


def _rows(part: Dimension | Together) -> tuple[tuple[str, ...], ...]:
    """Every value that is listed, as overrides; empty for an interval."""
    return part.rows if isinstance(part, Together) else tuple((f"{part.key}={word}",) for word in part.words)


def values_of(overrides: list[str], space: list[Dimension]) -> dict[str, Any]:
    """`{key: value}` of the swept keys in one job's `overrides`, numbers as numbers."""
    words = {key_of(word): word for word in overrides}
    return {one.name: _value(words[one.name]) for one in space if one.swept and one.name in words}


@cache
def _value(word: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(word).value()


class ListSearch:
    """Every job of a list. A job that the folder has already, by its values, keeps its number.

    Without `writes` the folder stays as it is, and may not exist.
    """

    def __init__(
        self, folder: SweepFolder, space: list[Dimension], jobs: Iterable[list[str]], writes: bool = True
    ) -> None:
        kept: dict[str, list[Job]] = defaultdict(list)
        for job in folder.jobs():
            kept[_key(job["values"])].append(job)
        free = max((job["number"] + 1 for same in kept.values() for job in same), default=0)
        self.folder = folder
        self.jobs: list[Job] = []
        for overrides in jobs:
            values = values_of(overrides, space)
            if kept[_key(values)]:
                job = kept[_key(values)].pop(0)
                if job["overrides"] != overrides and job["state"] != "running":
                    if writes:
                        update(folder.job_path(job["number"]), job, overrides=overrides)
                    job["overrides"] = overrides
            else:
                job = waiting(free, overrides, values)
                if writes:
                    folder.add(free, overrides, values)
                free += 1
            self.jobs.append(job)
        self.numbers = [job["number"] for job in self.jobs]
        self.total = len(self.numbers)

    def next(self, left: set[int]) -> list[int]:
        """Numbers of the jobs to launch now, out of those that are `left`."""
        return [number for number in self.numbers if number in left]

    def tell(self, job: Job) -> None:
        """Nothing is learnt from a job's end."""


def _key(values: dict[str, object]) -> str:
    return json.dumps(values, sort_keys=True, default=str)
