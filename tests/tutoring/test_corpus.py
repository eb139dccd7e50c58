"""The built-in corpus: sizes, splits that share nothing, determinism, and how far shallow rules get on its pairs."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edu_align.records import ResponseGroup
from edu_align.tutoring import corpus, phrasings_student, report
from edu_align.tutoring.dialogue import FORMS, dialogue
from edu_align.tutoring.library import LIBRARY, by_split, split_of
from edu_align.tutoring.moves import DIMENSIONS, MOVES
from edu_align.tutoring.splits import SPLITS, assign, sizes
from edu_align.tutoring.subjects_reader import parse
from edu_align.tutoring.text import of_split, sentence
from edu_align.utils.errors import UserError

SLOTS = {name: value for name, value in vars(phrasings_student).items() if name.isupper()}
ROOT = Path(__file__).parents[2]
DIGEST = "from tests.tutoring.test_corpus import digest; print(digest(60, 5))"


def command(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, **options)


def digest(size: int, seed: int) -> str:
    """SHA-256 of the whole corpus as JSON."""
    groups = [asdict(group) for group in corpus.build(size, seed)]
    return hashlib.sha256(json.dumps(groups).encode()).hexdigest()


@pytest.fixture(scope="module")
def groups() -> list[ResponseGroup]:
    return corpus.build(300, 7)


@pytest.fixture(scope="module")
def maths(groups: list[ResponseGroup]) -> list[ResponseGroup]:
    return [group for group in groups if group.meta["misconception"]]


def test_the_library_is_large_and_every_split_has_its_own_misconceptions() -> None:
    assert len({item.id for item in LIBRARY}) == len(LIBRARY) >= 40
    library = by_split()
    assert len(library["test"]) >= 8
    assert len(library["validation"]) >= 4
    assert len(library["train"]) > len(library["test"]) + len(library["validation"])
    assert sum(len(items) for items in library.values()) == len(LIBRARY)
    areas = {item.area for item in LIBRARY}
    assert all({item.area for item in items} == areas for items in library.values())


@pytest.mark.parametrize("phrasings", [move.phrasings for move in MOVES.values()] + list(SLOTS.values()))
def test_wordings_of_a_move_are_shared_out(phrasings: tuple[str, ...]) -> None:
    parts = [of_split(phrasings, split) for split in SPLITS]
    assert len(phrasings) >= 11
    assert len(set(phrasings)) == len(phrasings) == sum(len(part) for part in parts)
    assert all(len(part) >= least for part, least in zip(parts, (8, 1, 2), strict=True))


def test_assignment_depends_on_nothing_but_the_ids() -> None:
    ids = [f"id-{n}" for n in range(50)]
    assert assign(ids) == assign(reversed(ids))
    assert Counter(assign(ids).values()) == {"train": 35, "validation": 5, "test": 10}
    assert sizes(1500) == {"train": 1050, "validation": 150, "test": 300}
    assert sizes(3) == {"train": 1, "validation": 1, "test": 1}


def test_generated_groups_have_the_promised_shape(groups: list[ResponseGroup], maths: list[ResponseGroup]) -> None:
    assert len({group.id for group in groups}) == len(groups)
    assert Counter(group.meta["split"] for group in maths) == sizes(300)
    where = split_of()
    for group in maths:
        assert group.group == f"misconception:{group.meta['misconception']}"
        assert group.meta["split"] == where[group.meta["misconception"]]
        assert group.meta["wrong_answer"] in " ".join(message.content for message in group.prompt)
        roles = [message.role for message in group.prompt]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
        assert 5 <= len(group.responses) <= 7
        assert len({reply.text for reply in group.responses}) == len(group.responses)
        best = max(group.responses, key=lambda reply: reply.score)
        assert (best.author, best.score) == ("guiding", 2 * len(DIMENSIONS))
        for reply in group.responses:
            assert tuple(reply.scores) == DIMENSIONS
            assert set(reply.scores.values()) <= {0.0, 1.0, 2.0}
            assert reply.score == sum(reply.scores.values())


def test_no_question_and_no_prompt_is_in_two_splits(maths: list[ResponseGroup]) -> None:
    sides = {(group.prompt, group.meta["split"]) for group in maths}
    assert len(sides) == len({prompt for prompt, _ in sides})
    seen: dict[str, str] = {}
    for _ in range(2):
        case = corpus._case(LIBRARY[0], Random(3), seen, "train")
        assert case.question not in seen
        seen[case.question] = "train"
    first = next(iter(seen))
    assert corpus._case(LIBRARY[0], Random(3), {first: "train"}, "test").question != first


def test_a_test_group_uses_held_out_wordings_only(maths: list[ResponseGroup]) -> None:
    """The fixed beginnings of wordings of the other splits never turn up in a test group's replies."""
    other = [text for move in MOVES.values() for text in set(move.phrasings) - set(of_split(move.phrasings, "test"))]
    fixed = {text for text in other if "{" not in text and len(text.split()) >= 4}
    assert len(fixed) > 50
    used = {
        group.meta["split"] for group in maths for reply in group.responses if any(text in reply.text for text in fixed)
    }
    assert "train" in used
    assert "test" not in used


def test_dialogues_vary() -> None:
    case = LIBRARY[0].make(Random(0))
    prompts = [dialogue(case, "train", Random(seed)) for seed in range(200)]
    assert len({tuple(message.content for message in prompt) for prompt in prompts}) > 190
    assert {len(prompt) for prompt in prompts} == {form.count(" | ") + 1 for form in FORMS}


def test_sentence_capitalises_words_but_no_symbols() -> None:
    plain = ["the ones column", "a third of it?", "x = 3", "f(2) is 5."]
    assert list(map(sentence, plain)) == ["The ones column.", "A third of it?", "x = 3.", "f(2) is 5."]


def test_same_seed_same_bytes_in_any_interpreter() -> None:
    here = digest(60, 5)
    assert here == digest(60, 5)
    assert here != digest(60, 6)
    for hash_seed in ("1", "2"):
        run = command("-c", DIGEST, env={**os.environ, "PYTHONHASHSEED": hash_seed})
        assert run.stdout.strip() == here, run.stderr


def test_load_is_build() -> None:
    first = corpus.load(20, 3)
    assert first == corpus.build(20, 3)
    kept = first.pop()
    assert corpus.load(20, 3)[-1] is kept


def test_conversations_train_on_the_best_reply_only(groups: list[ResponseGroup]) -> None:
    found = corpus.conversations(groups)
    assert len(found) == len(groups)
    for group, conversation in zip(groups, found, strict=True):
        assert conversation.messages[:-1] == group.prompt
        assert [message.train for message in conversation.messages] == [False] * len(group.prompt) + [True]
        best = max(reply.score for reply in group.responses)
        assert conversation.messages[-1].content in {r.text for r in group.responses if r.score == best}
        assert (conversation.id, conversation.group, conversation.meta) == (group.id, group.group, group.meta)


def test_trivial_rules_are_near_chance(maths: list[ResponseGroup]) -> None:
    found = report.pairs(maths, 2.0)
    assert len(found) > 2000
    assert 0.40 <= report.accuracy(found, report.RULES["more words wins"]) <= 0.62
    for rule in ("question mark wins", "ends with a question wins"):
        assert 0.25 < report.accuracy(found, report.RULES[rule]) < 0.75
    assert 0.30 < report.accuracy(found, report.RULES["more digits wins"]) < 0.70


def test_accuracy_counts_ties_as_half(maths: list[ResponseGroup]) -> None:
    found = report.pairs(maths[:5], 2.0)
    score = {reply.text: reply.score for group in maths[:5] for reply in group.responses}
    for sign, expected in ((0, 0.5), (1, 1.0), (-1, 0.0)):
        assert report.accuracy(found, lambda text, group, sign=sign: sign * score[text]) == expected


def test_word_model_learns_the_words_that_decide(maths: list[ResponseGroup]) -> None:
    train = [group for group in maths if group.meta["split"] == "train"]
    assert report.accuracy(report.pairs(train, 2.0), report.bag_of_words(maths, 2.0)) > 0.8


def test_hand_written_groups_are_in_every_split(groups: list[ResponseGroup]) -> None:
    written = [group for group in groups if not group.meta["misconception"]]
    assert all(group.group == f"subject:{group.meta['area']}:{group.id}" for group in written)
    sides = {(group.meta["area"], group.meta["split"]) for group in written}
    assert sides == {(area, split) for area, _ in sides for split in SPLITS}


def _row(**changes: object) -> dict[str, object]:
    def reply(text: str, kind: str, score: int) -> dict[str, object]:
        return {"text": text, "kind": kind, "scores": dict.fromkeys(DIMENSIONS, score)}

    replies = [reply("What floats?", "guiding", 2), reply("Hmm.", "vague", 1), reply("It is ice.", "telling", 0)]
    prompt = [{"role": "user", "content": "Ice sinks, I think."}]
    row = {"id": "ice-1", "subject": "physics", "prompt": prompt, "answer": "ice floats", "responses": replies}
    return {**row, **changes}


def _with_reply(**changes: object) -> dict[str, object]:
    row = _row()
    row["responses"][0].update(changes)  # type: ignore[index]
    return row


def test_reader_reads_a_row() -> None:
    (group,) = parse(json.dumps(_row()) + "\n", "a.jsonl")
    assert [(reply.author, reply.score) for reply in group.responses] == [("guiding", 12), ("vague", 6), ("telling", 0)]
    assert group.group == "subject:physics:ice-1"


REPLY = {"role": "assistant", "content": "x"}
TWOS = dict.fromkeys(DIMENSIONS, 2)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (_row(extra=1), "exactly the keys"),
        (_row(id=" "), "`id` must be a non-empty text"),
        (_row(prompt=[]), "`prompt` must be a list of 1 to 20"),
        (_row(prompt=[REPLY]), r"`prompt\[0\].role` must be 'user'.*got 'assistant'"),
        (_row(prompt=[REPLY | {"role": "user"}, REPLY]), "must end with a user turn"),
        (_row(responses=[]), "`responses` must be a list of 3 to 5"),
        (_with_reply(kind="kind"), r"`responses\[0\].kind` must be one of guiding.*got 'kind'"),
        (_with_reply(scores={**TWOS, "tutor_tone": 3}), "tutor_tone` must be 0, 1 or 2, got 3"),
        (_with_reply(scores={**TWOS, "tutor_tone": True}), "must be 0, 1 or 2, got True"),
        (_with_reply(scores={"tutor_tone": 1}), "exactly the keys"),
        (_with_reply(text="Hmm."), "the same `text`"),
        ('"no object"', "must be an object"),
        ("{", "this is not one JSON object"),
        (_row(id="first"), "the id 'first' is used twice"),
    ],
)
def test_reader_names_file_and_line(row: object, message: str) -> None:
    lines = f"{json.dumps(_row(id='first'))}\n{row if isinstance(row, str) else json.dumps(row)}\n"
    with pytest.raises(UserError, match=rf"a\.jsonl, line 2: .*{message}"):
        parse(lines, "a.jsonl")


def test_card_has_a_block_for_the_numbers(groups: list[ResponseGroup]) -> None:
    card = report.CARD.read_text(encoding="utf-8")
    once = report.with_numbers(card, "| new |")
    assert f"{report.START}\n| new |\n{report.END}" in once
    assert report.with_numbers(once, card.split(report.START)[1].split(report.END)[0].strip("\n")) == card
    block = report.numbers(groups, 7)
    assert "| train | 210 |" in block
    assert "| more words wins |" in block


def test_card_numbers_are_those_of_the_library() -> None:
    """After a change of the library, wordings or subjects, run `python -m edu_align.tutoring --card`."""
    block = report.numbers(corpus.build(1500, 42), 42)
    card = report.CARD.read_text(encoding="utf-8")
    assert card == report.with_numbers(card, block)


def test_command_prints_the_numbers_and_groups() -> None:
    run = command("-m", "edu_align.tutoring", "--size", "30", "--seed", "1", "--show", "2")
    assert run.returncode == 0, run.stderr
    assert "Built in" in run.stdout
    assert run.stdout.count("  [user] ") >= 2
    run = command("-m", "edu_align.tutoring", "--size", "2", "--seed", "1", "--show", "2")
    assert run.returncode == 2
    assert re.search(r"`dataset.size` must be at least 3.*got 2", run.stderr)
