"""Our head for CPUs against TRL's: the same numbers and the same gradient of the hidden states."""

import pytest
import torch
from trl.kernels import ChunkedLogProbFunction
from trl.kernels.chunked_logprob import OPTIONAL_OUTPUTS

import edu_align.packing.scores as scores
from edu_align.packing.scores import _ScoreDistinctRows


def inputs(rows: int, vocabulary: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    hidden = torch.randn(rows, 16, generator=draw).to(dtype).requires_grad_()
    weight = torch.randn(vocabulary, 16, generator=draw).to(dtype)
    return hidden, weight, torch.randint(0, vocabulary, (rows,), generator=draw)


def test_log_probabilities_alone_where_nothing_else_is_read() -> None:
    head, (hidden, weight, labels) = _ScoreDistinctRows(ChunkedLogProbFunction), inputs(6, 30, torch.float32)
    given = (hidden, weight, None, labels, 1.0, 128, None, 1.0, OPTIONAL_OUTPUTS)
    whole = head.apply(*given)
    assert all(output is not None for output in whole)
    with scores.log_probs_only():
        logps, *others = head.apply(*given)
    assert torch.equal(logps, whole[0])
    assert others == [None] * len(OPTIONAL_OUTPUTS)
    assert all(output is not None for output in head.apply(*given)), "behind the block as before it"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kept", [0, 4 * 300 * 4, 2**27])  # none, one product's in float32, all
@pytest.mark.parametrize(("rows", "product", "tile"), [(1, 4, 2), (4, 4, 2), (11, 4, 3), (30, 64, 64)])
def test_the_outputs_and_the_gradient_are_trls(
    rows: int, product: int, tile: int, kept: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("KEPT_LOGITS", kept), ("ROWS", product), ("TILE", tile)):
        monkeypatch.setattr(scores, name, value)
    hidden, weight, labels = inputs(rows, 300, dtype)
    slopes = torch.linspace(-1, 2, rows)
    expected = ChunkedLogProbFunction.apply(hidden, weight, None, labels, 1.0, 128, None, 1.0, OPTIONAL_OUTPUTS)
    (wanted,) = torch.autograd.grad((expected[0] * slopes).sum(), hidden)
    found = scores.label_scores(hidden, weight, labels, OPTIONAL_OUTPUTS)
    (got,) = torch.autograd.grad((found[0] * slopes).sum(), hidden, retain_graph=True)
    for name, one, other in zip(("log_probs", *OPTIONAL_OUTPUTS), found, expected, strict=True):
        assert torch.allclose(one.float(), other.float(), rtol=1e-4, atol=1e-5), name
    tolerance = 1e-5 if dtype == torch.float32 else 0.02
    assert (got - wanted).abs().max() <= tolerance * wanted.abs().max()
    assert got.dtype == wanted.dtype
    (again,) = torch.autograd.grad((found[0] * slopes).sum(), hidden)
    assert torch.equal(got, again)


def test_only_what_is_asked_for_is_computed() -> None:
    log_probs, *others = scores.label_scores(*inputs(5, 40, torch.float32), ())
    assert log_probs.shape == (5,)
    assert others == [None] * 4
    hidden, weight = torch.ones(2, 1), torch.tensor([[1.0], [3.0], [3.0]])
    top = scores.label_scores(hidden, weight, torch.tensor([1, 2]), ("is_top1",))[-1]
    assert top.tolist() == [True, False], "of equal logits the first counts as the top"


@pytest.mark.parametrize("trained", [False, True])
def test_a_head_that_is_trained_stays_trls(trained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(scores, "label_scores", lambda *given: calls.append(given) or (None,) * 5)
    hidden, weight, labels = inputs(3, 40, torch.float32)
    head = _ScoreDistinctRows(ChunkedLogProbFunction)
    head.apply(hidden, weight.requires_grad_(trained), None, labels, 1.0, 128, None, 1.0, ())
    assert bool(calls) is not trained
    head.apply(hidden, weight, None, labels, 0.7, 128, None, 1.0, ())
    assert len(calls) == (0 if trained else 1), "a temperature is TRL's to apply"
