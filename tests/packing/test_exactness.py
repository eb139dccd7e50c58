"""DPO with packing on and off, in float32: loss, gradients and reference, over settings and shapes of groups."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edu_align.data.pairs import in_steps, training_pairs
from edu_align.packing.decoder import share_prefixes
from edu_align.records import Message, Pair, Response, ResponseGroup
from edu_align.training.session import METHODS
from tests.packing.test_decoder import DEVICE, close, gradients, with_adapter

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


def group(name: str, question: str, replies: list[str]) -> ResponseGroup:
    responses = tuple(Response(text, float(len(replies) - i)) for i, text in enumerate(replies))
    return ResponseGroup((Message("user", question),), responses, id=name, source="local", group=name)


def pairs_of_shapes() -> list[Pair]:
    """Two replies, eleven replies of all lengths, and a prompt that another one begins with."""
    many = group("many", QUESTION, [f"{'Look again. ' * (n % 4)}What is {n} of 12?" for n in range(11)])
    short = group("short", QUESTION[:30], ["Draw both.", "3/4 is 9/12."])
    two = group("two", "Is 0 even?", ["What does even mean to you?", "Yes."])
    return in_steps(training_pairs([many, short, two], 5, 9, seed=1), 12, seed=1)


def outcome(
    typed: Any,
    build: Callable[[], Any],
    tokenizer: Any,
    pairs: list[Pair],
    words: list[str],
    packed: bool,
    folder: Path,
) -> tuple[Any, dict[str, torch.Tensor], torch.Tensor, Any]:
    """Loss, gradients and reference log-probabilities of one batch that holds all pairs."""
    size = len(pairs)
    config = typed("trainer=dpo", f"trainer.batch_size={size}", f"hardware.per_device_batch_size={size}", *words)
    model = with_adapter(build(), config)
    sharing = share_prefixes(model) if packed else None
    trainer: Any = METHODS["dpo"](config, model, tokenizer, pairs, [], DEVICE, folder)
    draw = torch.Generator().manual_seed(2)  # the policy moves off the reference
    for name, parameter in trainer.model.named_parameters():
        if "lora" in name and parameter.requires_grad:
            parameter.data += torch.randn(parameter.shape, generator=draw) * 0.02
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    reference = torch.cat(trainer.compute_ref_log_probs(trainer.model, batch))
    return loss.detach(), gradients(trainer.model), reference, sharing


def compare(typed: Any, build: Any, tokenizer: Any, pairs: list[Pair], words: list[str], folder: Path) -> Any:
    loss, expected, reference, _ = outcome(typed, build, tokenizer, pairs, words, False, folder / "plain")
    got, found, other, sharing = outcome(typed, build, tokenizer, pairs, words, True, folder / "packed")
    close(got, loss, "loss")
    close(other, reference, "reference log-probabilities")
    assert found.keys() == expected.keys()
    largest = max(value.abs().max().item() for value in expected.values())
    assert largest > 0
    for name, value in expected.items():
        assert (found[name] - value).abs().max().item() < 1e-5 * largest, name
    return sharing


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_gives_the_same_loss_and_gradients(
    name: str, typed: Any, random_model: Any, bytes_tokenizer: Any, tmp_path: Path
) -> None:
    sharing = compare(typed, random_model, bytes_tokenizer, pairs_of_shapes(), SETTINGS[name], tmp_path)
    assert sharing.asked > 2 * sharing.computed


def test_the_sft_term_adds_its_weight_times_the_nll_of_the_chosen(
    typed: Any, random_model: Any, bytes_tokenizer: Any, tmp_path: Path
) -> None:
    def loss(name: str, *words: str) -> float:
        made = outcome(typed, random_model, bytes_tokenizer, pairs_of_shapes(), list(words), True, tmp_path / name)
        return float(made[0])

    alone, nll = loss("dpo"), loss("sft", "trainer.loss_type=sft")
    assert abs(alone - nll) > 0.1
    assert loss("both", "trainer.sft_weight=0.5") == pytest.approx(alone + 0.5 * nll, rel=1e-5)


WORDS = st.sampled_from(["why", "is", "it", "3/4", "larger?", "draw", "it"])
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=2, max_size=4, unique=True)), min_size=1, max_size=3))
def test_random_groups_give_the_same_loss_and_gradients(
    typed: Any,
    random_model: Any,
    bytes_tokenizer: Any,
    tmp_path: Path,
    drawn: list[tuple[str, list[str]]],
) -> None:
    groups = [group(f"g{i}", question, replies) for i, (question, replies) in enumerate(drawn)]
    pairs = training_pairs(groups, 1, None, seed=0)
    compare(typed, random_model, bytes_tokenizer, pairs, ["trainer.precompute_reference=false"], tmp_path)
