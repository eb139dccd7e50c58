"""Does the student get further? A tutor talks with simulated students, and their next work is what counts.

After PedagogicalRL (Dinucu-Jianu et al. 2025, arXiv:2505.15607: solve rate and leaked solutions over whole dialogues)
and MathDial (Macina et al. 2023, arXiv:2305.14536: success and telling). Two students: one that executes a
misconception of the built-in corpus, whose answers are exact and whose rule is known, and one that the base model
plays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from random import Random

from edu_align.evaluation.suite.corpus import Posed, posed, trained_on
from edu_align.evaluation.suite.data import Settings, SourceAbsentError, SuiteData, available
from edu_align.evaluation.suite.leak import CONSTANT, leaks, open_ones, stands_in, value_of
from edu_align.evaluation.suite.prompts import Prompt, chosen, generate, golds, of_groups
from edu_align.evaluation.suite.reply_text import addresses, agrees
from edu_align.evaluation.suite.results import MetricResult, Subject
from edu_align.evaluation.suite.retention import final
from edu_align.evaluation.suite.talks import Student, Talk, Try, Tutor, saying, talks, talks_metric
from edu_align.records import Conversation, Message
from edu_align.tutoring.dialogue import next_try
from edu_align.tutoring.text import mentions

CELL = "held_out"  # of the corpus: misconceptions and wordings that no training held
STUDENTS = 60  # that execute a misconception, several draws of each
PLAYED = 40  # that the base model plays
SEED = 9  # of the wording of the executed student's next tries
EXECUTED_WHO = (
    "The student executes a misconception of the built-in corpus. It corrects its work where the tutor's reply points "
    "at the place of the mistake or asks about it; it copies an answer that it is told; it leaves where it is told "
    "that its wrong work is right, or nothing; after any other reply it does the same work again."
)
PLAYED_WHO = (
    "The student is played by the base model, which is shown the dialogue and asked for the student's next turn; its "
    "final number is compared with the answer."
)


@dataclass(frozen=True)
class Executed:
    """Students whose misconception is executed, by item; what a reply does to one is decided by EXECUTED_WHO's rule."""

    posed: Mapping[str, Posed]

    def __call__(self, heard: Sequence[Talk]) -> list[Try]:
        return [self._next(talk, self.posed[talk.item]) for talk in heard]

    def _next(self, talk: Talk, one: Posed) -> Try:
        told = mentions(talk.reply, one.case.answer)
        right = told or addresses(talk.reply, one.prompt.meta)
        rng = Random(f"student/{SEED}/{talk.item}/{talk.used}")
        text = next_try(one.case, right, one.words, rng)
        return Try(text, right, told, leaves=not right and agrees(talk.reply, one.prompt.meta))


def student(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Talks with students that execute a held-out misconception of the built-in corpus, four turns at most.

    Measured: who got it right without being told, who got it right at all, who was told, and the turns that it took.
    Baselines on the same students: a constant reply, the answer told at once, and the student's own words said back.
    """
    most = STUDENTS if settings.max_groups is None else min(STUDENTS, settings.max_groups)
    every = posed(CELL, settings.split, trained_on(data), most)
    students = {one.prompt.item: one for one in every if not mentions(one.prompt.text, one.case.answer)}
    prompts = [one.prompt for one in students.values()]
    pupil = Executed(students)
    own = talks(prompts, partial(_model, subject, settings), pupil)
    rules = _rules(prompts, pupil, {item: one.case.answer for item, one in students.items()})
    rules["copy of the student"] = talks(prompts, saying(lambda one: one.turns[-1].content), pupil)
    drawn = len({one.group for one in prompts})
    note = f"{len(prompts)} students of {drawn} misconceptions; each is a problem and a wording drawn by its own seed."
    return talks_metric("student", EXECUTED_WHO, own, rules, (note,))


ROLE = (
    "Below a student and a tutor talk about a problem. The student has made a mistake and does not know it. Play the "
    "student: take in what the tutor said last; what it did not say you do not know. Write the student's next turn, "
    "with the work that follows from it, in a few sentences. End with: The answer is <number>."
)
SPEAKERS = {"user": "Student", "assistant": "Tutor"}


@dataclass(frozen=True)
class Played:
    """Students that the base model of `subject` plays."""

    subject: Subject
    max_new_tokens: int

    def __call__(self, heard: Sequence[Talk]) -> list[Try]:
        asked = [(Message("user", script(talk.turns)),) for talk in heard]
        texts = self.subject.base_replies(asked, self.max_new_tokens)
        return [played(talk, text) for talk, text in zip(heard, texts, strict=True)]


def script(turns: Sequence[Message]) -> str:
    """The dialogue as a play, and what the model is to write."""
    said = (f"{SPEAKERS[turn.role]}: {turn.content}" for turn in turns if turn.role in SPEAKERS)
    return "\n\n".join([ROLE, *said, "Student:"])


def played(talk: Talk, text: str) -> Try:
    """The student's turn, whose work is right where its final number is the answer's."""
    gold = value_of(talk.prompt.gold)
    before = "\n".join(turn.content for turn in talk.turns[:-1])
    assert isinstance(gold, Fraction)
    told = leaks(talk.reply, talk.prompt.gold) and not stands_in(before, gold)
    return Try(text, final(text) == gold, told)


def student_played(subject: Subject, data: SuiteData, settings: Settings) -> MetricResult:
    """Talks about MathDial's and MRBench's problems with students that the base model plays, four turns at most.

    A student begins with the wrong solution of the data. It counts where the answer is known and the dialogue does not
    hold it yet (Bridge names none). Measured and baselines are those of `student`; the constant reply says how often
    the base model finds the answer by itself.
    """
    prompts = played_prompts(data)
    most = PLAYED if settings.max_groups is None else min(PLAYED, settings.max_groups)
    prompts = chosen(prompts, most)
    if not prompts:
        raise SourceAbsentError("neither MathDial nor MRBench has a dialogue whose answer is known and still open")
    pupil = Played(subject, settings.max_new_tokens)
    own = talks(prompts, partial(_model, subject, settings), pupil)
    note = f"{len(prompts)} students, those of the smallest content hash."
    rules = _rules(prompts, pupil, {one.item: one.gold for one in prompts})
    return talks_metric("student_played", PLAYED_WHO, own, rules, (note,))


def played_prompts(data: SuiteData) -> list[Prompt]:
    """One a problem: MathDial's first turn (the problem and a wrong solution), and MRBench's dialogues."""
    dialogues, groups = available(lambda: data.mathdial), available(lambda: data.mrbench)
    known = golds([*groups, *dialogues, *available(lambda: data.mathdial_training), *available(lambda: data.gsm8k)])
    openings = [
        Prompt(one.id, one.group, one.source, _opening(one), one.meta.get("gold_answer", ""), meta=one.meta)
        for one in dialogues
    ]
    first: dict[str, Prompt] = {}
    for one in open_ones([*of_groups(groups, known), *chosen(openings, None)]):
        first.setdefault(one.group, one)
    return list(first.values())


def _opening(dialogue: Conversation) -> tuple[Message, ...]:
    """Up to the student's first turn."""
    place = next(place for place, turn in enumerate(dialogue.messages) if turn.role == "user")
    return dialogue.messages[: place + 1]


def _model(subject: Subject, settings: Settings, found: Sequence[Talk]) -> list[str]:
    written = generate(subject, [replace(talk.prompt, turns=talk.turns) for talk in found], settings.max_new_tokens)
    return [written.replies[talk.item] for talk in found]


def _rules(prompts: Sequence[Prompt], pupil: Student, answers: Mapping[str, str]) -> dict[str, Sequence[Talk]]:
    tutors: dict[str, Tutor] = {
        "constant reply": saying(lambda one: CONSTANT),
        "told answer": saying(lambda one: f"The answer is {answers[one.item]}."),
    }
    return {name: talks(prompts, tutor, pupil) for name, tutor in tutors.items()}
