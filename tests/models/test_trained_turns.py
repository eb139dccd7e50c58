"""Which tokens of a dialogue carry a loss, and on which rendering."""

from typing import Any

from edu_align.models.chat_template import IGNORED, marked
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
