"""Pointwise mutual information as the reward of DPO: the equation, in a step however it is cut, and the rows."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import log_softmax, logsigmoid

from edu_align.planning.workload import read_rows, work_of
from edu_align.records import Message, Pair, Response, ResponseGroup, without_dialogue
from edu_align.runs.identity import settings_of
from edu_align.training import dpo
from edu_align.training.dpo_rows import BLIND, COLUMNS, dpo_rows
from edu_align.training.pmi import with_blind_rows
from edu_align.training.rows import Rows
from edu_align.utils.errors import UserError
from tests.training import objectives
from tests.training.objectives import Drawn, Training, compared, difference, in_float64, rows_of

BETA, BLIND_PROMPT = 0.5, [7, 8, 9]


@pytest.fixture(scope="module")
def training(
    tiny: Any, random_model: Callable[..., Any], bytes_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Training:
    return Training(tiny, random_model, bytes_tokenizer, tmp_path_factory.mktemp("pmi"))


@pytest.fixture(autouse=True)
def _blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawn rows with the same replies to a prompt that is the same for all."""

    def both(drawn: Drawn, longest: int) -> Rows:
        rows = rows_of(drawn, longest)
        if not drawn.values.get("trainer.pmi_weight"):
            return rows
        made = [row | blind(row) for row in rows.rows]
        return replace(rows, rows=made)

    monkeypatch.setattr(objectives, "rows_of", both)


def blind(row: dict[str, list[int]]) -> dict[str, list[int]]:
    return dict(zip(BLIND, (BLIND_PROMPT, row["chosen_ids"], BLIND_PROMPT, row["rejected_ids"]), strict=True))


def score(model: Any, prompt: list[int], reply: list[int]) -> torch.Tensor:
    """log p of a reply, by a plain forward pass."""
    logits = model(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1]
    return log_softmax(logits, -1)[range(len(reply)), reply].sum()


def drawn(weight: float, rows: int = 5, batch: int = 8, **values: Any) -> Drawn:
    keys = {f"trainer.{name}": value for name, value in values.items() if name != "packing"}
    packing = {"hardware.packing": values.get("packing", "on")}
    return Drawn(
        "dpo",
        {"trainer.beta": BETA, "trainer.max_length": 32, "trainer.pmi_weight": weight, **packing, **keys},
        rows,
        batch,
    )


@pytest.mark.parametrize("weight", [0.3, 1.0])
@pytest.mark.parametrize("packing", ["on", "off"])
@pytest.mark.parametrize("precompute", [True, False])
def test_loss_rewards_and_gradient_are_the_equations(
    training: Training, weight: float, packing: str, precompute: bool
) -> None:
    """Two steps on the same rows, beside plain forward passes in float64: the second one's margins are not 0.

    Reference log-probabilities that are scored before are kept in float32, and so is the loss that is logged.
    """
    within = 1e-6 if precompute else 1e-9
    given = drawn(weight, rows=4, batch=4, packing=packing, precompute_reference=precompute, epochs=2)
    with in_float64(training):
        found = training.of(given, 4)
        reference = training.model.double()
        rows = [row | blind(row) for row in rows_of(given, 32).rows]
        policy = objectives.copy.deepcopy(reference)
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.03)
        for line in found.lines[:2]:
            worth = []
            for names in ((COLUMNS[:2], BLIND[:2]), (COLUMNS[2:], BLIND[2:])):
                side = []
                for row in rows:
                    gained = []
                    for prompt, reply in names:
                        with torch.no_grad():
                            before = score(reference, row[prompt], row[reply])
                        gained.append(score(policy, row[prompt], row[reply]) - before)
                    side.append(BETA * (gained[0] - weight * gained[1]))
                worth.append(torch.stack(side))
            loss = -logsigmoid(worth[0] - worth[1]).mean()
            optimizer.zero_grad()
            loss.backward()
            norm = float(torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0))
            assert line["loss"] == pytest.approx(loss.item(), rel=1e-7 + within)
            assert line["grad_norm"] == pytest.approx(norm, rel=10 * within)
            for name, value in zip(("chosen", "rejected"), worth, strict=True):
                assert line[f"rewards/{name}"] == pytest.approx(value.mean().item(), rel=within, abs=10 * within)
            rate = line["learning_rate"]
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        training.model.float()
    assert abs(float((worth[0] - worth[1]).detach().mean())) > 1e-6


def test_at_weight_0_it_is_dpo(training: Training) -> None:
    with in_float64(training):
        nearly = training.of(drawn(1e-12), 8)
        assert difference(training.of(drawn(0.0), 8), nearly) < 1e-9
        assert difference(training.of(drawn(1.0), 8), nearly) > 0.01


@pytest.mark.parametrize("beside", [{}, {"sft_weight": 0.5}, {"debias": "product"}])
def test_packed_or_not_and_however_cut_a_step_is_the_same(training: Training, beside: dict[str, Any]) -> None:
    """21 rows: the last step has five. The SFT term stays one of the replies in their dialogue."""
    on = drawn(0.7, 21, 16, epochs=2, **beside)
    off = replace(on, values={**on.values, "hardware.packing": "off"})
    tolerance = 1e-7 if "debias" in beside else 1e-12  # the log-odds are float32
    with in_float64(training):
        assert compared(training, on, 2, 1e-6) < tolerance
        assert difference(training.of(on, 16), training.of(off, 16)) < tolerance


def pairs(*prompts: str) -> list[Pair]:
    replies = (Response("What is 3 + 4?", 8.0), Response("It is 7.", 2.0))
    system = Message("system", "You are a tutor.")
    return [
        Pair(ResponseGroup((system, Message("user", text)), replies, text, "local", text), 0, 1) for text in prompts
    ]


def test_rows_hold_the_same_replies_to_an_empty_turn(bytes_tokenizer: Any) -> None:
    given = pairs("I say 6.", "7?")
    rows, _ = dpo_rows(bytes_tokenizer, given, 512)
    both = with_blind_rows(None, bytes_tokenizer, rows, given, 512)
    for row, plain in zip(both, rows, strict=True):
        assert {name: row[name] for name in COLUMNS} == plain
        for name in ("chosen_ids", "rejected_ids"):
            assert row[f"blind_{name}"] == row[name]
        text = bytes_tokenizer.decode(row["blind_prompt_ids"])
        assert "You are a tutor." in text
        assert "I say 6." not in text
    assert both[0]["blind_prompt_ids"] == both[1]["blind_prompt_ids"]
    assert without_dialogue(given[0].group.prompt) == (Message("system", "You are a tutor."), Message("user", ""))


def test_a_template_that_takes_no_empty_turn_is_refused(bytes_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = pairs("I say 6.")
    rows, _ = dpo_rows(bytes_tokenizer, given, 512)
    turn = "{% if not m.content %}{{ raise_exception('empty') }}{% endif %}{{ m.content }}"
    refuse = f"{{% for m in messages %}}{turn}{{% endfor %}}"
    monkeypatch.setattr(bytes_tokenizer, "chat_template", refuse)
    with pytest.raises(UserError, match=r"makes a row of 0 of 1 pairs so\. Set trainer\.pmi_weight=0"):
        with_blind_rows(None, bytes_tokenizer, rows, given, 512)


@pytest.mark.parametrize("adapter", ["lora", "full"])
def test_a_run_trains_validates_and_comes_again_from_the_cache(
    go: Callable[..., Any], adapter: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = [
        "trainer=dpo",
        "trainer.pmi_weight=1",
        "trainer.eval_steps=1",
        f"adapter={adapter}",
        "trainer.max_length=512",
    ]
    words += ["trainer.max_steps=2", "evaluation.enabled=false"]
    first = go(*words, "run_name=one", root="x")
    asked: list[int] = []
    monkeypatch.setattr(dpo.OwnLoss, "compute_ref_log_probs", lambda *given: asked.append(1))
    second = go(*words, "run_name=two", "force=true", root="x")
    assert asked == [], "the reference is read from the cache"
    for done in (first, second):
        assert done.record["state"] == "finished"
        assert done.record["metrics"]["train/loss"] == first.record["metrics"]["train/loss"]


def test_it_is_in_the_name_of_a_run_only_where_it_is_on(typed: Any) -> None:
    assert "trainer.pmi_weight" not in settings_of(asdict(typed("trainer=dpo")))
    assert settings_of(asdict(typed("trainer=dpo", "trainer.pmi_weight=1")))["trainer.pmi_weight"] == 1.0


def test_a_plan_counts_the_replies_twice(typed: Any) -> None:
    plain, doubled = (
        typed("trainer=dpo", f"trainer.pmi_weight={weight}", "trainer.max_length=512") for weight in (0, 1)
    )
    once, twice = (work_of(config, read_rows(config), packed=False) for config in (plain, doubled))
    assert twice.tokens == 2 * once.tokens
    packed = [work_of(config, read_rows(config), packed=True) for config in (plain, doubled)]
    assert packed[0].total_tokens is not None
    assert packed[1].total_tokens is not None
    assert packed[0].total_tokens < packed[1].total_tokens < 2 * packed[0].total_tokens
