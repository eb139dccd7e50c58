"""Log-probabilities of replies against the definition, and replies that do not depend on the batch."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from edu_align.models import scoring
from edu_align.models.chat_template import IGNORED
from edu_align.models.generation import prompt_and_reference
from edu_align.models.scoring import conversation_rows, label_logps, reply_rows, score
from edu_align.models.trained_turns import encode
from edu_align.packing.decoder import share_prefixes
from edu_align.records import Conversation, Message
from edu_align.utils.errors import UserError
from tests.answers import generate, score_replies
from tests.networks import SHAPE
from tests.packing.test_decoder import group

GROUPS = [group("What is 7 x 8?", "How far from 7 x 7?", "56"), group("Why?", "Because it rains.", "Look.", "So.")]


@pytest.fixture(scope="module")
def model(random_model: Any) -> Any:
    return random_model()


def naive(model: Any, ids: list[int], labels: list[int]) -> tuple[float, int]:
    """One row at a time, every position through the head: log p(token | what came before), summed over the labels."""
    with torch.no_grad():
        logps = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
    at = [i for i in range(1, len(ids)) if labels[i] != IGNORED]
    return sum(logps[i - 1, ids[i]].item() for i in at), len(at)


@pytest.mark.parametrize("packed", [False, True])
def test_logps_are_those_of_each_reply_alone(random_model: Any, bytes_tokenizer: Any, packed: bool) -> None:
    model = random_model().eval()
    rows = [row for g in GROUPS for row in reply_rows(bytes_tokenizer, g, 200)]
    expected = [naive(model, *row) for row in rows]
    if packed:
        share_prefixes(model)
    found = label_logps(model, rows, bytes_tokenizer.pad_token_id)
    (logps, counts), (known, lengths) = zip(*found, strict=True), zip(*expected, strict=True)
    assert counts == lengths
    assert logps == pytest.approx(known, rel=1e-5)
    assert max(logps) < 0


SCALED = {
    "cohere": {"logit_scale": 0.3},
    "gemma2": {"head_dim": 8, "final_logit_softcapping": 0.5},
    "granite": {"logits_scaling": 4.0},
    "hyperclovax": {"logits_scaling": 3.0},
    "minicpm3": {"hidden_size": 64, "dim_model_base": 16, "num_key_value_heads": 4},
}


@pytest.mark.parametrize("kind", SCALED)
def test_logps_are_those_of_models_that_scale_or_cap_their_logits(kind: str, bytes_tokenizer: Any) -> None:
    shape = {**SHAPE, "num_hidden_layers": 1, **SCALED[kind]}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **shape), attn_implementation="eager").eval()
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)  # so that it matters
    rows = [row for g in GROUPS for row in reply_rows(bytes_tokenizer, g, 200)]
    found = [logp for logp, _ in label_logps(model, rows, bytes_tokenizer.pad_token_id)]
    assert found == pytest.approx([naive(model, *row)[0] for row in rows], rel=1e-5)


def test_counts_are_the_reply_and_its_end(model: Any, bytes_tokenizer: Any) -> None:
    scores = score_replies(model, bytes_tokenizer, GROUPS, 200)
    assert [counts for _, counts in scores] == [(20, 3), (18, 6, 4)]
    assert [len(logps) for logps, _ in scores] == [2, 3]


def test_small_batches_give_the_same_scores(model: Any, bytes_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score_replies(model, bytes_tokenizer, GROUPS, 200)
    seen: list[int] = []
    monkeypatch.setattr(scoring, "label_logps", lambda *given: (seen.append(len(given[1])), label_logps(*given))[1])
    monkeypatch.setattr(scoring, "MAX_BATCH_TOKENS", 1)
    small = score_replies(model, bytes_tokenizer, GROUPS, 200)
    assert seen == [2, 3]  # a group is never split
    for (one, counts), (two, again) in zip(whole, small, strict=True):
        assert counts == again
        assert one == pytest.approx(two, rel=1e-5)


def test_a_long_row_loses_the_start_of_its_prompt(bytes_tokenizer: Any) -> None:
    (ids, labels), *_ = reply_rows(bytes_tokenizer, GROUPS[0], 30)
    assert len(ids) == len(labels) == 30
    assert bytes_tokenizer.decode([label for label in labels if label != IGNORED]) == "How far from 7 x 7?</s>"


def test_conversation_loss_covers_every_trained_turn(model: Any, bytes_tokenizer: Any) -> None:
    turns = (
        Message("user", "Hi"), Message("assistant", "Hello", train=True), Message("user", "1+1?"),
        Message("assistant", "What do you think?", train=True),
    )  # fmt: skip
    conversations = [Conversation(turns, "a", "local", "g1"), Conversation(turns[:1], "b", "local", "g2")]
    ((talk, rows),) = conversation_rows(bytes_tokenizer, conversations, 200)
    (((found, count),),) = score(model, bytes_tokenizer, [rows])
    logp, tokens = naive(model, *encode(bytes_tokenizer, turns))
    assert (talk.group, count) == ("g1", tokens)
    assert count == len("Hello") + len("What do you think?") + 2
    assert found == pytest.approx(logp, rel=1e-5)
    with pytest.raises(UserError, match=r"no held-out conversation.*trainer\.max_length=5"):
        conversation_rows(bytes_tokenizer, conversations, 5)


def test_a_reply_does_not_depend_on_what_else_is_in_the_batch(model: Any, bytes_tokenizer: Any) -> None:
    prompts = [g.prompt for g in GROUPS]
    together = generate(model, bytes_tokenizer, prompts, 8)
    assert together == generate(model, bytes_tokenizer, prompts, 8)
    assert together == [generate(model, bytes_tokenizer, [prompt], 8)[0] for prompt in prompts]


def test_the_reference_reply_is_the_best_or_the_last_trained_turn() -> None:
    assert prompt_and_reference(GROUPS[1]) == (GROUPS[1].prompt, "Because it rains.")
    turns = (Message("user", "q"), Message("assistant", "a", train=True), Message("user", "r"))
    conversation = Conversation((*turns, Message("assistant", "last", train=True)), "1", "local", "1")
    assert prompt_and_reference(conversation) == (turns, "last")
