"""The dialogues that a tutor answers: of its training part to learn from, of its validation part to be measured on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edu_align.config.schema import RoundsConfig
from edu_align.data.datamodule import trained_groups
from edu_align.data.dataset import load_records
from edu_align.iterating.plan import Plan
from edu_align.models.chat_template import TemplateError, chat_ids
from edu_align.records import Conversation, Record
from edu_align.rewards.asked import Asked
from edu_align.rewards.registry import REWARDS, lacking
from edu_align.runs.folder import ancestors
from edu_align.training.grpo_rows import asked_of, with_words
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import digest


@dataclass(frozen=True)
class Dialogue:
    """A dialogue that ends with the student, with the token ids of its prompt. `group` is the cluster it belongs to."""

    asked: Asked
    group: str
    ids: tuple[int, ...]

    @property
    def id(self) -> str:
        return self.asked.id


@dataclass(frozen=True)
class Dialogues:
    """Those that can be answered, in an order drawn by the seed. `fingerprint`: of the data that they come from."""

    train: list[Dialogue]
    validation: list[Dialogue]
    fingerprint: str
    notes: tuple[str, ...]

    def of_round(self, number: int, asked: RoundsConfig) -> list[Dialogue]:
        """Those that are answered in round `number` (from 1): the next ones, and the first again after the last."""
        many = len(self.train)
        first = (number - 1) * asked.prompts
        return [self.train[(first + place) % many] for place in range(min(asked.prompts, many))]


def read_dialogues(plan: Plan, tokenizer: Any) -> Dialogues:
    """The dialogues of the run's own data.

    Training ones are of groups that the run was trained on; validation ones of groups that neither it nor a run before
    it was; the test part is not touched. Errors: none is left of one of them, and why.
    """
    config, dataset = plan.config, plan.config.dataset
    loaded = load_records(dataset, config.data_root, config.outputs_root, dataset.generation_seed, "conversation")
    own, seen = trained_groups([plan.run.path]), trained_groups(ancestors(plan.run))
    train = [record for record in loaded.splits["train"] if record.group in own]
    validation = [record for record in loaded.splits["validation"] if record.group not in seen]
    people = asked_of(_talks(train))
    notes: list[str] = []
    both = []
    for part, records in (("training", train), ("validation", validation)):
        found = _dialogues(plan, tokenizer, records, people, part, notes)
        if not found:
            said = "\n".join([*(f"edu_align: {note}" for note in notes), loaded.describe()])
            raise UserError(
                f"`run={plan.run.path.name}`: its {part} part holds no dialogue that a tutor could answer. Start "
                f"from a run of more data, or of another scorer.\n{said}"
            )
        both.append(found)
    return Dialogues(both[0], both[1][: plan.asked.validation], loaded.fingerprint, tuple(notes))


def _talks(records: Iterable[Record]) -> list[Conversation]:
    return [record for record in records if isinstance(record, Conversation)]


def _dialogues(
    plan: Plan, tokenizer: Any, records: Sequence[Record], people: Sequence[Asked], part: str, notes: list[str]
) -> list[Dialogue]:
    """The dialogues of one part in their drawn order; adds to `notes` what was left out."""
    longest = plan.training.trainer.max_length - plan.asked.max_new_tokens
    needed = [name for name in plan.asked.weights if name in REWARDS]
    groups = {asked.id: talk.group for talk in _talks(records) for asked in asked_of([talk])}
    every = sorted(asked_of(_talks(records)), key=lambda asked: digest(plan.seed, part, asked.id))
    found, lack, long, refused = list[Dialogue](), dict[str, int](), 0, 0
    for asked in with_words(every, people):
        if without := lacking(needed, asked):
            lack[without[0]] = lack.get(without[0], 0) + 1
            continue
        try:
            ids = tuple(chat_ids(tokenizer, asked.turns, reply_next=True))
        except TemplateError:
            refused += 1
            continue
        if len(ids) > longest:
            long += 1
            continue
        found.append(Dialogue(asked, groups[asked.id], ids))
    left_out = [f"{many} of them lack what {name} needs: {REWARDS[name].needs}" for name, many in lack.items()]
    left_out += [f"{long} are longer than {longest} tokens (trainer.max_length - rounds.max_new_tokens)"] * bool(long)
    left_out += [f"{refused} are refused by the chat template"] * bool(refused)
    if left_out:
        notes.append(f"of {len(every)} {part} dialogues, left out: {'; '.join(left_out)}")
    return found
