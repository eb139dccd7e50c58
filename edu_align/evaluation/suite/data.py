"""What the suite measures on: one held-out split of every public tutoring source, cut by one rule over all of them."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from edu_align.config.schema import PREFERENCE_SOURCES, DatasetConfig
from edu_align.data.build import fingerprint_of, load_records, unrepeated, with_system
from edu_align.data.fetch import source_files
from edu_align.data.load import load_source
from edu_align.data.read import iter_rows
from edu_align.data.records import Conversation, Record, ResponseGroup
from edu_align.data.sources import mrbench
from edu_align.data.split import PINNED, keys_of, side, with_groups
from edu_align.errors import UserError
from edu_align.evaluation.held_out import choose

R = TypeVar("R", Conversation, ResponseGroup)
PUBLIC = {"mrbench": "preference", "bridge": "preference", "mathdial": "conversation", "gsm8k_socratic": "conversation"}
V2 = "mrbench_v2"
# The names under which metrics say what they read; each is an attribute of `SuiteData`.
PARTS = (
    "mrbench", "mrbench_training", "mrbench_v2", "bridge", "bridge_training", "mathdial", "mathdial_training",
    "gsm8k", "own", "own_training", "own_conversations",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What every metric is told, part of a stored result's key.

    `margin`: least difference of two human scores that makes a pair. `max_length`: tokens of prompt and reply; a longer
    row loses the start of its prompt. `max_new_tokens`: longest generated reply. `max_groups`: most records of each
    part, chosen by the hash of their ids; None takes all. `seed`: of anything drawn.
    """

    split: str = "test"
    margin: float = 2.0
    max_length: int = 2048
    max_new_tokens: int = 80
    max_groups: int | None = None
    seed: int = 42


class SourceAbsentError(Exception):
    """A metric's source is not there, or holds nothing of this split: the metric is left out, with this sentence."""


class SuiteData:
    """The split's records, read when first asked for; `group` is the cluster that is resampled.

    `seen` are groups that a measured run trained on: no record that shares a key with them is measured on, in any
    model's evaluation beside that run's. Parts are lists of records in a fixed order. Raises SourceAbsentError for a
    part without files or records, UserError for a broken file.
    """

    def __init__(
        self,
        dataset: DatasetConfig,
        data_root: str | Path | None,
        outputs_root: str | Path,
        settings: Settings,
        seen: frozenset[str] = frozenset(),
    ) -> None:
        self.dataset = dataset
        self.data_root = data_root
        self.outputs_root = outputs_root
        self.settings = settings
        self.seen = seen
        self.absent: dict[str, str] = {}
        self.left_out = 0  # records of groups that were trained on
        self._fingerprints: dict[str, str] = {}
        self._trained: set[str] = set()  # groups over all sources that hold a record of `seen`

    @functools.cached_property
    def mrbench(self) -> list[ResponseGroup]:
        """Dialogues with eight or nine annotated replies each (both published versions, see `merge_versions`)."""
        return self._held_out("mrbench", ResponseGroup)

    @functools.cached_property
    def mrbench_training(self) -> list[ResponseGroup]:
        """The training side of the same: what tutor prior and surface baselines may read."""
        return self._side("mrbench", "train", ResponseGroup)

    @functools.cached_property
    def mrbench_v2(self) -> list[ResponseGroup]:
        """Version 2 by itself, whose replies people marked for revealing the answer (`meta["unfit_to_learn"]`)."""
        return self._held_out(V2, ResponseGroup)

    @functools.cached_property
    def bridge(self) -> list[ResponseGroup]:
        """An expert's reply over a novice's, one pair a dialogue."""
        return self._held_out("bridge", ResponseGroup)

    @functools.cached_property
    def bridge_training(self) -> list[ResponseGroup]:
        return self._side("bridge", "train", ResponseGroup)

    @functools.cached_property
    def mathdial(self) -> list[Conversation]:
        """Whole dialogues; every teacher turn is marked as trained."""
        return self._held_out("mathdial", Conversation)

    @functools.cached_property
    def mathdial_training(self) -> list[Conversation]:
        return self._side("mathdial", "train", Conversation)

    @functools.cached_property
    def gsm8k(self) -> list[Conversation]:
        """GSM8K's official test problems whose question no source has on its training side.

        `meta`: `problem`, `gold_answer`. Validation takes those that the split's hash puts there, test all others, so
        that nothing chosen on the one was seen in the other.
        """
        held = [r for r in self._records["gsm8k_socratic"] if PINNED in r.meta and isinstance(r, Conversation)]
        free = {
            record.group
            for records in self._records.values()
            for record in records
            if PINNED not in record.meta and self._hashed(record) == "train"
        }
        validation = self.settings.split == "validation"
        chosen = [r for r in held if r.group not in free and (self._hashed(r) == "validation") == validation]
        return self._kept("gsm8k_socratic", chosen)

    @functools.cached_property
    def own(self) -> list[ResponseGroup]:
        """Held-out groups of the run's own data set, where that is none of the public ones above."""
        return self._kept("own", [r for r in self._own(self.settings.split) if isinstance(r, ResponseGroup)])

    @functools.cached_property
    def own_training(self) -> list[ResponseGroup]:
        held = {group.group for group in self.own}
        return [r for r in self._own("train") if isinstance(r, ResponseGroup) and r.group not in held]

    @functools.cached_property
    def own_conversations(self) -> list[Conversation]:
        """Held-out conversations of the run's own data set, where that has no scored replies."""
        return self._kept("own", [r for r in self._own(self.settings.split) if isinstance(r, Conversation)])

    def fingerprint(self, part: str) -> str:
        """sha256 over a part's records; "absent" for one that is not there."""
        if part not in self._fingerprints:
            try:
                self._fingerprints[part] = fingerprint_of(getattr(self, part))
            except SourceAbsentError:
                self._fingerprints[part] = "absent"
        return self._fingerprints[part]

    @functools.cached_property
    def _records(self) -> dict[str, list[Record]]:
        """Every source's records, `group` over all of them; a source that is absent is noted and has none."""
        loaded = {source: self._load(source, view) for source, view in PUBLIC.items()}
        loaded[V2] = self._version_two() if loaded["mrbench"] else []
        named = [(name, record) for name, records in loaded.items() for record in records]
        free = [replace(record, meta={k: v for k, v in record.meta.items() if k != PINNED}) for _, record in named]
        grouped: dict[str, list[Record]] = {name: [] for name in loaded}
        for (name, record), before, united in zip(named, free, with_groups(free), strict=True):
            grouped[name].append(replace(united, meta=record.meta))
            if not self.seen.isdisjoint(keys_of(before)):
                self._trained.add(united.group)
        return grouped

    def _load(self, source: str, view: str) -> list[Record]:
        try:
            found = load_source(source, self.dataset, self.data_root, self.outputs_root, self.settings.seed, view)
        except UserError as error:
            if self._there(source):
                raise
            self.absent[source] = str(error)
            return []
        return unrepeated(found)

    def _there(self, source: str) -> bool:
        try:
            return bool(source_files(source, self.data_root, self.outputs_root))
        except UserError:
            return False

    def _version_two(self) -> list[Record]:
        files = source_files("mrbench", self.data_root, self.outputs_root)
        rows = (row for file in files if file.stem == "v2" for row in iter_rows(file))
        made = (mrbench.to_group(row, f"{V2}:{row.number}") for row in rows)
        return [record for record in made if not isinstance(record, str)]

    def _hashed(self, record: Record) -> str:
        cut = self.dataset
        return side(record.group, cut.split_seed, cut.test_fraction, cut.validation_fraction, cut.validation_fold)

    def _side(self, source: str, split: str, kind: type[R]) -> list[R]:
        records = [r for r in self._records[source] if isinstance(r, kind) and self._hashed(r) == split]
        if not self._records[source]:
            raise SourceAbsentError(f"{source} is not there: {self.absent.get(source, 'its file holds no record')}")
        return [self._prompted(record) for record in records]

    def _held_out(self, source: str, kind: type[R]) -> list[R]:
        return self._kept(source, self._side(source, self.settings.split, kind))

    def _kept(self, source: str, records: Sequence[R]) -> list[R]:
        """Unseen records, at most `max_groups` of them. Raises SourceAbsentError where none is left."""
        unseen = [r for r in records if r.group not in self._trained | self.seen]
        self.left_out += len(records) - len(unseen)
        if not unseen:
            why = self.absent.get(source, f"the {self.settings.split} split holds no unseen record of it")
            raise SourceAbsentError(f"{source} is left out: {why}")
        return choose(unseen, self.settings.max_groups)

    def _own(self, split: str) -> list[Record]:
        sources = [name for name in self.dataset.sources if name not in PUBLIC]
        scored = [name for name in sources if name in PREFERENCE_SOURCES]
        if not sources:
            raise SourceAbsentError("the run has no data set of its own beside the public ones")
        view = "preference" if scored else "conversation"
        cut = replace(self.dataset, sources=scored or sources)
        return load_records(cut, self.data_root, self.outputs_root, cut.generation_seed, view).splits[split]

    def _prompted(self, record: R) -> R:
        system = self.dataset.system_prompt
        return with_system(record, system) if system else record
