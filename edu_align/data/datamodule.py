"""What one run reads: training examples, validation examples, and what is held out to measure on."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from edu_align.config.schema import GRADED_LOSSES, PREFERENCE_SOURCES, Config, DPOTrainerConfig
from edu_align.data.contrast import beyond_style
from edu_align.data.dataset import LoadedData, load_records
from edu_align.data.pairs import in_steps, subsample, training_pairs
from edu_align.records import Conversation, Graded, Pair, Record, ResponseGroup
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.files import write_text

SPLIT_FILE = "split.json"
GROUPS_FILE = "training_groups.json"  # in the folder of a run's weights
# The built-in corpus names a reply's author after its quality, so "who wrote it" would be the label itself.
AUTHOR_IS_QUALITY = "edu_tutor"
KINDS = {Pair: "pairs", Graded: "graded replies"}  # examples of which several share a prompt


@dataclass(frozen=True)
class TrainingData:
    """`train` and `validation` hold conversations (sft), pairs (dpo, those of one prompt next to each other) or graded
    replies (a reward model of scores, likewise).

    `groups` and `conversations` are the records of the measured split, `training_groups` what the tutor prior reads.
    `batch_size` is the effective batch, in training examples. `scored_fingerprint` is that of the records that `groups`
    come from, where they are read apart from the training examples (sft). `seen`: groups that the runs before this one
    were trained on.
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

    def describe(self) -> str:
        """What was read, left out and kept, for people."""
        kind = KINDS.get(type(self.train[0]), "conversations") if self.train else "conversations"
        together = kind != "conversations"
        prompts = len({example.group.id for example in self.train}) if together else len(self.train)
        of = f" of {prompts} prompts, {self.prompts_per_step():.1f} prompts in a step" if together else ""
        sizes = f"training on {len(self.train)} {kind}{of}, validation {len(self.validation)}"
        return "\n".join([self.loaded.describe(), sizes, *self.notes])

    def prompts_per_step(self) -> float | None:
        """Distinct prompts in a step of `batch_size` pairs or graded replies, on average; None for conversations.

        The pairs of one prompt are not independent, so this is the batch that counts where they are trained together.
        """
        if not self.train or type(self.train[0]) not in KINDS:
            return None
        steps = [self.train[i : i + self.batch_size] for i in range(0, len(self.train), self.batch_size)]
        return sum(len({pair.group.id for pair in step}) for step in steps) / len(steps)

    def facts(self) -> dict[str, Any]:
        """Counts and fingerprints for run.json."""
        batch = {"batch_size": self.batch_size, "prompts_per_step": self.prompts_per_step()}
        return {**self.loaded.report, "train_examples": len(self.train), **batch, "notes": list(self.notes)}

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

    Errors: an unusable data set, no training example, nothing held out.
    """
    preference = config.trainer.reads == "preferences"
    loaded = _load(config, "preference" if preference else "conversation", list(config.dataset.sources))
    train, validation = (examples(config, loaded, split) for split in ("train", "validation"))
    if not train:
        raise UserError(
            f"`dataset={config.dataset.name}` gives no training example: no two replies differ by `dataset.margin="
            f"{config.dataset.margin}` (dataset.training_margin={config.dataset.training_margin}). Lower it.\n"
            f"{loaded.describe()}"
        )
    validation = validation[: config.dataset.max_eval_records]
    data = TrainingData(loaded, train, validation, config.trainer.batch_size, seen=frozenset(seen))
    return _with_held_out(config, data) if config.evaluation.enabled else data


def _load(config: Config, view: str, sources: list[str]) -> LoadedData:
    dataset = replace(config.dataset, sources=sources)
    return load_records(dataset, config.data_root, config.outputs_root, dataset.generation_seed, view)


def _with_held_out(config: Config, data: TrainingData) -> TrainingData:
    """Add the records of `evaluation.split`: response groups where the sources have them, conversations for SFT."""
    split = config.evaluation.split
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
    if not groups and not talks:
        raise UserError(
            f"`evaluation.split={split}` holds no record of `dataset={config.dataset.name}`. Add data, raise "
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
    """Conversations, or pairs with those of one prompt next to each other, in an order drawn by the seed."""
    dataset = config.dataset
    records = loaded.require("train") if split == "train" else loaded.splits[split]
    order = list(records)
    Random(config.seed).shuffle(order)
    if config.trainer.reads == "conversations":
        return subsample(order, dataset.max_train_records if split == "train" else None, config.seed)
    groups = [record for record in order if isinstance(record, ResponseGroup)]
    if getattr(config.trainer, "reward_loss", "") in GRADED_LOSSES:
        graded = [Graded(group, place) for group in groups for place in range(len(group.responses))]
        graded = graded[: dataset.max_train_records] if split == "train" else graded
        return in_steps(graded, config.trainer.batch_size, config.seed)
    margin = dataset.training_margin if split == "train" and dataset.training_margin is not None else dataset.margin
    pairs = training_pairs(groups, margin, dataset.max_pairs_per_group, config.seed, dataset.drop_unfit_chosen)
    if split == "train":
        if dataset.balance_authors or dataset.contrast_per_prompt:
            pairs = beyond_style(pairs, order, dataset, config.seed)
        pairs = pairs[: dataset.max_train_records]  # whole prompts, in their drawn order
    if split == "train" and isinstance(config.trainer, DPOTrainerConfig) and config.trainer.batching == "pairs":
        Random(config.seed).shuffle(pairs)
        return pairs
    return in_steps(pairs, config.trainer.batch_size, config.seed)
