"""The user's own file: shapes, mapped columns, counted reasons and what is said about the rest."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.compose import compose
from edu_align.config.schema import DatasetConfig
from edu_align.data.dataset import load_records
from edu_align.data.readers import Row
from edu_align.data.rows.columns import Columns
from edu_align.data.rows.reader import RowReader, columns_word
from edu_align.data.rows.words import LeftOut
from edu_align.records import Conversation, ResponseGroup
from edu_align.utils.errors import UserError

ASK, TELL = {"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "What is 2 + 2?"}
HUMAN, GPT = {"from": "human", "value": "2 + 3?"}, {"from": "gpt", "value": "What is 2 + 2?"}
MORE, BE_KIND = {"role": "user", "content": "4"}, {"role": "system", "content": "Be kind."}
TALK = [("user", "2 + 3?", False), ("assistant", "What is 2 + 2?", True)]
GOOD, BAD = {"role": "assistant", "content": "good"}, {"role": "assistant", "content": "bad"}


def read(data: dict[str, Any], view: str = "conversation", wanted: str = "auto", **columns: str) -> Any:
    return RowReader(Columns(columns), view, wanted).read(Row(data, "mine.jsonl", 5))


def turns(record: Any) -> list[tuple[str, str, bool]]:
    """(role, text, trained) of a conversation, or of a group's prompt."""
    assert not isinstance(record, LeftOut), record
    return [(m.role, m.content, m.train) for m in getattr(record, "messages", None) or record.prompt]


def load(folder: Path, rows: list[dict[str, Any]], view: str = "conversation", **keys: Any) -> Any:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_records(DatasetConfig(name="local", sources=["local"], path=str(path), **keys), None, folder, 0, view)


# Every one of these is the dialogue TALK.
WHAT = "What is 2 + 2?"
TALKS: dict[str, dict[str, Any]] = {
    "messages": {"messages": [ASK, TELL]},
    "sharegpt": {"conversations": [HUMAN, GPT]},
    "json in a cell": {"messages": json.dumps([ASK, TELL])},
    "messages beside preferences": {"chosen": [ASK, GOOD], "rejected": [ASK], "messages": [ASK, TELL], "prompt": "x"},
    "speakers": {"Dialogue": [{"Speaker": "STUDENT", "Text": "2 + 3?"}, {"Speaker": "Tutor ", "Text": WHAT}]},
    "german turns": {"messages": [{"Rolle": "Schüler", "Inhalt": "2 + 3?"}, {"Rolle": "Lehrerin", "Inhalt": WHAT}]},
    "sides": {"messages": [{"user": "2 + 3?", "assistant": "What is 2 + 2?"}]},
    "an object": {"conversation": {"messages": [ASK, TELL]}},
    "user at the end": {"messages": [ASK, TELL, MORE]},
    "completion": {"prompt": "2 + 3?", "completion": "What is 2 + 2?"},
    "completion of messages": {"prompt": [ASK], "completion": [TELL]},
    "the whole dialogue in the completion": {"prompt": "2 + 3?", "completion": [ASK, TELL]},
    "question": {"Question": "2 + 3?", "ANSWER": " What is 2 + 2?"},
    "query": {"query": "2 + 3?", "response": "What is 2 + 2?"},
    "alpaca": {"instruction": "2 + 3?", "input": "", "output": "What is 2 + 2?", "history": None},
    "input": {"input": "2 + 3?", "output": "What is 2 + 2?"},
    "transcript": {"text": "\n\nHuman: 2 + 3?\n\nAssistant: What is 2 + 2?"},
    "hashes": {"text": "### Human: 2 + 3?### Assistant: What is 2 + 2?"},
    "python": {"messages": str([ASK, TELL])},
    "tuples": {"messages": str((ASK, TELL))},
    "json twice": {"messages": json.dumps(json.dumps([ASK, TELL]))},
    "nulls between turns": {"messages": [None, ASK, None, TELL]},
    "objects of one turn": {"prompt": ASK, "completion": TELL},
    "windows": {"prompt": "2 + 3?\r\n", "completion": "What is 2 + 2?\r\n"},
    "empty history": {"instruction": "2 + 3?", "output": WHAT, "history": [[], None]},
    "label": {"prompt": "2 + 3?", "completion": "What is 2 + 2?", "label": True},
}  # fmt: skip


@pytest.mark.cases("A6", "A7")
@pytest.mark.parametrize("data", TALKS.values(), ids=TALKS)
def test_conversations(data: dict[str, Any]) -> None:
    record = read(data)
    assert isinstance(record, Conversation)
    assert turns(record) == TALK


@pytest.mark.cases("A6")
@pytest.mark.parametrize("name", ["Human", "prompter", "student", "LEARNER", "Schülerin"])
@pytest.mark.parametrize("other", ["Assistant", "model", "bot", "tutor", "Teacher", "chatbot", "Lehrkraft"])
def test_names_of_roles(name: str, other: str) -> None:
    row = {"messages": [{"role": name, "content": "2 + 3?"}, {"from": other, "value": "What is 2 + 2?"}]}
    assert turns(read(row)) == TALK
    text = f"\n\n{name}: 2 + 3?\n\n{other}: What is 2 + 2?"
    assert turns(read({"messages": text})) == TALK


@pytest.mark.cases("A7")
def test_alpaca_with_all_its_columns() -> None:
    row = {"instruction": "Add.", "input": "2 + 3", "output": "5", "history": [["Hi", "Hello"]], "system": "Be kind."}
    before = [("system", "Be kind.", False), ("user", "Hi", False), ("assistant", "Hello", True)]
    assert turns(read(row)) == [*before, ("user", "Add.\n\n2 + 3", False), ("assistant", "5", True)]
    pair = {**row, "chosen": "5", "rejected": "6"}
    assert turns(read(pair, "preference"))[-1] == ("user", "Add.\n\n2 + 3", False)
    assert turns(read(row | {"history": json.dumps(row["history"]), "input": None}))[-2] == ("user", "Add.", False)


@pytest.mark.cases("A7")
def test_a_completion_that_is_marked_as_bad_is_not_learnt() -> None:
    row = {"prompt": "2 + 3?", "completion": "No.", "label": False}
    assert read(row).reason == "`label` is false: a completion that is marked as bad"


@pytest.mark.cases("A3")
@pytest.mark.parametrize(
    "flag",
    [{"loss": False}, {"weight": 0}, {"train": False}, {"trainable": "false"}, {"loss_weight": 0.0}, {"Weight": "0"}],
)  # fmt: skip
def test_flags_decide_what_is_trained(flag: dict[str, Any]) -> None:
    row = {"conversations": [HUMAN | {"loss": None}, GPT | flag, HUMAN, GPT | {"loss": True, "weight": 1}, HUMAN, GPT]}
    assert [trained for _, _, trained in turns(read(row))] == [False, False, False, True, False, True]


@pytest.mark.cases("A3")
def test_other_flags_are_named_once(tmp_path: Path) -> None:
    told = TELL | {"weight": 0.5, "mask": 1}
    rows = [{"messages": [ASK | {"content": f"{i} + 3?", "train": True}, told]} for i in range(3)]
    said = load(tmp_path, rows).describe()
    assert said.count("3 times: `weight` of a turn is 0.5, which is neither on nor off; taken as on") == 1
    assert "3 times: `train` is true on a turn that is not the tutor's" in said
    assert "not read: keys of turns `mask` (3 turns)" in said


CONTEXT = {"prompt": [ASK, TELL, MORE]}
HH = "\n\nHuman: 2 + 3?\n\nAssistant: "


@pytest.mark.cases("A6")
@pytest.mark.parametrize(
    ("data", "count"),
    [
        ({"prompt": "2 + 3?", "chosen": "good", "rejected": "bad"}, 1),
        (CONTEXT | {"chosen": [GOOD], "rejected": "bad"}, 3),
        ({"conversations": [HUMAN], "chosen": GPT | {"value": "good"}, "rejected": GPT | {"value": "bad"}}, 1),
        ({"prompt": "x", "chosen": [ASK, GOOD], "rejected": [ASK, BAD]}, 1),
        ({"prompt": "2 + 3?", "responses": [{"text": "bad", "score": 0}, {"response": "good", "score": 1.0}]}, 1),
        ({"prompt": "2 + 3?", "responses": ["bad", "good"], "scores": [0, 1]}, 1),
        ({"prompt": "2 + 3?", "responses": '["bad", "good"]', "scores": "[0, 1]"}, 1),
        ({"prompt": "2 + 3?", "responses": "['bad', 'good']", "scores": "[0, '1']"}, 1),
        ({"chosen": HH + "good", "rejected": HH + "bad"}, 1),
        ({"prompt": HH, "chosen": " good", "rejected": " bad"}, 1),
        ({"prompt": HH, "chosen": HH + "good", "rejected": HH + "bad"}, 1),
        ({"chosen": f"{HH}Why?{HH}good", "rejected": f"{HH}Why?{HH}bad"}, 3),
        ({"prompt": [ASK, TELL], "chosen": [MORE, GOOD], "rejected": [MORE, BAD]}, 3),
        (CONTEXT | {"chosen": [MORE, GOOD], "rejected": [MORE, BAD]}, 3),
        ({"instruction": "2 + 3?", "chosen": "good", "rejected": "bad", "input": None}, 1),
        ({"input": {"messages": [ASK]}, "preferred_output": [GOOD], "non_preferred_output": [BAD]}, 1),
        ({"prompt": "2 + 3?", "responses": [GOOD | {"score": "1"}, BAD | {"score": "0"}]}, 1),
    ],
)
def test_preferences(data: dict[str, Any], count: int) -> None:
    record = read(data, "preference")
    assert isinstance(record, ResponseGroup), record
    assert len(turns(record)) == count
    assert turns(record)[0] == ("user", "2 + 3?", False)
    assert {r.text: r.score for r in record.responses} == {"good": 1.0, "bad": 0.0}


@pytest.mark.cases("A6")
@pytest.mark.parametrize(
    "text",
    [
        "Write it as\nHuman: hi", "Tutor: Why?", "Student: 7", "Human nature: a talk", "Is 2: 3 = Student: Tutor?",
        "Student: 7\n\nTutor: Are you sure?",
    ],
)  # fmt: skip
def test_a_text_that_only_names_a_speaker_stays_one_turn(text: str) -> None:
    assert turns(read({"prompt": text, "completion": "a"}))[0] == ("user", text, False)


@pytest.mark.cases("A6")
def test_a_transcript_is_split_at_its_own_speakers_only() -> None:
    play = "Yes.\n\nTeacher: Hi\n\nassistant: not this\nHuman: nor this"
    text = f"\n\nHuman: A play?\n\nAssistant: {play}\n\nHuman: Thanks\n\nAssistant: Bye"
    assert [said for _, said, _ in turns(read({"text": text}))] == ["A play?", play, "Thanks", "Bye"]


MARKED = {
    "chatml": "<|im_start|>system\nHelp.<|im_end|>\n<|im_start|>user\n2 + 3?<|im_end|>\n"
    "<|im_start|>assistant\n{}<|im_end|>\n",
    "zephyr": "<|system|>\nHelp.</s>\n<|user|>\n2 + 3?</s>\n<|assistant|>\n{}</s>\n",
    "phi": "<|system|>Help.<|end|><|user|>2 + 3?<|end|><|assistant|>{}<|end|>",
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nHelp.<|eot_id|><|start_header_id|>user"
    "<|end_header_id|>\n\n2 + 3?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
    "llama2": "<s>[INST] <<SYS>>\nHelp.\n<</SYS>>\n\n2 + 3? [/INST] {} </s>",
    "gemma": "<bos><start_of_turn>system\nHelp.<end_of_turn>\n<start_of_turn>user\n2 + 3?<end_of_turn>\n"
    "<start_of_turn>model\n{}<end_of_turn>\n",
}  # fmt: skip
HELP = [("system", "Help.", False), ("user", "2 + 3?", False)]


@pytest.mark.cases("A6")
@pytest.mark.parametrize("marked", MARKED.values(), ids=MARKED)
def test_a_text_that_a_template_wrote_is_read_as_its_turns(marked: str) -> None:
    assert turns(read({"text": marked.format("Why?")})) == [*HELP, ("assistant", "Why?", True)]
    prompt = marked[: marked.index("{}")]
    end = marked[marked.index("{}") + 2 :]
    assert turns(read({"prompt": prompt, "completion": f"Why?{end}"})) == [*HELP, ("assistant", "Why?", True)]
    for chosen, rejected in [(f"Why?{end}", f"5{end}"), (marked.format("Why?"), marked.format("5"))]:
        pair = read({"prompt": prompt, "chosen": chosen, "rejected": rejected}, "preference")
        assert turns(pair) == HELP
        assert [reply.text for reply in pair.responses] == ["Why?", "5"]


@pytest.mark.cases("A6")
def test_several_turns_between_marks() -> None:
    text = "<s>[INST] 2 + 3? [/INST] Why? </s><s>[INST] 5 [/INST] Yes. </s>"
    chatml = "".join(f"<|im_start|>{role}\n{said}<|im_end|>\n" for role, said in [
        ("user", "2 + 3?"), ("assistant", "Why?"), ("user", "5"), ("assistant", "Yes."),
    ])  # fmt: skip
    for marked in (text, chatml):
        assert [said for _, said, _ in turns(read({"text": marked}))] == ["2 + 3?", "Why?", "5", "Yes."]


@pytest.mark.cases("A6")
def test_marks_that_are_no_dialogue_are_told(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is <|im_start|> for, {i}?", "completion": "It opens a turn.<|im_end|>"} for i in range(3)]
    loaded = load(tmp_path, rows)
    said = loaded.describe()
    assert "3 times: a text holds <|im_start|>, a chat template's mark, and is read as it stands" in said
    assert "3 times: the mark of a chat template at the end of a text was taken off" in said


@pytest.mark.cases("A7")
@pytest.mark.parametrize(
    "history", [["2?", "Why?"], [["2?", "Why?"]], [{"question": "2?", "answer": "Why?"}], '["2?", "Why?"]']
)
def test_spellings_of_history(history: Any) -> None:
    record = read({"instruction": "3?", "output": "5", "history": history, "systemPrompt": "Help."})
    assert [said for _, said, _ in turns(record)] == ["Help.", "2?", "Why?", "3?", "5"]


@pytest.mark.cases("A8")
def test_a_turn_that_was_left_open_costs_no_row() -> None:
    assert turns(read({"messages": [ASK, TELL, MORE, {"role": "assistant", "content": ""}]})) == TALK
    assert read({"messages": [ASK, {"role": "assistant", "content": ""}, MORE, TELL]}).reason == "empty turn"


LONG = [
    "[INST]" * 9000,
    "<|user|>" + "\n" * 50_000 + "x",
    "<|user|>" * 9000,
    "Human: " + "\n" * 50_000 + "x",
    HH * 2000,
    "\n\nHuman: a" + "\n \t" * 20_000,
    "### Human: " * 9000,
]


@pytest.mark.parametrize("text", LONG, ids=["inst", "open", "marks", "breaks", "turns", "spaces", "hashes"])
def test_a_long_text_is_split_at_once(text: str) -> None:
    began = time.process_time()
    read({"text": text})
    assert time.process_time() - began < 2


def test_text_that_looks_like_json_stays_text() -> None:
    record = read({"prompt": "[1, 2] or {a}?", "chosen": '{"a": 1}', "rejected": "[2]"}, "preference")
    assert record.prompt[0].content == "[1, 2] or {a}?"
    assert [r.text for r in record.responses] == ['{"a": 1}', "[2]"]


NUMPY = "[{'role': 'user', 'content': '2 + 3?'}\n {'role': 'assistant', 'content': 'Why?'}]"


@pytest.mark.cases("A1")
@pytest.mark.parametrize(
    ("cell", "reply"),
    [
        ("[{'role': 'assistant', 'content': 'good'}]", "good"), ("{'role': 'assistant', 'content': \"it's\"}", "it's"),
        ('[{"from": "gpt", "value": null}, {"from": "gpt", "value": "good"}]', None), (NUMPY, None),
        ("array([{'content': 'good', 'role': 'assistant'}], dtype=object)", None), ("['good']", None),
        ("['Why?' 'No.']", None), ("[{'role': 'assistant', 'content': nan}]", None), ("['a', 'b", "['a', 'b"),
    ],
)  # fmt: skip
def test_reprs_of_lists(cell: str, reply: str | None) -> None:
    """A clean literal of turns is read, other reprs are refused, and text is text."""
    found = read({"prompt": "2 + 3?", "chosen": cell, "rejected": "bad"}, "preference")
    if reply is not None:
        assert found.responses[0].text == reply
    elif "null" in cell:
        assert found.reason == "a turn without text"
    else:
        assert found.reason == "Python's repr of a list or an object, write it with json.dumps"
    assert reply or isinstance(read({"messages": cell}), LeftOut)


@pytest.mark.cases("A1")
def test_a_repr_without_commas_is_no_single_reply() -> None:
    row = {"prompt": "2 + 3?", "responses": "['Why?' 'No.']", "scores": "[1 0]"}
    assert read(row, "preference").reason.startswith("Python's repr of a list")


NULLS: dict[str, Any] = {
    "messages": None,
    "prompt": None,
    "chosen": None,
    "rejected": None,
    "text": None,
    "system": float("nan"),
}


@pytest.mark.cases("A2")
@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASK | {"from": None, "value": None}, TELL | {"loss": None, "tool_calls": None, "weight": None}]},
        NULLS | {"conversations": [HUMAN | {"role": None, "content": None}, GPT]},
        {**NULLS, "conversations": None, "messages": [ASK, TELL]},
        {**NULLS, "question": "2 + 3?", "answer": "What is 2 + 2?", "history": None, "input": None},
        {"messages": "", "prompt": "2 + 3?", "completion": "What is 2 + 2?", "chosen": " ", "rejected": ""},
        {"messages": [], "prompt": "2 + 3?", "completion": "What is 2 + 2?"},
    ],
)
def test_null_is_absent(row: dict[str, Any]) -> None:
    assert turns(read(row)) == TALK


@pytest.mark.cases("A4")
@pytest.mark.parametrize("column", ["system", "system_prompt", "System Prompt"])
@pytest.mark.parametrize("shape", ["messages", "sharegpt", "completion", "alpaca", "transcript", "pair", "scores"])
def test_a_system_column(shape: str, column: str) -> None:
    pair: dict[str, Any] = {"prompt": "2 + 3?", "chosen": [ASK, GOOD], "rejected": [ASK, BAD]}
    scores: dict[str, Any] = {"prompt": "2 + 3?", "responses": ["a", "b"], "scores": [1, 2]}
    row: dict[str, Any] = {"pair": pair, "scores": scores}.get(shape) or TALKS[shape]
    view = "preference" if shape in ("pair", "scores") else "conversation"
    assert turns(read(row | {column: " Be kind."}, view))[:2] == [("system", "Be kind.", False), TALK[0]]
    assert turns(read(row | {column: " "}, view))[0] == TALK[0]
    assert turns(read(row | {"Rolle": "Be kind."}, view, system="Rolle"))[0][1] == "Be kind."


@pytest.mark.cases("A4")
def test_the_common_system_prompt_stands_where_a_row_has_none(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": f"{i} + 3?", "completion": "Why?", "system": "Be kind." if i % 2 else ""} for i in range(20)
    ]
    rows += [{"messages": [BE_KIND, ASK, TELL], "system": "Be terse."}]
    data = load(tmp_path, rows, system_prompt="Ask.")
    said = {record.messages[0].content for part in data.splits.values() for record in part}
    assert said == {"Be kind.", "Ask."}
    assert "1 time: the dialogue has another system turn than its column; the turn was taken" in data.describe()


@pytest.mark.cases("A5")
@pytest.mark.parametrize("empty", [{"from": "system", "value": ""}, {"role": "System", "content": "\n"}])
def test_an_empty_system_turn_goes(empty: dict[str, str]) -> None:
    assert turns(read({"conversations": [empty, HUMAN, GPT]})) == TALK
    pair = {"prompt": [empty, HUMAN], "chosen": "a", "rejected": "b"}
    assert turns(read(pair, "preference")) == TALK[:1]
    assert turns(read({"conversations": [empty, HUMAN, GPT], "system": "Be kind."}))[0][1] == "Be kind."


@pytest.mark.cases("A8")
def test_a_bad_row_is_counted_with_its_first_place(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": " 7 + 3?"}]
    picture = [{"type": "image_url", "image_url": {"url": "a.png"}}]
    calls = {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}
    rows: list[dict[str, Any]] = [{"messages": [ASK | {"content": f"What is {i} plus 3?"}, TELL]} for i in range(38)]
    rows += [
        {"messages": [ASK | {"content": parts}, TELL]}, {"prompt": "5?", "chosen": 42, "rejected": 4.5},
        {"messages": [ASK, calls]}, {"messages": [ASK, {"role": "tool", "content": "9"}, TELL]},
        {"messages": [ASK | {"content": picture}, TELL]}, {"messages": [{"role": "asistant", "content": "a"}]},
        {"prompt": "5?", "chosen": True, "rejected": "b"}, {"messages": [ASK, calls]}, {"messages": ["hello"]},
        {"messages": [{"content": "a"}]}, {"topic": "sums"},
    ]  # fmt: skip
    data = load(tmp_path, rows)
    texts = {m.content for part in data.splits.values() for record in part for m in record.messages}
    assert {"What is 7 + 3?", "42"} <= texts
    said = data.describe()
    assert data.sources["local"].kept == 40
    for line in (
        "left out 2: a turn without text, with calls of tools (first: {}, row 41, messages[1])",
        "left out 1: a turn of a tool (first: {}, row 42, messages[1]: role 'tool')",
        "left out 1: a part of a message that is no text (first: {}, row 43, messages[0]: got {{'type': 'image_url', ",
        "left out 1: a role that is not known (first: {}, row 44, messages[0]: got 'asistant', did you mean 'assi",
        "left out 1: a value that is no text (first: {}, row 45, chosen: got True)",
        "left out 1: a turn that is no object (first: {}, row 47, messages[0]: got 'hello')",
        "left out 1: a turn without a role (first: {}, row 48, messages[0]: its keys: 'content'; call",
        "left out 1: no known shape (first: {}, row 49: columns topic)",
    ):
        assert line.format(tmp_path / "mine.jsonl") in said


@pytest.mark.cases("A11")
def test_the_tutor_may_speak_first_and_twice() -> None:
    opened = ("user", "Let us go on with our lesson.", False)
    assert turns(read({"messages": [TELL, MORE, TELL]}))[:2] == [opened, ("assistant", "What is 2 + 2?", True)]
    assert turns(read({"messages": [BE_KIND, TELL]}))[1] == opened
    assert turns(read({"prompt": [TELL, MORE], "chosen": "a", "rejected": "b"}, "preference"))[0] == opened
    row = {"messages": [ASK, MORE, TELL, GOOD, MORE, TELL]}
    joined = [("user", "2 + 3?\n\n4", False), ("assistant", "What is 2 + 2?\n\ngood", True)]
    assert turns(read(row))[:2] == joined
    half = {"messages": [ASK, TELL | {"weight": 0}, GOOD]}
    assert read(half).reason == "two replies in a row, one of them not trained on"


@pytest.mark.cases("A11")
def test_lessons_that_a_tutor_opens_are_told_apart(tmp_path: Path) -> None:
    rows = [{"messages": [TELL | {"content": f"What is {word} apples and two?"}, MORE, TELL]} for word in "abcdefgh"]
    assert sum(load(tmp_path, rows).groups.values()) == 8


@pytest.mark.cases("A12")
@pytest.mark.parametrize("empty", ["", "  ", None, float("nan"), []])
def test_an_empty_cell_is_no_group(tmp_path: Path, empty: Any) -> None:
    rows = [{"prompt": f"{word}?", "completion": "a", "lesson": empty, "nr": empty} for word in ("one", "two", "three")]
    rows += [{"prompt": "p", "completion": "a", "lesson": "L1", "nr": 7}]
    data = load(tmp_path, rows, columns={"group": "lesson", "id": "nr"})
    records = [record for part in data.splits.values() for record in part]
    assert sum(data.groups.values()) == 4
    assert {record.id for record in records} == {"local:1", "local:2", "local:3", "local:7"}
    row = {"prompt": "p", "completion": "a", "part": empty}
    assert read(row, split="part").meta == {}


@pytest.mark.cases("A13")
@pytest.mark.parametrize("prompt", [[BE_KIND, ASK], [BE_KIND, ASK, TELL, MORE]])
def test_replies_that_repeat_the_dialogue_keep_its_system_turn(prompt: list[dict[str, str]]) -> None:
    row = {"prompt": prompt, "chosen": [*prompt[1:], GOOD], "rejected": [*prompt[1:], BAD]}
    found = turns(read(row, "preference"))
    assert [text for _, text, _ in found] == [turn["content"] for turn in prompt]
    assert turns(read({"prompt": prompt, "completion": [*prompt[1:], GOOD]}))[0] == ("system", "Be kind.", False)
    own = {"prompt": prompt, "chosen": [BE_KIND, *prompt[1:], GOOD], "rejected": [*prompt[1:], BAD]}
    assert turns(read(own, "preference")) == found


def test_mapped_columns() -> None:
    data = {"Frage": "2 + 3?", "good": "a", "bad": "b", "topic": "t1", "split": "dev", "part": "test"}
    record = read(data, "preference", prompt="Frage", chosen="good", rejected="bad", group="topic", split="part")
    assert (record.group, record.meta) == ("local:t1", {"split": "test"})
    unmapped = read(data, "preference", prompt="Frage", chosen="good", rejected="bad")
    assert unmapped.meta == {}
    assert unmapped.group.startswith("problem:")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"messages": []}, "no reply"), ({"messages": [ASK]}, "no reply"),
        ({"messages": [ASK, TELL | {"content": " "}]}, "empty turn"), ({"messages": "hello"}, "no list of turns"),
        ({"messages": [ASK, BE_KIND, TELL]}, "a system turn inside the dialogue"),
        ({"conversations": [HUMAN, GPT | {"loss": False}]}, "no turn to train on"),
        ({"prompt": "p", "chosen": " same", "rejected": "same"}, "identical replies"),
        ({"prompt": "p", "chosen": "a", "rejected": " "}, "empty reply"),
        ({"prompt": "p", "chosen": "a", "rejected": None}, "empty reply"),
        ({"prompt": "p", "chosen": [], "rejected": "b"}, "empty reply"),
        ({"prompt": "", "chosen": "a", "rejected": "b"}, "empty turn"),
        ({"prompt": [ASK, TELL], "chosen": "a", "rejected": "b"}, "prompt does not end with a user turn"),
        ({"prompt": "p", "chosen": [ASK, TELL], "rejected": "b"}, "chosen and rejected continue different dialogues"),
        ({"prompt": "p", "chosen": [ASK], "rejected": "b"}, "a reply is not the assistant's"),
        ({"prompt": "p", "responses": [{"text": "a", "score": 1}]}, "fewer than two replies"),
        ({"prompt": "p", "responses": [{"text": "a", "score": "A"}]}, "a response without a number as its score"),
        ({"prompt": "p", "responses": ["a", "b"], "scores": [1]}, "`scores` is no list of one number a response"),
        ({"prompt": "p", "responses": ["a", "b"]}, "`scores` is no list of one number a response"),
    ],
)  # fmt: skip
def test_reasons(data: dict[str, Any], reason: str) -> None:
    assert read(data).reason == reason


@pytest.mark.parametrize(
    ("columns", "keys", "message"),
    [
        ({"choosen": "good"}, {}, "'choosen' is none of our columns.*Did you mean `chosen`"),
        ({"chosen": "goood", "rejected": "bad"}, {}, "no column `goood` .did you mean `good`"),
        ({"system": "sistem"}, {}, "has no column `sistem`"),
        ({}, {"format": "message"}, r"got 'message'\. Did you mean 'messages'"),
        ({}, {"format": "preference"}, r"no column `chosen`.*chosen: good, rejected: bad\}'"),
    ],
)
def test_errors_of_a_whole_file(tmp_path: Path, columns: dict[str, str], keys: dict[str, str], message: str) -> None:
    rows = [{"prompt": "p", "good": "a", "bad": "b", "answer": "c"}]
    with pytest.raises(UserError, match=rf"(?s){message}"):
        load(tmp_path, rows, columns=columns, **keys)


def test_a_whole_file(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {i} + 3?", "chosen": f"Try {i}", "rejected": "No."} for i in range(40)]
    rows += [rows[0], {"prompt": "p", "chosen": "a", "rejected": "a"}]
    data = load(tmp_path, rows, "preference")
    source = data.sources["local"]
    assert (source.read, source.kept) == (42, 40)
    assert source.dropped == {"identical replies": 1, "the same as an earlier record": 1}
    assert source.first == {"identical replies": f"{tmp_path}/mine.jsonl, row 42"}
    assert "format preference, by its columns" in data.describe()
    talks = load(tmp_path, rows)
    assert talks.require("train")[0].messages[-1].content.startswith("Try")
    assert {name: len(part) for name, part in talks.splits.items()} == {n: len(p) for n, p in data.splits.items()}


@pytest.mark.cases("A7")
def test_shapes_may_be_mixed_and_what_is_not_read_is_named(tmp_path: Path) -> None:
    rows = [{**row, "url": "u", "id": i, "Thema": " " if i % 2 else "x"} for i, row in enumerate(TALKS.values())]
    said = load(tmp_path, rows).describe()
    assert "formats messages 12, completion 11, text 2, sharegpt 1, row by row" in said
    assert "read `Question` as prompt, `ANSWER` as completion" in said
    assert f"`url` ({len(TALKS)} rows)" in said
    assert "`Thema` (13 rows)" in said
    assert "`id`" not in said


def test_conversations_are_no_preferences(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)no record is left.*conversations only.*trainer=sft"):
        load(tmp_path, [{"messages": [ASK, TELL]}], "preference")
    with pytest.raises(UserError, match=r"`dataset\.path` must name your file"):
        load_records(DatasetConfig(name="local", sources=["local"]), None, tmp_path, 0, "conversation")


GERMAN = {"Frage": "2 + 3?", "Antwort_gut": "good", "Antwort_schlecht": "bad"}
ODD = {"Frage der Schülerin": "2 + 3?", "it's: {good}, #1": "good", 'null "x"': "bad"}


@pytest.mark.cases("A7")
@pytest.mark.parametrize(
    ("row", "view", "mapping"),
    [
        (GERMAN, "preference", {"prompt": "Frage", "chosen": "Antwort_gut", "rejected": "Antwort_schlecht"}),
        (GERMAN, "conversation", {"prompt": "Frage", "chosen": "Antwort_gut", "rejected": "Antwort_schlecht"}),
        (ODD, "preference", dict(zip(("prompt", "chosen", "rejected"), ODD, strict=True))),
        ({"Aufgabe": "2 + 3?", "Lehrer": "good"}, "conversation", {"prompt": "Aufgabe", "completion": "Lehrer"}),
        ({"Chat-Verlauf": [ASK, TELL], "nr": 3}, "conversation", {"messages": "Chat-Verlauf"}),
        ({"a": "2 + 3?", "b": "good"}, "conversation", {"prompt": "a", "completion": "b"}),
        ({"prompt": "2 + 3?", "Antwort": "good"}, "conversation", {"prompt": "prompt", "completion": "Antwort"}),
    ],
)
def test_the_advice_works_when_it_is_typed(
    tmp_path: Path, row: dict[str, Any], view: str, mapping: dict[str, str]
) -> None:
    with pytest.raises(UserError) as raised:
        load(tmp_path, [row], view)
    typed = str(raised.value).split("Yours may be meant so: ")[1]
    pairs = "rejected" in mapping and view == "conversation"
    assert typed == "trainer=dpo " * pairs + columns_word(mapping)
    config = compose(["dataset=local", f"dataset.path={tmp_path / 'mine.jsonl'}", *shlex.split(typed)])
    assert dict(config.dataset.columns) == mapping
    assert sum(map(len, load(tmp_path, [row], view, columns=mapping).splits.values())) == 1


@pytest.mark.cases("A4")
@pytest.mark.parametrize("system", [[BE_KIND], BE_KIND, json.dumps([BE_KIND]), str([BE_KIND])], ids=range(4))
def test_a_system_column_may_hold_its_turn(system: Any) -> None:
    assert turns(read({"messages": [ASK, TELL], "system": system})) == [("system", "Be kind.", False), *TALK]
    assert read({"messages": [ASK, TELL], "system": [ASK]}).reason == "a system column with other turns"


@pytest.mark.cases("A1")
@pytest.mark.parametrize(
    "cell",
    ["[Message(role='assistant', content='Why?')]", "[OrderedDict([('role', 'assistant'), ('content', 'Why?')])]"],
)  # fmt: skip
def test_reprs_of_other_objects_are_no_reply(cell: str) -> None:
    assert read({"prompt": "2 + 3?", "chosen": cell, "rejected": "5"}, "preference").reason.startswith("Python's repr")


@pytest.mark.cases("A1")
@pytest.mark.parametrize("text", ["(3, 4)", "(text of a box)", "(3 + 4) * 2", '"[sic]" is Latin', '"{}" is empty'])
def test_brackets_and_quotes_are_text(text: str) -> None:
    assert read({"prompt": "2 + 3?", "completion": text}).messages[-1].content == text


@pytest.mark.cases("A12")
def test_names_of_the_sides_of_a_split(tmp_path: Path) -> None:
    names = ["TRAIN", " train ", "val", "dev", "Test", "", None, "holdout"]
    rows = [{"prompt": f"{i} + 3?", "completion": "Why?", "part": name} for i, name in enumerate(names)]
    data = load(tmp_path, rows, columns={"split": "part"})
    sides = {record.id: side for side, records in data.splits.items() for record in records}
    assert [sides.get(f"local:{i}") for i in range(1, 6)] == ["train", "train", "validation", "validation", "test"]
    assert "left out 1: a split that is none of train, validation, test (first:" in data.describe()


@pytest.mark.cases("A7")
@pytest.mark.parametrize(
    ("row", "advice"),
    [
        ({"prompt": "2 + 3?", "reply_a": "Why?", "reply_b": "5", "winner": "a"}, "`winner` seems to say which reply"),
        ({"prompt": "2?", "reply_0": "Why?", "reply_1": "5", "better_response_id": 1}, "`better_response_id` seems"),
        ({"speaker": "tutor", "text": "Why?"}, "Each row is one turn"),
        ({"text": "Once upon a time"}, "`text` holds no dialogue"),
    ],
)  # fmt: skip
def test_no_mapping_is_advised_that_would_train_on_something_else(
    tmp_path: Path, row: dict[str, Any], advice: str
) -> None:
    with pytest.raises(UserError, match=advice) as error:
        load(tmp_path, [row, row], "preference" if "prompt" in row else "conversation")
    assert "dataset.columns='" not in str(error.value)
