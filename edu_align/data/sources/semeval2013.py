"""SemEval-2013 task 7 (Dzikovska et al. 2013): pupils' answers to questions of science, marked right or wrong.

It holds no tutor's words: both replies are ours, alike but for the verdict, so that only the answer decides.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from edu_align.data.download import GitHubSource
from edu_align.data.questions import clean, problem_key
from edu_align.data.readers import Row, convert_rows
from edu_align.data.rows.words import LeftOut
from edu_align.data.sources.one_author import right_and_wrong
from edu_align.records import Message, Record, ResponseGroup
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.hashing import sha256

AUTHOR = "edu_align"
MARKS = {"correct": True, "incorrect": False, "contradictory": False}
# A verdict that says right, the same one that says wrong, and what follows either.
VERDICTS = (
    ("Yes, that is right.", "No, that is not right yet.", "What makes you think so?"),
    ("Your answer is correct.", "Your answer is not correct.", "Which part of the question did you start from?"),
    ("I agree with this.", "I do not agree with this.", "Can you say in your own words why it should be so?"),
)


def to_group(row: Row, record_id: str) -> ResponseGroup | str:
    """The verdict that fits an answer over the one that does not, or the reason why the row cannot be used.

        {"question": "Why is the lamp dark?", "answer": "The battery is flat.", "accuracy": "correct", ...}
        ->
        prompt     user  Why is the lamp dark?   My answer: The battery is flat.
        responses  6.0   Yes, that is right. What makes you think so?
                   2.0   No, that is not right yet. What makes you think so?

    `meta`: `accuracy` (correct, incorrect or contradictory) and `reference`, a right answer. Raises UserError for a
    missing column or a value of another type.
    """
    question, answer, accuracy = (clean(row.get(column, str)) for column in ("question", "answer", "accuracy"))
    if not question or not answer:
        return "empty question or answer"
    if accuracy not in MARKS:
        return "an unknown mark"
    right, wrong, more = VERDICTS[int(sha256(record_id)[:8], 16) % len(VERDICTS)]
    fitting, other = (right, wrong) if MARKS[accuracy] else (wrong, right)
    replies = right_and_wrong(f"{fitting} {more}", [f"{other} {more}"], AUTHOR)
    prompt = (Message("user", f"{question}\n\nMy answer:\n{answer}"),)
    meta = {"problem": question, "accuracy": accuracy, "reference": clean(row.get("reference", str))}
    return ResponseGroup(prompt, replies, record_id, "semeval2013", problem_key(question), meta)


def answers_in(text: bytes, place: str) -> Iterator[Row]:
    """The student answers of one question's file as rows. Raises UserError for what is no such file."""
    try:
        root = ElementTree.parse(io.BytesIO(text)).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{place}: broken XML ({first_line(error)}). Download the file again.") from None
    question = root.findtext("questionText")
    if question is None:
        raise UserError(f"{place}: no `questionText` in it. Only the task's own XML files belong into this folder.")
    references = root.findall("referenceAnswers/referenceAnswer")
    best = next((each for each in references if each.get("category") == "BEST"), references[0] if references else None)
    known = {"question": question, "reference": "" if best is None else best.text or ""}
    for number, answer in enumerate(root.iterfind("studentAnswers/studentAnswer"), start=1):
        yield Row(known | {"answer": answer.text or "", "accuracy": answer.get("accuracy", "")}, place, number)


@dataclass(frozen=True, kw_only=True)
class Questions(GitHubSource):
    """XML files, one a question: below the data root, or in the archive that is downloaded."""

    def local(self, data_root: str | Path | None) -> list[Path]:
        archive = super().local(data_root)
        root = self.root(data_root)
        return archive or (sorted((root / self.folder).glob("t*/3way/**/*.xml")) if root else [])

    def read(self, name: str, file: Path, view: str) -> Iterator[Record | LeftOut]:
        for place, text in _documents(file):
            part = "/".join(Path(place).with_suffix("").parts[-2:])  # one question stands in training and test
            rows = ((row.number, row) for row in answers_in(text, place))
            yield from convert_rows(rows, self.converter(view), f"{name}:{part}")


def _documents(file: Path) -> Iterator[tuple[str, bytes]]:
    if file.suffix != ".zip":
        yield str(file), file.read_bytes()
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for member in sorted(archive.namelist()):
                if member.endswith(".xml") and "__MACOSX" not in member:
                    yield f"{file}/{member}", archive.read(member)
    except zipfile.BadZipFile as error:
        raise UserError(f"{file}: no archive ({first_line(error)}). Delete it and run again.") from None


SOURCE = Questions(
    folder="semeval2013_task7",
    repository="myrosia/semeval-2013-task7",
    revision="5157c69f914e8c581045c03e98f96398d40a91b8",
    paths={"semeval-3way.zip": "semeval-3way.zip"},
    preference=to_group,
    threshold=4.0,  # between the fitting verdict and the other one
)
