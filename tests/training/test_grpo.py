"""A run of GRPO as a user starts it: its replies and rewards, its loss against the paper's, and that a kill changes
nothing.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from edu_align.planning.plan import make_plan
from edu_align.reports import run_end
from edu_align.training import session
from edu_align.utils.errors import UserError
from tests.killing import in_child, killed_at, outcome

SHORT = [
    "trainer=grpo", "evaluation.enabled=false", "run_name=it", "trainer.num_generations=4", "trainer.batch_size=8",
    "trainer.max_completion_length=12", "hardware.per_device_batch_size=1",
]  # fmt: skip
LEFT = ["trainer.rewards={asks_question: 1, human_length: 1}"]


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trainers that runs of this test have built."""
    found: list[Any] = []
    build = session.METHODS["grpo"]

    def watched(*given: Any) -> Any:
        found.append(build(*given))
        return found[-1]

    monkeypatch.setitem(session.METHODS, "grpo", watched)
    return found


def test_a_run_learns_and_is_measured(runs: Any) -> None:
    done = runs("grpo")
    metrics = done.record["metrics"]
    assert done.record["trainer"] == "grpo"
    assert {"train/loss", "eval/reward", "eval/rewards/asks_question/mean", "eval/kl", "eval/human_turn_nll"} <= set(
        metrics
    )
    lines = [line for line in done.folder.rows("metrics.jsonl") if "reward" in line]
    assert len(lines) == 3
    assert all({"kl", "entropy", "rewards/leaks_answer/mean", "completions/mean_length"} <= set(line) for line in lines)
    assert lines[0]["kl"] == pytest.approx(0, abs=1e-6), "the model is its reference"
    assert all("step_time" not in line for line in lines), "a time is no number of a step"
    assert "taught by GRPO" in (done.path / "README.md").read_text()
    assert done.trained
    assert any((done.after[name] != done.before[name]).any() for name in done.trained)
    assert run_end.outcome(done.folder)[0].startswith("edu_align: mean reward ")


def test_a_steps_replies_are_groups_of_one_dialogue(go: Any, trainers: list[Any]) -> None:
    go(*SHORT, "trainer.max_steps=1")
    (trainer,) = trainers
    batch = trainer.replies
    assert batch["row"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    ends = trainer.eos_token_ids
    for ids, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True):
        reply = ids[mask.bool()].tolist()
        assert len(reply) == 12 or reply[-1] in ends, "what ends a reply is trained"
        assert not set(reply[:-1]) & set(ends)
    for group in batch["completion_ids"].chunk(2):
        assert len({tuple(reply.tolist()) for reply in group}) > 1, "replies are drawn"
    advantages = batch["advantages"].view(2, 4)
    assert advantages.mean(dim=1).abs().max() < 1e-5


def test_the_loss_is_that_of_the_paper(go: Any, trainers: list[Any]) -> None:
    """Equation 3, with the ratio, the clipping and the KL estimate of equation 4, written out reply by reply."""
    go(*SHORT, *LEFT, "trainer.max_steps=2", "trainer.num_iterations=2", "trainer.learning_rate=0.05")
    (trainer,) = trainers
    batch = {name: value for name, value in trainer.replies.items() if name != "row"}
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(trainer.model, batch).item()
    expected = []
    for i in range(8):
        mask = batch["completion_mask"][i].bool()
        prompt = batch["prompt_ids"][i][batch["prompt_mask"][i].bool()]
        reply = batch["completion_ids"][i][mask]
        with torch.no_grad():
            logits = trainer.model(input_ids=torch.cat([prompt, reply])[None]).logits[0, len(prompt) - 1 : -1]
            now = torch.log_softmax(logits, dim=-1).gather(1, reply[:, None])[:, 0]
        old, reference = batch["old_per_token_logps"][i][mask], batch["ref_per_token_logps"][i][mask]
        ratio, advantage = torch.exp(now - old), batch["advantages"][i]
        gain = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        kl = torch.exp(reference - now) - (reference - now) - 1
        expected.append(-(gain - 0.04 * kl).mean())
    assert loss == pytest.approx(float(torch.stack(expected).mean()), abs=1e-5)
    assert (batch["old_per_token_logps"] - batch["ref_per_token_logps"]).abs().max() < 1e-4, "the first step's"


@pytest.mark.parametrize(
    "loss", ["grpo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dapo", "dr_grpo"))]
)
def test_packed_passes_are_unpacked_ones(go: Any, trainers: list[Any], loss: str) -> None:
    """Loss and gradients of a step to 1e-5, in one padded pass and in packed passes of one dialogue each."""
    words = [*SHORT, *LEFT, f"trainer.loss_type={loss}", "trainer.max_steps=1", "trainer.max_length=256"]
    found = []
    for packing in ("on", "off"):
        go(*words, f"hardware.packing={packing}", "hardware.per_device_batch_size=8", root=packing)
        trainer = trainers[-1]
        trainer.model.eval()
        first = {name: value for name, value in trainers[0].replies.items() if name != "row"}
        weights = dict(trainer.model.named_parameters())
        with torch.no_grad():
            for name, value in trainers[0].model.named_parameters():
                weights[name].copy_(value)
        trainer.model.zero_grad()
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        value = trainer._compute_loss(trainer.model, first)
        value.backward()
        found.append((value.item(), {name: p.grad.clone() for name, p in weights.items() if p.grad is not None}))
    (packed, ours), (plain, theirs) = found
    assert packed == pytest.approx(plain, abs=1e-5)
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5
    assert max(float(grad.abs().max()) for grad in theirs.values()) > 1e-3, "there is something to compare"
    asked = trainers[0].token_counts
    assert asked.asked > 1.5 * asked.computed, "a dialogue is computed once for its replies"


@pytest.mark.parametrize(
    "loss", ["grpo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dapo", "dr_grpo"))]
)
def test_a_step_is_the_same_however_it_is_cut(go: Any, loss: str) -> None:
    words = [*SHORT, *LEFT, f"trainer.loss_type={loss}", "trainer.max_steps=1", "hardware.packing=off"]
    logged = []
    for size in (1, 8):
        done = go(*words, f"hardware.per_device_batch_size={size}", "force=true", root=str(size))
        logged.append(next(line for line in done.rows("metrics.jsonl") if "grad_norm" in line))
    one, whole = logged
    for name in ("loss", "grad_norm", "kl", "entropy", "reward"):
        assert one[name] == pytest.approx(whole[name], rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize(
    "words",
    [
        [],
        pytest.param(["trainer.num_iterations=2"], marks=pytest.mark.slow),
        pytest.param(["adapter=full"], marks=pytest.mark.slow),
        pytest.param(["adapter.dropout=0.1"], marks=pytest.mark.slow),
        pytest.param(["hardware.packing=off"], marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_as_one_that_was_not(go: Any, words: list[str]) -> None:
    every = [*SHORT, *LEFT, "trainer.max_steps=4", "trainer.save_steps=1", "trainer.eval_steps=2", *words]
    whole = go(*every, root="whole")
    with killed_at("on_step_end", 3):
        assert in_child(lambda: go(*every, root="cut")) == -9
    assert outcome(go(*every, root="cut").path) == outcome(whole.path)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_a_kill_at_any_step_of_two_epochs_changes_nothing(go: Any, step: int) -> None:
    every = [*SHORT, *LEFT, "trainer.epochs=2", "trainer.max_steps=-1", "trainer.save_steps=1"]
    every += ["dataset.max_train_records=6", "trainer.num_iterations=1"]
    whole = go(*every, root="whole")
    assert whole.record["metrics"]["train/steps"] == 6
    with killed_at("on_step_end", step):
        assert in_child(lambda: go(*every, root="cut")) == -9
    assert outcome(go(*every, root="cut").path) == outcome(whole.path)


@pytest.mark.slow
@pytest.mark.parametrize("words", [["adapter=full"], ["trainer.beta=0"], ["trainer.scale_rewards=none"]])
def test_other_ways_to_train(go: Any, words: list[str]) -> None:
    done = go(*SHORT, "trainer.max_steps=2", *words)
    assert done.record["state"] == "finished"


def test_it_goes_on_from_an_sft_run_whose_adapter_is_the_reference(runs: Any) -> None:
    done = runs("grpo_on_sft")
    first = next(line for line in done.folder.rows("metrics.jsonl") if "kl" in line)
    assert first["kl"] == pytest.approx(0, abs=1e-6)
    assert Path(done.record["init_from"]).name == "sft"


def local(tmp_path: Path, rows: list[dict[str, Any]]) -> list[str]:
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return [*SHORT, "dataset=local", f"dataset.path={tmp_path / 'rows.jsonl'}", "trainer.max_steps=1"]


def test_a_reward_that_no_row_has_the_data_for_is_refused_by_name(go: Any, tmp_path: Path) -> None:
    words = local(tmp_path, [{"prompt": f"What is {i} + 3?", "completion": "Try it."} for i in range(60)])
    with pytest.raises(UserError) as error:
        go(*words)
    assert "leaks_answer needs the final answer" in str(error.value)
    assert "Set trainer.rewards={asks_question: 1}" in str(error.value)
    with pytest.raises(UserError, match="finds_mistake needs the mistake"):
        go(*words, "trainer.rewards={finds_mistake: 1}")


def test_rows_without_it_are_left_out_and_counted(go: Any, tmp_path: Path, capsys: Any, trainers: list[Any]) -> None:
    rows: list[dict[str, Any]] = [{"prompt": f"What is {i} + 3?", "completion": "Try it."} for i in range(60)]
    for i, row in enumerate(rows):
        row |= {"gold_answer": str(i + 3)} if i % 3 else {}
    done = go(*local(tmp_path, rows), "dataset.max_train_records=null")
    said = capsys.readouterr().out
    (trainer,) = trainers
    kept = len(trainer.train_dataset)
    assert " dialogues are left out: leaks_answer needs the final answer" in said
    assert done.record["data"]["train_examples"] == kept
    assert all(asked.gold for asked in trainer.asked["train"])


def test_fewer_dialogues_than_a_step_are_an_error(go: Any) -> None:
    with pytest.raises(UserError, match="answers 8 dialogues") as error:
        go(*SHORT, "trainer.batch_size=32", "dataset.max_train_records=3")
    assert "Set trainer.batch_size=12" in str(error.value)


def test_preview_shows_the_dialogue_that_is_answered(go: Any, capsys: Any) -> None:
    assert go(*SHORT, "preview=1") is None
    said = capsys.readouterr().out
    assert ", dialogue: " in said
    assert ">>>" not in said, "nothing in it is trained"


def test_a_plan_knows_the_steps_and_says_what_it_does_not_know(typed: Any) -> None:
    plan = make_plan(typed(*SHORT, "trainer.max_steps=-1"))
    said = plan.describe()
    assert "12 dialogues, 6 steps of 8" in said
    assert "replies are taken at trainer.max_completion_length" in said
    assert "writing the replies takes, token after token: not known" in said
    twice = make_plan(typed(*SHORT, "trainer.max_steps=-1", "trainer.num_iterations=2"))
    assert twice.work.steps == 12
