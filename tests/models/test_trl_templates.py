"""TRL's stored chat templates: which of them train a dialogue of several turns, and which do not and why."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trl

from edu_align.models.chat_template import IGNORED, TemplateError, render
from edu_align.models.template_choice import with_arguments
from edu_align.models.tokenizer import byte_tokenizer
from edu_align.models.trained_turns import encode_dialogue
from edu_align.planning.light_template import LightTemplate
from edu_align.records import Message, Pair, Response, ResponseGroup
from edu_align.training.dpo_rows import dpo_rows

FOLDER = Path(trl.__file__).parent / "chat_templates"
# Signs that a template writes and a tokenizer knows as tokens, whatever they are called.
SIGNS = re.compile(r"<[|｜][^<>\s]+?[|｜]>|<\|?\w+\|?>|\[/?[A-Z]+\]|\[gMASK\]")
TALK = (
    Message("user", "Is 1/2 = 2/4?"),
    Message("assistant", "How do you know?", train=True),
    Message("user", "I drew it."),
    Message("assistant", "Show me, please.", train=True),
)
ENDLESS = "the chat template writes nothing after a reply, so a model would never learn to end one"
REFUSED = {"glm4moe": ENDLESS}


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.jinja"))


@cache
def tokenizer(name: str) -> Any:
    """Bytes, and the template's own control tokens."""
    text = (FOLDER / f"{name}.jinja").read_text()
    found = byte_tokenizer()
    known = {"<think>", "</think>", "<unk>", "<s>", "</s>", "<pad>"}
    found.add_special_tokens({"additional_special_tokens": sorted(set(SIGNS.findall(text)) - known)})
    found.chat_template = text
    return found


@cache
def fate(name: str) -> str:
    for turns, word in ((TALK, "multi-turn"), (TALK[:2], "single-turn")):
        try:
            rows = encode_dialogue(tokenizer(name), turns).rows
        except TemplateError as error:
            why = error.words
            continue
        return f"trained {word}" + (", a row for each reply" if len(rows) > 1 else "")
    return f"refused: {why}"


def table() -> str:
    """The table of docs/models.md: fates and their templates; a training form only where its fate is another."""
    fates: dict[str, list[str]] = {}
    for name in names():
        what, base = fate(name), name.removesuffix("_training")
        if name == base or base not in names() or fate(base) != what:
            fates.setdefault(what, []).append(f"`{name}`")
    lines = [f"| {what} | {', '.join(each)} |" for what, each in sorted(fates.items(), key=lambda item: -len(item[1]))]
    return "\n".join(["| what | TRL's stored templates |", "|---|---|", *lines])


@pytest.mark.cases("B4")
def test_the_table_in_the_documentation_is_what_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{table()}")
    assert table() in (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    assert {name for name in names() if not fate(name).startswith("trained multi-turn")} == set(REFUSED)


@pytest.mark.cases("B4", "B10")
@pytest.mark.parametrize("name", [name for name in names() if name not in REFUSED])
def test_each_reply_is_trained_as_the_model_says_it(name: str) -> None:
    """Its row is the rendering in which it is last, up to its end; what is trained is the reply and its end. Both
    replies of a pair stand behind one prompt.
    """
    chat = tokenizer(name)
    rows = encode_dialogue(chat, TALK).rows
    assert sorted(i for row in rows for i, turn in enumerate(row.turns) if turn.train) == [1, 3]
    for row in rows:
        text, said = chat.decode(row.ids), chat.decode([label for label in row.labels if label != IGNORED])
        for i in (i for i, turn in enumerate(row.turns) if turn.train):
            assert text.startswith(render(chat, TALK[: i + 1]).rstrip())
            assert said.partition(TALK[i].content)[2].strip(), "no reply, or no end"
        assert not any(turn.content in said for turn in TALK if turn.role == "user")

    group = ResponseGroup(TALK[:3], (Response("Show me.", 5), Response("It is right.", 1)), "g", "local", "g")
    (pair,), counts = dpo_rows(chat, [Pair(group, 0, 1)], 10_000)
    assert (counts.alike, counts.template.refused, counts.template.changed) == (0, 0, {})
    assert pair["prompt_ids"] == pair["rejected_prompt_ids"]
    assert TALK[2].content in chat.decode(pair["prompt_ids"])
    for key, reply in (("chosen_ids", "Show me."), ("rejected_ids", "It is right.")):
        said = chat.decode(pair[key])
        assert said.partition(reply)[2].strip()
        assert TALK[2].content not in said


@pytest.mark.cases("B2")
def test_planning_renders_as_transformers_does(tmp_path: Path) -> None:
    for name in names()[::3]:
        chat = tokenizer(name)
        light = LightTemplate(chat.chat_template, {})
        light.special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
        for turns, opened in ((TALK, False), (TALK[:3], True)):
            assert render(light, turns, opened) == render(chat, turns, opened), name


@pytest.mark.cases("B4")
def test_arguments_reach_the_template() -> None:
    """And where a reply does not begin as generation does, it is said how many do not."""
    chat, plain = byte_tokenizer(), (FOLDER / "nemotron_3_nano.jinja").read_text()
    chat.chat_template = plain
    assert encode_dialogue(chat, TALK).unopened == 2
    chat.chat_template = with_arguments(plain, {"enable_thinking": False})
    assert encode_dialogue(chat, TALK).unopened == 0
    said = render(chat, TALK[:3], True)
    assert said.endswith("<think></think>")
    assert said == byte_tokenizer().apply_chat_template(
        [{"role": turn.role, "content": turn.content} for turn in TALK[:3]],
        chat_template=plain, tokenize=False, add_generation_prompt=True, enable_thinking=False,
    )  # fmt: skip
