"""Rows of pairs, cut by us: the batches are those that TRL's deprecated `keep_end` made."""

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edu_align.cache.run_cache import RunCache
from edu_align.models.device import resolve
from edu_align.models.locate import locate
from edu_align.models.tokenizer import byte_tokenizer
from edu_align.records import Message, Pair, Response, ResponseGroup
from edu_align.training.dpo_rows import COLUMNS, PairCollator, cached_dpo_rows, cut_at_start, dpo_rows

Ids = st.lists(st.integers(1, 9), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(Ids, Ids.filter(bool), Ids.filter(bool)), min_size=1, max_size=4), st.integers(1, 20))
@pytest.mark.parametrize("multiple", [None, 8])
def test_batches_are_those_of_keep_end(multiple: int | None, pairs: list[Any], max_length: int) -> None:
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        peer = DataCollatorForPreference(0, max_length, "keep_end", pad_to_multiple_of=multiple)
    logps = {"ref_chosen_logps": -1.5, "ref_rejected_logps": -2.5}
    expected = peer([
        {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected} | logps
        for prompt, chosen, rejected in pairs
    ])  # fmt: skip
    rows = []
    for prompt, chosen, rejected in pairs:
        parts = (*cut_at_start(prompt, chosen, max_length), *cut_at_start(prompt, rejected, max_length))
        rows.append(dict(zip(COLUMNS, parts, strict=True)))
    found = PairCollator(0, multiple)([row | logps for row in rows])
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
        assert found[name].dtype == value.dtype, name


def pair(number: int, chosen: str, rejected: str) -> Pair:
    question = (Message("user", f"Is {number} + 1 = {number + 1}?"),)
    return Pair(ResponseGroup(question, (Response(chosen, 5), Response(rejected, 1)), f"p{number}", "local", "g"), 0, 1)


@pytest.mark.cases("B5", "C7")
def test_pairs_that_become_equal_are_left_out_and_counted(bytes_tokenizer: Any, typed: Any, tmp_path: Any) -> None:
    chat = byte_tokenizer()
    chat.chat_template = (
        "{% for m in messages %}{% if m.content == 'no' %}{{ raise_exception('no') }}{% endif %}"
        "{{ m.content.split('</think>')[-1] }}|{% endfor %}"
    )
    pairs = [
        pair(0, "<think>a</think>Why?", "<think>b</think>Why?"),
        pair(1, "Why?", "Because."),
        pair(2, "A" + "z" * 70, "B" + "z" * 70),
        pair(3, "How?", "no"),
    ]
    config = typed("trainer=dpo", f"outputs_root={tmp_path}")
    for cached in (False, True, True):
        cache = RunCache(config, locate(config.model, tmp_path, config.seed), resolve(config))
        rows, counts = cached_dpo_rows(cache if cached else None, chat, pairs, 64)
        assert counts.kept == [1]
        assert chat.decode(rows[0]["rejected_ids"]) == "Because.|"
        refused, changed, *equal = counts.lines(64)
        assert "1 pairs are left out; the first: record p3: the chat template refuses" in refused
        assert "text of 2 assistant turns (first: record p0)" in changed
        assert equal == [
            "edu_align: 1 of 4 pairs that read the same in the chat template are left out",
            "edu_align: 1 of 4 pairs that are the same once cut to trainer.max_length=64 are left out",
        ]
    assert dpo_rows(bytes_tokenizer, pairs[1:3], 1000)[1].kept == [0, 1]


@pytest.mark.cases("C7")
def test_what_is_previewed_is_what_is_trained(go: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long prompts, cut: the rows that the trainer gets are those that preview shows, and are made once."""
    from edu_align.training import rows, session

    made: list[Any] = []
    original = rows.make_rows
    monkeypatch.setattr(rows, "make_rows", lambda *given: made.append(original(*given)) or made[-1])
    words = ["trainer=dpo", "trainer.max_length=64", "evaluation.enabled=false", "trainer.max_steps=1"]
    go(*words, "preview=2")
    shown = capsys.readouterr().out
    trained: list[Any] = []
    build = session.METHODS["dpo"]

    def watched(config: Any, model: Any, tokenizer: Any, train: Any, valid: Any, *rest: Any) -> Any:
        found = build(config, model, tokenizer, train, valid, *rest)
        trained.extend([tokenizer, found.train_dataset.to_list()])
        return found

    monkeypatch.setitem(session.METHODS, "dpo", watched)
    go(*words)
    assert len(made) == 2, "once a command"
    tokenizer, found = trained
    assert len(found) == made[1][0].examples
    for row in found[:2]:
        assert tokenizer.decode(row["prompt_ids"]) + ">>>" + tokenizer.decode(row["chosen_ids"]) + "<<<" in shown
        assert len(row["prompt_ids"]) + len(row["chosen_ids"]) <= 64
    assert all(
        row["prompt_ids"] + row["chosen_ids"] != row["rejected_prompt_ids"] + row["rejected_ids"] for row in found
    )
