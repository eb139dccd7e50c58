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
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align.config.precheck.overrides import swept_values
from edu_align.sweeps.state import Job, SweepFolder, update
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


def grid(space: list[Dimension]) -> Iterator[list[str]]:
    """Overrides of every combination, the last key changing fastest: the jobs of Hydra's basic sweeper, in order."""
    endless = [dimension for dimension in space if not dimension.words]
    if endless:
        raise UserError(
            f"`{endless[0].name}={endless[0].text}` has no end of values, and sweep.sampler=grid takes all of them. "
            "List values (0.1,0.2) or range(...), or set sweep.sampler=random or tpe."
        )
    for words in product(*(dimension.words for dimension in space)):
        yield [f"{dimension.key}={word}" for dimension, word in zip(space, words, strict=True)]


def drawn(space: list[Dimension], trials: int, seed: int) -> Iterator[list[str]]:
    """Overrides of `trials` different combinations drawn at random; fewer where there are no more.

    The first ones are the same whatever `trials` is.
    """
    source = random.Random(seed)
    seen: set[tuple[str, ...]] = set()
    size = math.prod(len(dimension.words) or math.inf for dimension in space)
    while len(seen) < min(trials, size):
        words = tuple(dimension.draw(source) for dimension in space)
        if words not in seen:
            seen.add(words)
            yield [f"{dimension.key}={word}" for dimension, word in zip(space, words, strict=True)]


def values_of(overrides: list[str], space: list[Dimension]) -> dict[str, Any]:
    """`{key: value}` of the swept keys in one job's `overrides`, numbers as numbers."""
    swept = {dimension.key: dimension.name for dimension in space if dimension.swept}
    words = {word.partition("=")[0]: word for word in overrides}
    return {name: _value(words[key]) for key, name in swept.items() if key in words}


@cache
def _value(word: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(word).value()


class ListSearch:
    """Every job of a list. A job that the folder has already, by its values, keeps its number."""

    def __init__(self, folder: SweepFolder, space: list[Dimension], jobs: Iterable[list[str]]) -> None:
        kept: dict[str, list[Job]] = defaultdict(list)
        for job in folder.jobs():
            kept[_key(job["values"])].append(job)
        free = max((job["number"] + 1 for same in kept.values() for job in same), default=0)
        self.folder = folder
        self.numbers: list[int] = []
        for overrides in jobs:
            values = values_of(overrides, space)
            if kept[_key(values)]:
                job = kept[_key(values)].pop(0)
                if job["overrides"] != overrides and job["state"] != "running":
                    update(folder.job_path(job["number"]), job, overrides=overrides)
            else:
                job = folder.add(free, overrides, values)
                free += 1
            self.numbers.append(job["number"])
        self.total = len(self.numbers)

    def next(self, left: set[int]) -> list[int]:
        """Numbers of the jobs to launch now, out of those that are `left`."""
        return [number for number in self.numbers if number in left]

    def tell(self, job: Job) -> None:
        """Nothing is learnt from a job's end."""


def _key(values: dict[str, object]) -> str:
    return json.dumps(values, sort_keys=True, default=str)
