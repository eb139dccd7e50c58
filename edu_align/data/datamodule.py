"""What one run reads: training examples, validation examples, and what is held out to measure on."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from edu_align.config.metrics import is_held_out
from edu_align.config.schema import (
    CHECK_SOURCES,
    GRADED_LOSSES,
    PREFERENCE_SOURCES,
    Config,
    DPOTrainerConfig,
    KTOTrainerConfig,
)
from edu_align.data.contrast import beyond_style, constructed_note
from edu_align.data.dataset import LoadedData, load_records
from edu_align.data.labels import as_steps, joined, labelled, measurable, weights_note
from edu_align.data.mixing import describe, mixed, record_of
from edu_align.data.pairs import in_steps, subsample, training_pairs
from edu_align.data.split import folds_note
from edu_align.records import Conversation, Graded, LabelledReply, Pair, Record, ResponseGroup
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import write_text
from edu_align.utils.words import listed

SPLIT_FILE = "split.json"
GROUPS_FILE = "training_groups.json"  # in the folder of a run's weights
# The built-in corpus names a reply's author after its quality, so "who wrote it" would be the label itself.
AUTHOR_IS_QUALITY = "edu_tutor"
VIEW = {"conversations": "conversation", "preferences": "preference", "labels": "labels"}  # `trainer.reads` -> view
# Examples of which several share a prompt.
KINDS = {Pair: "pairs", LabelledReply: "labelled replies", Graded: "graded replies"}


@dataclass(frozen=True)
class TrainingData:
    """`train` and `validation` hold conversations (sft), pairs (dpo, a reward model of pairs), labelled replies (kto)
    or graded replies (a reward model of scores), those of one prompt next to each other.

    `groups` and `conversations` are the records of the measured split, `training_groups` what the tutor prior reads.
    `batch_size` is the effective batch, in training examples. `scored_fingerprint` is that of the records that `groups`
    come from, where they are read apart from the training examples (sft). `seen`: groups that the runs before this one
    were trained on. `choosing`: with the records of the validation part as measured ones, where `trainer.keep_metric`
    is measured on them.
    """

    loaded: LoadedData
    train: list[Any]
    validation: list[Any]
    batch_size: int
    groups: list[ResponseGroup] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    training_groups: list[ResponseGroup] = field(default_factory=list)
    scored_fingerprint: str | None = None
    seen: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    choosing: "TrainingData | None" = None

    def describe(self) -> str:
        """What was read, left out and kept, for people."""
        kind = KINDS.get(type(self.train[0]), "conversations") if self.train else "conversations"
        chosen = kind != "conversations"
        prompts = len({example.group.id for example in self.train}) if chosen else len(self.train)
        of = f" of {prompts} prompts, {self.prompts_per_step():.1f} prompts in a step" if chosen else ""
        sizes = f"training on {len(self.train)} {kind}{of}, validation {len(self.validation)}"
        used = self.describe_sources()
        return "\n".join([self.loaded.describe(), sizes, *([used] if used else []), *self.notes])

    def describe_sources(self) -> str:
        """How much of each source is trained on; "" where there is one."""
        kind = KINDS.get(type(self.train[0]), "conversations") if self.train else "conversations"
        return describe(self.train, Counter(record.source for record in self.loaded.splits["train"]), kind)

    def prompts_per_step(self) -> float | None:
        """Distinct prompts in a step of `batch_size` pairs or replies, on average; None for conversations.

        Those of one prompt are not independent, so this is the batch that counts where they are trained together.
        """
        if not self.train or type(self.train[0]) not in KINDS:
            return None
        steps = [self.train[i : i + self.batch_size] for i in range(0, len(self.train), self.batch_size)]
        return sum(len({pair.group.id for pair in step}) for step in steps) / len(steps)

    def facts(self) -> dict[str, Any]:
        """Counts and fingerprints for run.json."""
        batch = {"batch_size": self.batch_size, "prompts_per_step": self.prompts_per_step()}
        used = Counter(record_of(example).source for example in self.train)
        several = {"train_examples_by_source": dict(used)} if len(used) > 1 else {}
        counts = {"train_examples": len(self.train), **several, **batch, "notes": list(self.notes)}
        good = [example.good for example in self.train if isinstance(example, LabelledReply)]
        labels = {"labels": {"good": sum(good), "bad": len(good) - sum(good)}} if good else {}
        return {**self.loaded.report, **counts, **labels}

    def write_split(self, folder: Path) -> None:
        """Write which record went where, and the groups that training may have seen, into the run's folder.

        Those that the runs before it have seen are among them, so that nobody needs the folders of those.
        """
        splits = self.loaded.splits
        manifest = {
            "records": {name: sorted(record.id for record in records) for name, records in splits.items()},
            "training_groups": self.groups_trained_on(),
        }
        write_text(folder / SPLIT_FILE, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")

    def groups_trained_on(self) -> list[str]:
        """The groups of this run's training split and of those of the runs before it, sorted."""
        return sorted({record.group for record in self.loaded.splits["train"]} | self.seen)


def trained_groups(runs: Iterable[Path]) -> set[str]:
    """Groups that these earlier runs trained on, from their split files, or from beside weights that came without.

    Errors: a run that has neither.
    """
    seen: set[str] = set()
    for run in runs:
        if (run / SPLIT_FILE).is_file():
            seen |= _groups_in(run / SPLIT_FILE)
            continue
        beside = next((file for kind in ("adapter", "model") if (file := run / kind / GROUPS_FILE).is_file()), None)
        if beside is None:
            raise UserError(
                f"{run} does not say what it was trained on, so nobody knows what may be measured: it has neither "
                f"{SPLIT_FILE} nor adapter/{GROUPS_FILE}. Copy one of them from where the run was made."
            )
        seen |= _groups_in(beside)
    return seen


def _groups_in(file: Path) -> set[str]:
    try:
        found = json.loads(file.read_bytes())
        return set(map(str, found["training_groups"] if file.name == SPLIT_FILE else found))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{file} cannot be read ({first_line(error)}), and only it says what its run was trained on. Copy it again "
            "from where the run was made."
        ) from None


def training_data(config: Config, seen: set[str]) -> TrainingData:
    """Everything that `config` trains and measures on; records of groups in `seen` are not measured on.

    Errors: an unusable data set, one that is never trained on, no training example, nothing held out.
    """
    _check_trained(config)
    loaded = _load(config, VIEW[config.trainer.reads], list(config.dataset.sources))
    train, validation = (examples(config, loaded, split) for split in ("train", "validation"))
    if not train and config.trainer.reads != "labels":
        raise UserError(
            f"`dataset={config.dataset.name}` gives no training example: no two replies differ by `dataset.margin="
            f"{config.dataset.margin}` (dataset.training_margin={config.dataset.training_margin}). Lower it.\n"
            f"{loaded.describe()}"
        )
    validation = validation[: config.dataset.max_eval_records]
    notes = (*_notes(config, loaded, train), *folds_note(config.dataset))
    data = TrainingData(loaded, train, validation, config.trainer.batch_size, seen=frozenset(seen), notes=notes)
    if not config.evaluation.enabled:
        return data
    held = _with_held_out(config, data, config.evaluation.split)
    if not is_held_out(config.trainer.keep_metric):
        return held
    validation_part = config.evaluation.split == "validation"
    return replace(held, choosing=held if validation_part else _with_held_out(config, data, "validation"))


def _check_trained(config: Config) -> None:
    given = (*config.dataset.sources, *config.dataset.contrast_sources)
    checks = [name for name in given if name in CHECK_SOURCES]
    if checks:
        raise UserError(
            f"`dataset={config.dataset.name}` holds {listed(checks)}, which is for checks only and never trained on: "
            "its questions are GSM8K's test, on which every model is measured. Take it out of dataset.sources."
        )


def _notes(config: Config, loaded: LoadedData, train: list[Any]) -> tuple[str, ...]:
    if config.trainer.reads == "labels":
        return _label_notes(config, loaded, train)
    return tuple(filter(None, [constructed_note(pair for pair in train if isinstance(pair, Pair))]))


def _label_notes(config: Config, loaded: LoadedData, train: list[LabelledReply]) -> tuple[str, ...]:
    """What became of the training replies. Errors: there are none, or all of them have one label."""
    trainer, dataset = config.trainer, config.dataset
    assert isinstance(trainer, KTOTrainerConfig)
    good = sum(reply.good for reply in train)
    if good in (0, len(train)):
        kind = f"{len(train)} are all {'good' if good else 'bad'}" if train else "there is none"
        raise UserError(
            f"`trainer={trainer.algorithm}` needs good and bad replies to train on, and {kind} with dataset.threshold="
            f"{'null' if dataset.threshold is None else f'{dataset.threshold:g}'}. "
            f"{'Raise' if good else 'Lower'} it, or add data.\n{loaded.describe()}"
        )
    groups = [record for record in loaded.splits["train"] if isinstance(record, ResponseGroup)]
    left_out = labelled(groups, dataset).left_out
    told = [f"{count} training replies {why}: left out" for why, count in left_out.items()]
    weights = weights_note(good, len(train) - good, trainer.desirable_weight, trainer.undesirable_weight)
    return tuple(filter(None, [*told, f"labels: {good} good, {len(train) - good} bad", weights]))


def _load(config: Config, view: str, sources: list[str]) -> LoadedData:
    dataset = replace(config.dataset, sources=sources)
    return load_records(dataset, config.data_root, config.outputs_root, dataset.generation_seed, view)


def _with_held_out(config: Config, data: TrainingData, split: str) -> TrainingData:
    """Add the records of `split`: response groups where the sources have them, conversations for SFT."""
    sources = [name for name in config.dataset.sources if name in PREFERENCE_SOURCES]
    preference = _groups_of(config, sources) if config.trainer.reads == "conversations" else data.loaded
    trained = set(data.groups_trained_on())
    notes = list(data.notes)

    def unseen(records: Iterable[Record], kind: str) -> list[Any]:
        every = list(records)
        kept = [record for record in every if record.group not in trained]
        if len(kept) < len(every):
            notes.append(f"not measured on {len(every) - len(kept)} {kind}: their question was trained on")
        return kept

    held = preference.splits if preference else {}
    groups = unseen((r for r in held.get(split, []) if isinstance(r, ResponseGroup)), "response groups")
    talks = unseen((r for r in data.loaded.splits[split] if isinstance(r, Conversation)), "conversations")
    if config.trainer.reads == "labels":
        groups, talks = measurable(groups, config.dataset)
    if not groups and not talks:
        chosen_by = f"trainer.keep_metric={config.trainer.keep_metric}` is measured on the validation part, which"
        asked = f"evaluation.split={split}`" if split == config.evaluation.split else chosen_by
        raise UserError(
            f"`{asked} holds no record of `dataset={config.dataset.name}`. Add data, raise "
            f"dataset.{split}_fraction, or set evaluation.enabled=false.\n{data.loaded.describe()}"
        )
    known = [r for r in held.get("train", []) if isinstance(r, ResponseGroup)]
    tested = {group.group for group in groups}
    prior = [group for group in known if group.group not in tested and group.source != AUTHOR_IS_QUALITY]
    scored = preference.fingerprint if preference and preference is not data.loaded else None
    return replace(
        data, groups=groups, conversations=talks, training_groups=prior, scored_fingerprint=scored, notes=tuple(notes)
    )


def _groups_of(config: Config, sources: list[str]) -> LoadedData | None:
    if "local" in sources and config.trainer.reads == "conversations":
        sources = [name for name in sources if name != "local"]  # a conversation file has no scored replies
    return _load(config, "preference", sources) if sources else None


def examples(config: Config, loaded: LoadedData, split: str) -> list[Any]:
    """Conversations, or pairs or labelled replies with those of one prompt next to each other, in an order drawn by
    the seed.
    """
    dataset = config.dataset
    records = loaded.require("train") if split == "train" else loaded.splits[split]
    order = list(records)
    Random(config.seed).shuffle(order)
    if config.trainer.reads == "conversations":
        if split == "train":
            order = mixed(order, dataset.weights, dataset.max_per_source, config.seed)
        return subsample(order, dataset.max_train_records if split == "train" else None, config.seed)
    groups = [record for record in order if isinstance(record, ResponseGroup)]
    if isinstance(config.trainer, KTOTrainerConfig):
        return _replies(config, config.trainer.batching, groups, split)
    if getattr(config.trainer, "reward_loss", "") in GRADED_LOSSES:
        graded = [Graded(group, place) for group in groups for place in range(len(group.responses))]
        if split == "train":
            graded = mixed(graded, dataset.weights, dataset.max_per_source, config.seed)[: dataset.max_train_records]
        return in_steps(graded, config.trainer.batch_size, config.seed)
    margin = dataset.training_margin if split == "train" and dataset.training_margin is not None else dataset.margin
    pairs = training_pairs(groups, margin, dataset.max_pairs_per_group, config.seed, dataset.drop_unfit_chosen)
    if split == "train":
        if dataset.balance_authors or dataset.contrast_per_prompt:
            pairs = beyond_style(pairs, order, dataset, config.seed)
        pairs = mixed(pairs, dataset.weights, dataset.max_per_source, config.seed)
        pairs = pairs[: dataset.max_train_records]  # whole prompts, in their drawn order
    if split == "train" and isinstance(config.trainer, DPOTrainerConfig) and config.trainer.batching == "pairs":
        Random(config.seed).shuffle(pairs)
        return pairs
    return in_steps(pairs, config.trainer.batch_size, config.seed)


def _replies(config: Config, batching: str, groups: list[ResponseGroup], split: str) -> list[LabelledReply]:
    """Labelled replies in the order in which they are trained, or those that are validated: of both kinds, too."""
    dataset, seed = config.dataset, config.seed
    replies = labelled(joined(groups), dataset).replies
    if split != "train":
        drawn = {id(reply) for reply in as_steps(replies, "replies", seed)[: dataset.max_eval_records]}
        return [reply for reply in replies if id(reply) in drawn]
    replies = mixed(replies, dataset.weights, dataset.max_per_source, seed)
    replies = as_steps(replies, batching, seed)[: dataset.max_train_records]
    return in_steps(replies, config.trainer.batch_size, seed) if batching == "prompts" else replies
