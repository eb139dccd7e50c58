"""Which tokens of a dialogue carry a loss, and on which rendering."""

from typing import Any

import pytest

from edu_align.models.chat_template import IGNORED, TemplateError, marked
from edu_align.models.tokenizer import byte_tokenizer
from edu_align.models.trained_turns import encode, encode_dialogue
from edu_align.records import Message
from tests.models.test_tokenizer import DIALOGUE, TEXT


def trained_text(tokenizer: Any, labels: list[int]) -> str:
    return tokenizer.decode([label for label in labels if label != IGNORED])


def test_labels_lie_on_the_flagged_turn_and_its_end(bytes_tokenizer: Any) -> None:
    ids, labels = encode(bytes_tokenizer, DIALOGUE)
    assert bytes_tokenizer.decode(ids) == TEXT
    shown = TEXT.replace("Yes — draw it.</s>", ">>>Yes — draw it.</s><<<")
    assert marked(bytes_tokenizer, ids, labels) == shown
    assert marked(bytes_tokenizer, ids[:10], [IGNORED] * 10) == "<|system|>"
    assert len(ids) == len(labels)
    assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    assert trained_text(bytes_tokenizer, labels) == "Yes — draw it.</s>"
    assert labels[-1] == IGNORED  # the line break after the last turn is no part of it
    assert labels[-2] == bytes_tokenizer.eos_token_id
    both = tuple(Message(m.role, m.content, train=m.role == "assistant") for m in DIALOGUE)
    assert trained_text(bytes_tokenizer, encode(bytes_tokenizer, both)[1]) == "Which is larger?</s>Yes — draw it.</s>"
    assert encode_dialogue(bytes_tokenizer, DIALOGUE[:4]).rows == []
    cut_ids, cut_labels = encode(bytes_tokenizer, DIALOGUE, max_length=len(ids) - 4)
    assert (cut_ids, cut_labels) == (ids[:-4], labels[:-4])
    assert trained_text(bytes_tokenizer, cut_labels) == "Yes — draw i"


TALK = (
    Message("system", "S."),
    Message("user", "U0"),
    Message("assistant", "A0", train=True),
    Message("user", "U1"),
    Message("assistant", "A1"),
    Message("user", "U2"),
    Message("assistant", "A2", train=True),
)
TURN = "{% for m in messages %}{{ m.role[0] }}:"
THINKING = "{% if add_generation_prompt %}a:<t>{% endif %}"
OPEN = "{% if add_generation_prompt %}a:{% endif %}"


def rows(template: str, *turns: Message) -> list[str]:
    chat = byte_tokenizer()
    chat.chat_template = template
    return [marked(chat, row.ids, row.labels) for row in encode_dialogue(chat, turns or TALK).rows]


@pytest.mark.cases("B4")
@pytest.mark.parametrize(
    ("name", "template", "expected"),
    [
        ("stable", TURN + "{{ m.content }}|{% endfor %}" + OPEN, ["s:S.|u:U0|a:>>>A0|<<<u:U1|a:A1|u:U2|a:>>>A2|<<<"]),
        (
            "other end of the last reply",
            TURN + "{{ m.content }}{{ '!' if loop.last else '|' }}{% endfor %}" + OPEN,
            ["s:S.|u:U0|a:>>>A0!<<<", "s:S.|u:U0|a:A0|u:U1|a:A1|u:U2|a:>>>A2!<<<"],
        ),
        (
            "thoughts of the last reply alone, opened by the prompt",
            TURN + "{{ '<t>' if loop.last and m.role[0] == 'a' }}{{ m.content }}|{% endfor %}" + THINKING,
            ["s:S.|u:U0|a:<t>>>>A0|<<<", "s:S.|u:U0|a:A0|u:U1|a:A1|u:U2|a:<t>>>>A2|<<<"],
        ),
        (
            "opened with more than a reply has",
            TURN + "{{ m.content }}|{% endfor %}" + THINKING,
            ["s:S.|u:U0|a:>>>A0|<<<u:U1|a:A1|u:U2|a:>>>A2|<<<"],
        ),
        (
            "what was said is rewritten, from the first sign on",
            "{{ messages | length }};" + TURN + "{{ m.content }}|{% endfor %}" + OPEN,
            ["3;s:S.|u:U0|a:>>>A0|<<<", "7;s:S.|u:U0|a:A0|u:U1|a:A1|u:U2|a:>>>A2|<<<"],
        ),
    ],
)
def test_a_turn_is_trained_as_it_is_written_when_it_is_the_last(name: str, template: str, expected: list[str]) -> None:
    assert rows(template) == expected


@pytest.mark.cases("B4")
def test_a_reply_that_stands_first_is_trained_without_its_header() -> None:
    turns = (Message("assistant", "Hello.", train=True), Message("user", "Hi"))
    assert rows(TURN + "{{ m.content }}|{% endfor %}" + OPEN, *turns) == ["a:>>>Hello.|<<<"]


@pytest.mark.cases("B10")
def test_content_as_parts_where_the_template_reads_nothing_else() -> None:
    parts = TURN + "{% for part in m.content %}{{ part.text }}{% endfor %}|{% endfor %}" + OPEN
    either = TURN + "{% if m.content is string %}{{ m.content }}{% else %}no{% endif %}|{% endfor %}" + OPEN
    assert rows(parts) == rows(either) == rows(TURN + "{{ m.content }}|{% endfor %}" + OPEN)


@pytest.mark.cases("B4", "B10")
@pytest.mark.parametrize(
    ("template", "words"),
    [
        (TURN + "|{% endfor %}" + OPEN, "writes nothing of a reply's text"),
        (TURN + "{{ m.content }}{% endfor %}" + OPEN, "writes nothing after a reply"),
        (TURN + "{{ m.content }}\n{% endfor %}" + OPEN, "writes nothing after a reply"),
        (TURN + "{{ m.content }}|{% endfor %}{{ raise_exception('why ' + messages[0].role) }}", "why system"),
        (TURN + "{{ m.content | no_such }}|{% endfor %}", r"cannot be read as Jinja: No filter named 'no_such'\. Ways"),
    ],
)
def test_what_holds_no_reply_or_no_end_is_refused(template: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words) as caught:
        rows(template)
    assert str(caught.value.of("file:3")).startswith("record file:3: ")


@pytest.mark.cases("B5")
def test_what_a_template_leaves_out_is_told_by_role() -> None:
    chat = byte_tokenizer()
    chat.chat_template = (
        "{% for m in messages if m.role != 'system' %}{{ m.content.split('</think>')[-1].strip() }}|{% endfor %}"
    )
    thoughtful = Message("assistant", "<think>hm</think> Why?  ", train=True)
    found = encode_dialogue(chat, (TALK[0], TALK[1], thoughtful))
    assert sorted(found.changed) == ["assistant", "system"]
    assert [marked(chat, row.ids, row.labels) for row in found.rows] == ["U0|>>>Why?|<<<"]
    assert encode_dialogue(chat, (Message("user", " U "), TALK[2])).changed == [], "spaces at the edges are no text"


@pytest.mark.cases("B5")
def test_a_template_that_changes_a_replys_case_is_used_and_told() -> None:
    chat = byte_tokenizer()
    chat.chat_template = "{% for m in messages %}{{ m.role }}:{{ m.content.upper() }}|{% endfor %}"
    found = encode_dialogue(chat, (Message("user", "Hi?"), Message("assistant", "Why so?", train=True)))
    assert found.changed == ["assistant", "user"]
    assert [marked(chat, row.ids, row.labels) for row in found.rows] == ["user:HI?|>>>assistant:WHY SO?|<<<"]
