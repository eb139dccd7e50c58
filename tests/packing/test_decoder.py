"""The packed decoder computes what the plain one does: hidden states, losses, metrics and gradients."""

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import trl.trainer.utils as trl_utils
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM
from trl.kernels import ChunkedLogProbFunction

from edu_align.data.pairs import in_steps, training_pairs
from edu_align.models.device import Device
from edu_align.models.weights import add_adapter
from edu_align.packing.decoder import install_packing, share_prefixes, unpackable_reason
from edu_align.packing.scores import distinct_rows, score_labels_once
from edu_align.records import Conversation, Message, Pair, Response, ResponseGroup
from edu_align.training.rows import Rows, make_rows
from edu_align.training.session import METHODS
from edu_align.utils.errors import UserError
from tests.packing.test_forest import batch
from tests.training.objectives import TRL_LOSSES

WINDOW = 24
KINDS: dict[str, dict[str, Any]] = {"llama": {}, "mistral": {"sliding_window": WINDOW}, "qwen2": {}}
# discopop divides the log-ratio by a temperature of 0.05, and float32's rounding grows with it.
TOLERANCE = {"discopop": 5e-5}
DEVICE = Device("cpu", "float32", "sdpa", "none", ())


def group(question: str, *replies: str) -> ResponseGroup:
    responses = tuple(Response(text, float(len(replies) - i)) for i, text in enumerate(replies))
    return ResponseGroup((Message("user", question),), responses, id=question, source="local", group=question)


FIRST = group("I think 1/2 + 1/3 is 2/5. Is it?", "Which piece is larger?", "No, 5/6.", "Try drawing it.")
OTHER = group("What is 7 x 8?", "How far is it from 7 x 7?", "56")
PAIRS = [Pair(FIRST, 0, 1), Pair(FIRST, 2, 1), Pair(OTHER, 0, 1), Pair(FIRST, 0, 2)]
TALKS = [
    Conversation((*g.prompt, Message("assistant", r.text, train=True)), f"{g.id}-{i}", "local", g.id)
    for g in (FIRST, OTHER)
    for i, r in enumerate(g.responses)
]


def close(packed: torch.Tensor, plain: torch.Tensor, what: str, tolerance: float = 1e-5) -> None:
    """Equal within `tolerance` of the largest value."""
    scale = max(plain.abs().max().item(), 1e-6)
    error = (packed - plain).abs().max().item() / scale
    assert error < tolerance, f"{what}: relative error {error:.2e}"


def with_adapter(model: Any, config: Any) -> Any:
    """LoRA whose second matrix is not zero, so that every gradient of it is."""
    adapted = add_adapter(model, config.adapter, seed=0)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
    return adapted


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def equal_gradients(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 1e-5) -> None:
    """Equal within `tolerance` of the largest gradient of all."""
    assert found.keys() == expected.keys()
    largest = max(value.abs().max().item() for value in expected.values())
    assert largest > 0
    for name, value in expected.items():
        assert (found[name] - value).abs().max().item() < tolerance * largest, name


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_are_those_of_each_row_alone(random_model: Any, kind: str, left: bool) -> None:
    model = random_model(kind, **KINDS[kind]).eval()
    draw = Random(3)
    prompt, *ends, other = ([draw.randrange(4, 260) for _ in range(n)] for n in (30, 9, 14, 1, 17))
    rows = [*(prompt + end for end in ends), other]
    ids, mask = map(torch.from_numpy, batch(rows, left))
    with torch.no_grad():
        plain = [model.base_model(torch.tensor([row]), use_cache=False).last_hidden_state[0] for row in rows]
        sharing = share_prefixes(model)
        packed = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    assert packed.shape[:2] == ids.shape
    for i, alone in enumerate(plain):
        close(packed[i, mask[i] == 1], alone, f"row {i}")
    assert (sharing.asked, sharing.computed) == (sum(map(len, rows)), 30 + 9 + 14 + 1 + 17)
    assert sharing.ratio == sharing.asked / sharing.computed


def rows_of(config: Any, tokenizer: Any, train: Any) -> tuple[Rows, Rows]:
    """The rows of training examples, without validation."""
    return make_rows(config, tokenizer, SimpleNamespace(train=train, validation=[]), None)  # type: ignore[arg-type]


def moved_trainer(config: Any, model: Any, tokenizer: Any, pairs: list[Pair], folder: Path) -> Any:
    """A DPO trainer whose policy has moved off the reference."""
    trainer: Any = METHODS["dpo"](config, model, tokenizer, *rows_of(config, tokenizer, pairs), DEVICE, folder)
    draw = torch.Generator().manual_seed(2)
    for name, parameter in trainer.model.named_parameters():
        if ".default." in name:
            parameter.data += torch.randn(parameter.shape, generator=draw) * 0.02
    return trainer


@pytest.fixture(scope="module")
def dpo_trainers(random_model: Any, typed: Any, bytes_tokenizer: Any, tmp_path_factory: Any) -> Any:
    """`(plain trainer, packed trainer, batch)` of one model kind."""

    @cache
    def get(kind: str) -> tuple[Any, Any, Any]:
        config = typed(
            "trainer=dpo",
            "trainer.precompute_reference=false",
            "trainer.loss_type=robust",
            "trainer.label_smoothing=0.1",
        )
        trainers = []
        for packed in (False, True):
            model = with_adapter(random_model(kind, **KINDS[kind]), config)
            if packed:
                share_prefixes(model)
            trainers.append(moved_trainer(config, model, bytes_tokenizer, PAIRS, tmp_path_factory.mktemp(kind)))
        return (*trainers, next(iter(trainers[0].get_train_dataloader())))

    return get


def dpo_step(trainer: Any, batch: Any, loss_type: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    trainer.loss_types = [loss_type]
    trainer.model.eval()
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    return loss.detach(), gradients(trainer.model)


@pytest.mark.parametrize(
    ("kind", "loss_type"), [("llama", loss) for loss in TRL_LOSSES] + [("mistral", "sigmoid"), ("qwen2", "sigmoid")]
)
def test_every_dpo_loss_and_its_gradients(dpo_trainers: Any, kind: str, loss_type: str) -> None:
    plain, packed, batch = dpo_trainers(kind)
    assert batch["input_ids"].shape[1] > WINDOW
    loss, expected = dpo_step(plain, batch, loss_type)
    got, found = dpo_step(packed, batch, loss_type)
    close(got, loss, "loss")
    assert all(".default." in name for name in expected)
    equal_gradients(found, expected, TOLERANCE.get(loss_type, 1e-5))


@pytest.mark.parametrize("kind", KINDS)
def test_sft_loss_and_gradients(random_model: Any, typed: Any, bytes_tokenizer: Any, tmp_path: Path, kind: str) -> None:
    config = typed("trainer=sft", "trainer.batch_size=5", "hardware.per_device_batch_size=5")
    results = []
    for packed in (False, True):
        model = with_adapter(random_model(kind, **KINDS[kind]), config)
        sharing = share_prefixes(model) if packed else None
        trainer: Any = METHODS["sft"](
            config, model, bytes_tokenizer, *rows_of(config, bytes_tokenizer, TALKS), DEVICE, tmp_path
        )
        torch.manual_seed(0)  # the order of the loader
        batch = next(iter(trainer.get_train_dataloader()))
        loss = trainer.compute_loss(trainer.model, dict(batch))
        loss.backward()
        results.append((loss.detach(), gradients(trainer.model), batch["input_ids"]))
    (loss, expected, ids), (got, found, again) = results
    assert torch.equal(ids, again)
    assert sharing is not None
    assert sharing.asked > sharing.computed > 0
    close(got, loss, "loss")
    equal_gradients(found, expected)


def test_scoring_labelled_positions_once_changes_no_number(dpo_trainers: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(trl_utils, "_use_triton", lambda device: False)
    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", ChunkedLogProbFunction)
    plain, _, batch = dpo_trainers("llama")
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "use_cache": False}

    def log_probs() -> torch.Tensor:
        with torch.no_grad():
            return plain.model(**inputs, labels=labels, fused_lm_head=True).log_probs

    every = log_probs()
    score_labels_once()
    labelled = log_probs()
    assert every.shape == labelled.shape
    assert (every != 0).sum() == (labels[:, 1:] != -100).sum()
    close(labelled, every, "log-probabilities", 1e-6)


def test_equal_rows_are_found_and_unequal_ones_kept() -> None:
    hidden = torch.tensor([[1.0, 2, 3, 4], [1, 2, 3, 4], [5, 6, 7, 8], [1, 2, 3, 4]])
    kept, back = distinct_rows(hidden, torch.tensor([7, 7, 7, 8]))
    assert len(kept) == 3
    assert back[0] == back[1]
    assert torch.equal(hidden[kept][back], hidden)
    alike = torch.tensor([[1.0, 2, 3, 4], [1, 2, 3, 5]])  # the same key, other rows
    assert [part.tolist() for part in distinct_rows(alike, torch.tensor([7, 7]))] == [[0, 1], [0, 1]]


def test_generation_is_not_packed(random_model: Any) -> None:
    model = random_model().eval()
    ids = torch.tensor([[0, 0, 7, 8, 9], [7, 8, 9, 10, 11]])
    options = {"attention_mask": (ids != 0).long(), "max_new_tokens": 6, "do_sample": False, "pad_token_id": 3}
    plain = model.generate(ids, **options)
    sharing = share_prefixes(model)
    assert torch.equal(model.generate(ids, **options), plain)
    assert sharing.computed == 0


def test_a_copy_of_a_packed_model_runs_its_own_weights(random_model: Any) -> None:
    model = random_model().eval()
    share_prefixes(model)
    reference = copy.deepcopy(model)
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]])

    def hidden(of: Any) -> torch.Tensor:
        with torch.no_grad():
            return of.base_model(input_ids=ids, use_cache=False).last_hidden_state

    first = hidden(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    assert torch.equal(hidden(reference), first)
    assert not torch.allclose(hidden(model), first)


def test_models_that_cannot_be_packed_are_named(random_model: Any) -> None:
    gpt2 = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", n_layer=1, n_embd=8, n_head=1, vocab_size=99))
    assert "'gpt2'" in str(unpackable_reason(gpt2))
    with pytest.raises(ValueError, match="'gpt2'"):
        share_prefixes(gpt2)
    with pytest.raises(UserError, match=r"hardware\.packing=on.*'gpt2'.*hardware\.packing=auto"):
        install_packing("on", gpt2)
    assert install_packing("auto", gpt2).computed == 0
    llama = random_model()
    assert unpackable_reason(llama) is None
    llama.config._attn_implementation = "eager"
    assert "'eager' is not sdpa" in str(unpackable_reason(llama))


def test_packing_off_leaves_the_model_alone(random_model: Any, capsys: Any) -> None:
    model = random_model()
    assert install_packing("off", model).computed == 0
    assert "forward" not in vars(model.base_model)
    assert "packing is off: hardware.packing=off" in capsys.readouterr().out


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


@settings(max_examples=3, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=2, max_size=4, unique=True)), min_size=1, max_size=3))
def test_random_groups_give_the_same_loss_and_gradients(outcome: Any, drawn: list[tuple[str, list[str]]]) -> None:
    groups = [replace(group(question, *replies), id=f"g{i}") for i, (question, replies) in enumerate(drawn)]
    pairs = training_pairs(groups, 1, None, seed=0)
    compare(outcome, pairs, ["trainer.precompute_reference=false"])
