"""DPO with packing on and off, in float32: loss, gradients and reference, over settings and shapes of groups."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edu_align.data.pairs import in_steps, training_pairs
from edu_align.packing.decoder import share_prefixes
from edu_align.records import Pair
from tests.packing.test_decoder import close, equal_gradients, gradients, group, moved_trainer, with_adapter

QUESTION = "Why is 3/4 larger than 2/3? I see 3 and 4, and they are larger."
SETTINGS = {
    "live reference": ["trainer.precompute_reference=false"],
    "precomputed reference": ["trainer.precompute_reference=true"],
    "label smoothing": ["trainer.label_smoothing=0.2", "trainer.loss_type=robust"],
    "SFT term": ["trainer.sft_weight=0.5"],
    "ld_alpha": ["+trainer.args.ld_alpha=0.4"],
    "ld_alpha, precomputed": ["+trainer.args.ld_alpha=0.4", "trainer.precompute_reference=true"],
    "truncation": ["trainer.max_length=72"],
    "gradient checkpointing": ["hardware.gradient_checkpointing=true"],
    "weighting": ["+trainer.args.use_weighting=true"],
}


def pairs_of_shapes() -> list[Pair]:
    """Two replies, eleven replies of all lengths, and a prompt that another one begins with."""
    many = group(QUESTION, *[f"{'Look again. ' * (n % 4)}What is {n} of 12?" for n in range(11)])
    short = group(QUESTION[:30], "Draw both.", "3/4 is 9/12.")
    two = group("Is 0 even?", "What does even mean to you?", "Yes.")
    return in_steps(training_pairs([many, short, two], 5, 9, seed=1), 12, seed=1)


@pytest.fixture(scope="module")
def outcome(typed: Any, random_model: Any, bytes_tokenizer: Any, tmp_path_factory: Any) -> Any:
    """`outcome(pairs, words, packed)`: loss, gradients, reference and sharing of one batch that holds all pairs."""

    def step(pairs: list[Pair], words: list[str], packed: bool) -> tuple[Any, ...]:
        size = len(pairs)
        config = typed("trainer=dpo", f"trainer.batch_size={size}", f"hardware.per_device_batch_size={size}", *words)
        model = with_adapter(random_model(), config)
        sharing = share_prefixes(model) if packed else None
        trainer = moved_trainer(config, model, bytes_tokenizer, pairs, tmp_path_factory.mktemp("it"))
        batch = next(iter(trainer.get_train_dataloader()))
        loss = trainer.compute_loss(trainer.model, dict(batch))
        loss.backward()
        reference = torch.cat(trainer.compute_ref_log_probs(trainer.model, batch))
        return loss.detach(), gradients(trainer.model), reference, sharing

    return step


def compare(outcome: Any, pairs: list[Pair], words: list[str]) -> Any:
    loss, expected, reference, _ = outcome(pairs, words, False)
    got, found, other, sharing = outcome(pairs, words, True)
    close(got, loss, "loss")
    close(other, reference, "reference log-probabilities")
    equal_gradients(found, expected)
    return sharing


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_gives_the_same_loss_and_gradients(name: str, outcome: Any) -> None:
    sharing = compare(outcome, pairs_of_shapes(), SETTINGS[name])
    assert sharing.asked > 2 * sharing.computed


def test_the_sft_term_adds_its_weight_times_the_nll_of_the_chosen(outcome: Any) -> None:
    def loss(*words: str) -> float:
        return float(outcome(pairs_of_shapes(), list(words), True)[0])

    alone, nll = loss(), loss("trainer.loss_type=sft")
    assert abs(alone - nll) > 0.1
    assert loss("trainer.sft_weight=0.5") == pytest.approx(alone + 0.5 * nll, rel=1e-5)


WORDS = st.sampled_from(["why", "is", "it", "3/4", "larger?", "draw", "it"])
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=2, max_size=4, unique=True)), min_size=1, max_size=3))
def test_random_groups_give_the_same_loss_and_gradients(outcome: Any, drawn: list[tuple[str, list[str]]]) -> None:
    groups = [replace(group(question, *replies), id=f"g{i}") for i, (question, replies) in enumerate(drawn)]
    pairs = training_pairs(groups, 1, None, seed=0)
    compare(outcome, pairs, ["trainer.precompute_reference=false"])
