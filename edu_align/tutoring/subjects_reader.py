"""Strict reader of the hand-written groups over other subjects (`subjects/*.jsonl`, one object a line)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from edu_align.records import Message, Response, ResponseGroup
from edu_align.tutoring.moves import DIMENSIONS
from edu_align.tutoring.replies import KINDS
from edu_align.tutoring.splits import assign
from edu_align.utils.errors import UserError

SOURCE = "edu_tutor"
_KEYS = {"id", "subject", "prompt", "answer", "responses"}


class _Row:
    """One line of a file; `fail` and the checks name the file and the line."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, message: str) -> NoReturn:
        raise UserError(f"{self.where}: {message}")

    def keys(self, value: Any, wanted: set[str], name: str) -> dict[str, Any]:
        if not isinstance(value, dict) or set(value) != wanted:
            got = sorted(value) if isinstance(value, dict) else value
            self.fail(f"{name} must be an object with exactly the keys {', '.join(sorted(wanted))}, got {got!r}.")
        return value

    def text(self, value: Any, name: str) -> str:
        if not isinstance(value, str) or not value.strip() or value != value.strip():
            self.fail(f"`{name}` must be a non-empty text without space around it, got {value!r}.")
        return value

    def items(self, value: Any, name: str, least: int, most: int) -> list[Any]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            self.fail(f"`{name}` must be a list of {least} to {most} objects, got {value!r}.")
        return value

    def prompt(self, value: Any) -> tuple[Message, ...]:
        turns = []
        for place, item in enumerate(self.items(value, "prompt", 1, 20)):
            turn = self.keys(item, {"role", "content"}, f"`prompt[{place}]`")
            expected = ("user", "assistant")[place % 2]
            if turn["role"] != expected:
                self.fail(f"`prompt[{place}].role` must be {expected!r} (turns alternate), got {turn['role']!r}.")
            turns.append(Message(expected, self.text(turn["content"], f"prompt[{place}].content")))
        if turns[-1].role != "user":
            self.fail("`prompt` must end with a user turn, it ends with an assistant turn.")
        return tuple(turns)

    def response(self, value: Any, place: int) -> Response:
        name = f"responses[{place}]"
        item = self.keys(value, {"text", "kind", "scores"}, f"`{name}`")
        if item["kind"] not in KINDS:
            self.fail(f"`{name}.kind` must be one of {', '.join(KINDS)}, got {item['kind']!r}.")
        scores = self.keys(item["scores"], set(DIMENSIONS), f"`{name}.scores`")
        for key, score in scores.items():
            if type(score) is not int or score not in (0, 1, 2):
                self.fail(f"`{name}.scores.{key}` must be 0, 1 or 2, got {score!r}.")
        ordered = {key: float(scores[key]) for key in DIMENSIONS}
        return Response(self.text(item["text"], f"{name}.text"), sum(ordered.values()), ordered, item["kind"])

    def group(self, value: Any) -> ResponseGroup:
        row = self.keys(value, _KEYS, "the line")
        key, subject = self.text(row["id"], "id"), self.text(row["subject"], "subject")
        answer = self.text(row["answer"], "answer")
        items = self.items(row["responses"], "responses", 3, 5)
        responses = tuple(self.response(item, place) for place, item in enumerate(items))
        if len({response.text for response in responses}) < len(responses):
            self.fail("two of `responses` have the same `text`. Write each reply once.")
        if len({response.score for response in responses}) < 2:
            self.fail("all `responses` have the same sum of scores. At least two must differ.")
        meta = {"area": subject, "misconception": "", "answer": answer, "wrong_answer": ""}
        return ResponseGroup(self.prompt(row["prompt"]), responses, key, SOURCE, f"subject:{subject}:{key}", meta)


def parse(lines: str, name: str) -> list[ResponseGroup]:
    """Groups of one file's text; blank lines are not allowed. `meta` has no split yet.

    Raises `UserError` naming `name` and the line for invalid JSON, missing or unknown keys, wrong roles, kinds or
    scores, repeated ids or replies.
    """
    groups: dict[str, ResponseGroup] = {}
    for number, line in enumerate(lines.rstrip("\n").split("\n"), start=1):
        row = _Row(f"{name}, line {number}")
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            row.fail(f"this is not one JSON object: {error}.")
        group = row.group(value)
        if group.id in groups:
            row.fail(f"the id {group.id!r} is used twice. Give each group its own id.")
        groups[group.id] = group
    return list(groups.values())


def hand_written() -> list[ResponseGroup]:
    """Every hand-written group, by file name and line, with its split in `meta`; every subject is in each split."""
    found: dict[str, ResponseGroup] = {}
    for item in sorted((Path(__file__).parent / "subjects").glob("*.jsonl")):
        for group in parse(item.read_text(encoding="utf-8"), item.name):
            if group.id in found:
                raise UserError(f"{item.name}: the id {group.id!r} is in another file too. Give each group its own id.")
            found[group.id] = group
    subjects = {group.meta["area"] for group in found.values()}
    where: dict[str, str] = {}
    for subject in subjects:
        where |= assign(group.id for group in found.values() if group.meta["area"] == subject)
    return [replace(group, meta={"split": where[group.id], **group.meta}) for group in found.values()]
