"""What a metric of the suite returns: numbers item by item, so that two models can be compared on the same items.

Every statistic of the suite is a weighted mean, sum(w x) / sum(w): pair accuracy (x = 1, 1/2 or 0), selection score,
leak rate, nats per token (w = tokens), retention. Intervals and paired differences come from the items later, in
`evaluation/bootstrap.py`; a stored result therefore needs no model to be compared with another.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from edu_align.records import Message
from edu_align.utils.errors import UserError

Scored = tuple[float, int]  # summed log-probability of a reply in nats, and its tokens


class Item(Protocol):
    """What a number belongs to: a prompt, a problem. `group` is the cluster that is resampled."""

    @property
    def item(self) -> str: ...
    @property
    def group(self) -> str: ...


@dataclass(frozen=True)
class Series:
    """One number an item: the lists have one entry each.

    `items` names the item (the same name in every model's result), `groups` the cluster that is resampled, `weights`
    are >= 0. Raises UserError for unequal lengths or a repeated item.
    """

    items: tuple[str, ...]
    groups: tuple[str, ...]
    values: tuple[float, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.items), len(self.groups), len(self.values), len(self.weights)}
        if len(lengths) != 1 or len(set(self.items)) != len(self.items):
            raise UserError(
                f"A series needs one value, group and weight for every item and no item twice, got {len(self.items)} "
                f"items ({len(set(self.items))} different), {len(self.groups)} groups, {len(self.values)} values and "
                f"{len(self.weights)} weights. Build the four lists in one loop."
            )

    @classmethod
    def of(cls, rows: Sequence[tuple[str, str, float, float]]) -> "Series":
        """From rows of item, group, value and weight."""
        items, groups, values, weights = zip(*rows, strict=True) if rows else ((), (), (), ())
        return cls(tuple(items), tuple(groups), tuple(values), tuple(weights))

    @classmethod
    def over(cls, things: Sequence["Item"], values: Iterable[float]) -> "Series":
        """One value of weight 1 for each of `things`."""
        return cls.of([(one.item, one.group, value, 1.0) for one, value in zip(things, values, strict=True)])


@dataclass(frozen=True)
class MetricResult:
    """One metric of one model, as it is stored.

    `metric` is the stored file's name; `measured` maps the name of a number ("pair_accuracy_balanced/mean_logp") to its
    items under the model, `baselines` maps the same name to {rule: items under that rule}. `units` says what a number
    counts ("share", "score of 8", "nats/token"), `better` is "higher", "lower" or "" where neither is better.
    `notes` are sentences for the reader (what was left out and why); `examples` are rows for people (prompt, reply).
    """

    metric: str
    definition: str
    measured: dict[str, Series]
    baselines: dict[str, dict[str, Series]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    better: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    examples: tuple[dict[str, Any], ...] = ()

    @classmethod
    def alike(
        cls, metric: str, definition: str, measured: dict[str, Series], unit: str, better: str, **rest: Any
    ) -> "MetricResult":
        """A result whose numbers all have one unit and one direction; `rest`: the other fields."""
        units, directions = dict.fromkeys(measured, unit), dict.fromkeys(measured, better)
        return cls(metric, definition, measured, units=units, better=directions, **rest)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "MetricResult":
        """The reverse of `as_json`, also through JSON."""
        lists = {
            "measured": {name: _series(value) for name, value in plain["measured"].items()},
            "baselines": {
                name: {rule: _series(value) for rule, value in rules.items()}
                for name, rules in plain["baselines"].items()
            },
            "notes": tuple(plain["notes"]),
            "examples": tuple(plain["examples"]),
        }
        return cls(**{**plain, **lists})


class Subject(Protocol):
    """A model under measurement: what every metric may ask of it."""

    label: str  # "base", "SFT", "DPO" or the run's name

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer, with its chat template."""

    def score(self, rows: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[list[Scored]]:
        """For every (prompt, replies), the log-probability and tokens of each reply, end-of-turn token included."""

    def reference_score(self, rows: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[list[Scored]] | None:
        """The same under the model that DPO started from; None for a model that has none."""

    def base_score(self, rows: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[list[Scored]] | None:
        """The same under the base model, for a model whose training started from another one; else None."""

    def rewards(self, rows: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[list[float]] | None:
        """The reward of each reply, of a reward model; None of one that writes text."""

    def replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """Greedy replies, one a prompt, in the order of the prompts."""

    def base_replies(self, prompts: Sequence[Sequence[Message]], max_new_tokens: int) -> list[str]:
        """The same by the base model; its own replies, where it is that."""

    def base_states(self, rows: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[Any]:
        """For every (prompt, replies) an array (replies, H): what the base model's last layer says of a reply's tokens,
        their mean.
        """


def _series(plain: dict[str, Any]) -> Series:
    return Series(*(tuple(plain[key]) for key in ("items", "groups", "values", "weights")))
