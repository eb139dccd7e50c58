"""Rows of pairs, cut by us: the batches are those that TRL's deprecated `keep_end` made."""

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edu_align.training.dpo_rows import COLUMNS, PairCollator, cut_at_start

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
