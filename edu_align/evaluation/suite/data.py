"""What the suite measures on: one held-out split of every public tutoring source, cut by one rule over all of them.

The sources are read together, so that one question has one group wherever it occurs.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

from edu_align.config.schema import CONVERSATION_SOURCES, PREFERENCE_SOURCES, DatasetConfig
from edu_align.data.dataset import deduplicated, fingerprint_of, load_records, with_system
from edu_align.data.questions import problem_key
from edu_align.data.sources.load import load_source, source_files
from edu_align.data.split import PINNED, cut_of, keys_of, side, with_groups, without_pin
from edu_align.evaluation.held_out import choose
from edu_align.evaluation.suite.prompts import Prompt, digest
from edu_align.evaluation.suite.results import MetricResult
from edu_align.records import Conversation, Record, ResponseGroup
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import sha256

# Source to the view in which it is read.
PUBLIC = {"mrbench": "preference", "bridge": "preference", "mathdial": "conversation", "gsm8k_socratic": "conversation"}


@dataclass(frozen=True)
class Sources:
    """`records` by source, `group` over all of them; `absent`: source to reason; `trained`: groups with a seen key."""

    records: dict[str, list[Record]]
    absent: dict[str, str]
    trained: frozenset[str]


def read_sources(
    dataset: DatasetConfig, data_root: str | Path | None, outputs_root: str | Path, seen: frozenset[str]
) -> Sources:
    """All of PUBLIC. A record keeps its pin, but is grouped with its relatives like any other.

    A source whose files are neither there nor to be had is absent. Raises UserError for a broken file.
    """
    absent: dict[str, str] = {}
    loaded: dict[str, list[Record]] = {}
    for source, view in PUBLIC.items():
        try:
            source_files(source, data_root, outputs_root)
        except UserError as error:
            absent[source] = str(error)
            loaded[source] = []
        else:
            loaded[source] = deduplicated(load_source(source, dataset, data_root, outputs_root, 0, view))
    named = [(name, record) for name, records in loaded.items() for record in records]
    free = [replace(record, meta=without_pin(record.meta)) for _, record in named]
    grouped: dict[str, list[Record]] = {name: [] for name in loaded}
    trained = set()
    for (name, record), before, united in zip(named, free, with_groups(free), strict=True):
        grouped[name].append(replace(united, meta=record.meta))
        if seen and not seen.isdisjoint(keys_of(before)):
            trained.add(united.group)
    return Sources(grouped, absent, frozenset(trained))


MATHDIAL_DIALOGUES = 60  # of the longest source
SCIENCE_ANSWERS = 600  # of thousands
R = TypeVar("R", Conversation, ResponseGroup)
T = TypeVar("T")
# The parts that metrics read (see `registry.READS`); each is an attribute of `SuiteData`.
PARTS = (
    "mrbench", "mrbench_training", "bridge", "bridge_training", "mathdial", "mathdial_training",
    "gsm8k", "stepverify", "cogtutorbugs", "semeval2013", "semeval2013_training", "mathchat",
    "own", "own_training", "own_conversations", "own_conversations_training",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Settings of every metric, part of a stored result's key.

    `margin`: least difference of two human scores that makes a pair in the public sets; in a data set of one's own that
    is `dataset.margin`. `max_length`: tokens of prompt and reply; a longer
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
        self._trained_on: set[tuple[str, str]] = set()  # source and id of records that are therefore not measured on
        self._fingerprints: dict[str, str] = {}

    @functools.cached_property
    def mrbench(self) -> list[ResponseGroup]:
        """Dialogues with eight or nine annotated replies each (both published versions, see `merge_versions`)."""
        return self._held_out("mrbench", ResponseGroup)

    @functools.cached_property
    def mrbench_training(self) -> list[ResponseGroup]:
        """The training side of the same: what tutor prior and surface baselines may read."""
        return self._side("mrbench", "train", ResponseGroup)

    @functools.cached_property
    def bridge(self) -> list[ResponseGroup]:
        """An expert's reply over a novice's, one pair a dialogue."""
        return self._held_out("bridge", ResponseGroup)

    @functools.cached_property
    def bridge_training(self) -> list[ResponseGroup]:
        return self._side("bridge", "train", ResponseGroup)

    @functools.cached_property
    def mathdial(self) -> list[Conversation]:
        """Whole dialogues; every teacher turn is marked as trained. Those that were put together again are left out."""
        return self._kept("mathdial", _whole(self._side("mathdial", self.settings.split, Conversation)))

    @functools.cached_property
    def mathdial_training(self) -> list[Conversation]:
        return _whole(self._side("mathdial", "train", Conversation))

    @functools.cached_property
    def gsm8k(self) -> list[Conversation]:
        """GSM8K's official test problems whose question no source has on its training side.

        `meta`: `problem`, `gold_answer`. Validation takes those that the split's hash puts there, test all others, so
        that nothing chosen on the one was seen in the other.
        """
        held = [r for r in self._sources.records["gsm8k_socratic"] if PINNED in r.meta and isinstance(r, Conversation)]
        free = {
            record.group
            for records in self._sources.records.values()
            for record in records
            if PINNED not in record.meta and self._hashed(record) == "train"
        }
        validation = self.settings.split == "validation"
        chosen = [r for r in held if r.group not in free and (self._hashed(r) == "validation") == validation]
        return self._kept("gsm8k_socratic", chosen)

    @functools.cached_property
    def stepverify(self) -> list[Conversation]:
        """Wrong solutions whose first wrong step teachers marked. `meta`: see `sources/stepverify.py`."""
        found = self._measured_on("stepverify", "conversation")
        return choose([record for record in found if isinstance(record, Conversation)], self.settings.max_groups)

    @functools.cached_property
    def cogtutorbugs(self) -> list[ResponseGroup]:
        """Feedback on a wrong step over feedback on another step of its equation; of an equation all or none."""
        found = self._measured_on("cogtutorbugs", "preference")
        equations = sorted({record.group for record in found}, key=sha256)[: self.settings.max_groups]
        return [record for record in found if isinstance(record, ResponseGroup) and record.group in equations]

    @functools.cached_property
    def semeval2013(self) -> list[ResponseGroup]:
        """At most SCIENCE_ANSWERS pupils' answers to questions of science, and two verdicts on each."""
        found = self._measured_on("semeval2013", "preference")
        most = SCIENCE_ANSWERS if self.settings.max_groups is None else min(SCIENCE_ANSWERS, self.settings.max_groups)
        return choose([record for record in found if isinstance(record, ResponseGroup)], most)

    @functools.cached_property
    def semeval2013_training(self) -> list[ResponseGroup]:
        found = self._measured_on("semeval2013", "preference", "train")
        return [record for record in found if isinstance(record, ResponseGroup)]

    @functools.cached_property
    def mathchat(self) -> list[Conversation]:
        """Every hint and every analysis, on whatever side: a rule is checked on them, and no model is asked."""
        try:
            source_files("mathchat", self.data_root, self.outputs_root)
        except UserError as error:
            raise SourceAbsentError(f"mathchat is not there: {error}") from None
        loaded = load_source("mathchat", self.dataset, self.data_root, self.outputs_root, 0, "conversation")
        return [record for record in loaded.records if isinstance(record, Conversation)]

    @functools.cached_property
    def own(self) -> list[ResponseGroup]:
        """Held-out groups of the run's own data set, where that is none of the public ones above."""
        groups = self._own(self.settings.split, "preference")
        return self._kept("own", [record for record in groups if isinstance(record, ResponseGroup)])

    @functools.cached_property
    def own_training(self) -> list[ResponseGroup]:
        held = {group.group for group in self.own}
        groups = self._own("train", "preference")
        return [record for record in groups if isinstance(record, ResponseGroup) and record.group not in held]

    @functools.cached_property
    def own_conversations(self) -> list[Conversation]:
        """Held-out conversations of the run's own data set; of scored replies, the best one's."""
        records = self._own(self.settings.split, "conversation")
        return self._kept("own", [record for record in records if isinstance(record, Conversation)])

    @functools.cached_property
    def own_conversations_training(self) -> list[Conversation]:
        held = {talk.group for talk in self.own_conversations}
        records = self._own("train", "conversation")
        return [record for record in records if isinstance(record, Conversation) and record.group not in held]

    def fingerprint(self, part: str) -> str:
        """sha256 over a part's records, and over the margin of its pairs; "absent" for one that is not there."""
        if part not in self._fingerprints:
            try:
                found = fingerprint_of(getattr(self, part))
                self._fingerprints[part] = sha256(f"{found} {self.dataset.margin}") if part == "own" else found
            except SourceAbsentError:
                self._fingerprints[part] = "absent"
        return self._fingerprints[part]

    @property
    def left_out(self) -> int:
        """How many records of the parts read so far are not measured on: their question was trained on."""
        return len(self._trained_on)

    @functools.cached_property
    def _sources(self) -> Sources:
        return read_sources(self.dataset, self.data_root, self.outputs_root, self.seen)

    @property
    def absent(self) -> dict[str, str]:
        """Source to the reason why it is not there."""
        return self._sources.absent

    def _hashed(self, record: Record) -> str:
        return side(record.group, *cut_of(self.dataset))

    def _side(self, source: str, split: str, kind: type[R]) -> list[R]:
        records = [r for r in self._sources.records[source] if isinstance(r, kind) and self._hashed(r) == split]
        if not self._sources.records[source]:
            raise SourceAbsentError(f"{source} is not there: {self.absent.get(source, 'its file holds no record')}")
        system = self.dataset.system_prompt
        return [cast(R, with_system(record, system)) for record in records] if system else records

    def _held_out(self, source: str, kind: type[R]) -> list[R]:
        return self._kept(source, self._side(source, self.settings.split, kind))

    def _measured_on(self, source: str, view: str, split: str | None = None) -> list[Record]:
        """Unseen records of the measured split, or of `split`, from a source that moves no group of the public ones.

        A question that these have is on the side where it is with them. Raises SourceAbsentError without files or
        records.
        """
        try:
            source_files(source, self.data_root, self.outputs_root)
        except UserError as error:
            raise SourceAbsentError(f"{source} is not there: {error}") from None
        records = deduplicated(load_source(source, self.dataset, self.data_root, self.outputs_root, 0, view))
        known = {key: other.group for others in self._sources.records.values() for other in others
                 for key in (*keys_of(other), problem_key(other.meta.get("problem") or other.id))}  # fmt: skip
        tied = [replace(each, group=next((known[key] for key in keys_of(record) if key in known), each.group))
                for record, each in zip(records, with_groups(records), strict=True)]  # fmt: skip
        trained = {each.group for record, each in zip(records, tied, strict=True)
                   if not self.seen.isdisjoint(keys_of(record))} | self._sources.trained | self.seen  # fmt: skip
        part = [record for record in tied if self._hashed(record) == (split or self.settings.split)]
        held = [record for record in part if record.group not in trained]
        if split is None:
            self._note(part, held)
        if not held:
            raise SourceAbsentError(f"{source}: the {split or self.settings.split} split holds no unseen record of it")
        system = self.dataset.system_prompt
        return [with_system(record, system) for record in held] if system else held

    def _kept(self, source: str, records: Sequence[R]) -> list[R]:
        """Unseen records, at most `max_groups` of them. Raises SourceAbsentError where none is left."""
        unseen = [r for r in records if r.group not in self._sources.trained | self.seen]
        self._note(records, unseen)
        if not unseen:
            why = self.absent.get(source, f"the {self.settings.split} split holds no unseen record of it")
            raise SourceAbsentError(f"{source} is not there: {why}")
        return choose(unseen, self.settings.max_groups)

    def _note(self, records: Iterable[Record], unseen: Iterable[Record]) -> None:
        kept = {(record.source, record.id) for record in unseen}
        self._trained_on |= {(record.source, record.id) for record in records} - kept

    def _own(self, split: str, view: str) -> list[Record]:
        able = PREFERENCE_SOURCES if view == "preference" else CONVERSATION_SOURCES
        sources = [name for name in self.dataset.sources if name not in PUBLIC and name in able]
        if not sources:
            raise SourceAbsentError(f"the run has no data set with a {view} view beside the public ones")
        return self._own_splits(tuple(sources), view)[split]

    @functools.lru_cache(maxsize=4)  # noqa: B019 - as long as the data
    def _own_splits(self, sources: tuple[str, ...], view: str) -> Mapping[str, list[Record]]:
        """Raises SourceAbsentError where the files can be read, but as conversations only."""
        cut = replace(self.dataset, sources=list(sources), contrast_sources=[])
        try:
            return load_records(cut, self.data_root, self.outputs_root, cut.generation_seed, view).splits
        except UserError:
            if view != "preference":
                raise
            self._own_splits(sources, "conversation")  # raises what is wrong with the files, if anything is
            raise SourceAbsentError("the run's own data holds conversations and no scored replies") from None


def _whole(talks: Sequence[Conversation]) -> list[Conversation]:
    """The dialogues whose question was never lost: results stay comparable wherever the others are read beside them."""
    return [talk for talk in talks if "question_from" not in talk.meta]


def available(read: Callable[[], list[T]]) -> list[T]:
    """A part of the data, empty where its source is absent: the other sources are measured without it."""
    try:
        return read()
    except SourceAbsentError:
        return []


def require_any(prompts: Sequence[Prompt]) -> Sequence[Prompt]:
    """The prompts. Raises SourceAbsentError where there are none."""
    if not prompts:
        raise SourceAbsentError("none of MRBench, Bridge and MathDial is there")
    return prompts


def mathdial_dialogues(data: SuiteData) -> list[Conversation]:
    """At most MATHDIAL_DIALOGUES of MathDial's dialogues, by the hash of their text."""
    by_hash = {digest(dialogue.messages): dialogue for dialogue in available(lambda: data.mathdial)}
    return [by_hash[key] for key in sorted(by_hash)[:MATHDIAL_DIALOGUES]]


def with_sample_note(result: MetricResult, data: SuiteData) -> MetricResult:
    """The result with a sentence on how many of MathDial's dialogues were used, where not all were."""
    every, used = len(available(lambda: data.mathdial)), len(mathdial_dialogues(data))
    note = f"{used} of MathDial's {every} dialogues, those of the smallest content hash."
    return replace(result, notes=(note, *result.notes)) if used < every else result
