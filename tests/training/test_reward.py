"""A reward model: its loss is TRL's where the shapes agree, packing changes nothing, and its head is saved, resumed,
carried over from an SFT run and loaded by PEFT alone.
"""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset
from safetensors.torch import load_file
from transformers import PrinterCallback

from edu_align.models.reward import FACTS, facts_in, pooled, read_replies, rewards_of, with_head
from edu_align.packing.decoder import install_packing
from edu_align.records import Graded, Message, Pair, Response, ResponseGroup
from edu_align.training.reward import build_reward, graded_loss
from edu_align.training.reward_rows import Grades, graded_rows, grades_of, pair_rows
from edu_align.training.rows import Rows
from edu_align.utils.errors import UserError
from tests.killing import in_child, killed_at, outcome
from tests.training.objectives import CPU, Lines, flat

EXACT = 1e-5
HEAD = "base_model.model.score.weight"
LOSSES = ["bradley_terry", "regression", "ordinal"]
REPLIES = ("Which part is the whole?", "It is 4.", "No, add again, one by one.", "Good!", "Show me how you got there.")


def groups(many: int) -> list[ResponseGroup]:
    """Three replies a prompt, of scores 0, 1 and 3."""
    made = []
    for number in range(many):
        replies = tuple(
            Response(REPLIES[(number + place) % 5] + f" {number}", float(score))
            for place, score in enumerate((0, 3, 1))
        )
        prompt = (Message("user", f"I added 2 and {number} and got 22. Is it right?"),)
        made.append(ResponseGroup(prompt, replies, str(number), "local", f"g{number}"))
    return made


def pairs(many: int) -> list[Pair]:
    return [Pair(group, *places) for group in groups(many) for places in ((1, 0), (1, 2), (2, 0))]


def scored(model: Any, pooling: str) -> Any:
    """The model under a head that is not zero, so that gradients reach what lies under it."""
    network = with_head(copy.deepcopy(model))
    read_replies(network, {"pooling": pooling})
    torch.manual_seed(3)
    torch.nn.init.normal_(network.score.weight, std=0.3)
    return network


@pytest.fixture(scope="module")
def fit(tiny: Any, random_model: Any, bytes_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`fit("trainer.pooling=last", ...)`: what a training added to the weights, and what it logged."""
    from omegaconf import OmegaConf

    folder = tmp_path_factory.mktemp("reward")

    def train(*words: str, packing: str = "on", device_batch: int = 5) -> tuple[torch.Tensor, list[dict[str, float]]]:
        given = [
            "trainer=reward", "adapter=full", "hardware.optimizer=sgd", "trainer.learning_rate=0.05",
            "trainer.max_steps=-1", "trainer.batch_size=5", f"hardware.per_device_batch_size={device_batch}",
            f"hardware.packing={packing}", *words,
        ]  # fmt: skip
        config = OmegaConf.to_object(tiny(*given))
        network = scored(random_model(), config.trainer.pooling)
        install_packing(packing, network)
        before, loss = flat(network), config.trainer.reward_loss
        if loss == "bradley_terry":
            rows, ids, _ = pair_rows(bytes_tokenizer, pairs(4), config.trainer.max_length, config.trainer.margin_weight)
            grades = None
        else:
            every = [Graded(group, place) for group in groups(4) for place in range(3)]
            grades = grades_of(loss, [one.score for one in every])
            rows, ids, _ = graded_rows(bytes_tokenizer, every, config.trainer.max_length, grades.target)
        made = Rows(rows, ids, len(rows), [], grades)
        trainer = build_reward(config, network, bytes_tokenizer, made, Rows([], [], 0, []), CPU, folder)
        trainer.remove_callback(PrinterCallback)
        lines: list[dict[str, float]] = []
        trainer.add_callback(Lines(lines))
        trainer.train()
        return flat(network) - before, [line for line in lines if "loss" in line]

    return train


def near(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / one.norm())


@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("loss", LOSSES)
def test_packed_is_a_row_at_a_time(fit: Any, loss: str, pooling: str) -> None:
    """Twelve rows in steps of five, packed in one pass each, and without packing in passes of one."""
    words = [f"trainer.reward_loss={loss}", f"trainer.pooling={pooling}"]
    packed, told = fit(*words)
    plain, said = fit(*words, packing="off", device_batch=1)
    assert near(plain, packed) < EXACT
    for one, other in zip(told, said, strict=True):
        assert {k: one[k] for k in ("loss", "grad_norm", "num_tokens")} == pytest.approx(
            {k: other[k] for k in ("loss", "grad_norm", "num_tokens")}, rel=EXACT
        )


@pytest.mark.parametrize("words", [(), ("trainer.margin_weight=0.5", "+trainer.args.center_rewards_coefficient=0.1")])
def test_it_trains_as_trl_does(
    fit: Any, random_model: Any, bytes_tokenizer: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """TRL's RewardTrainer reads the last token of a row."""
    ours, told = fit("trainer.pooling=last", *words)
    network = scored(random_model(), "last")
    del network.forward  # TRL's trainer reads transformers' own
    before = flat(network)
    rows, _, _ = pair_rows(bytes_tokenizer, pairs(4), 1024, 0.5 if words else 0.0)
    theirs = [
        {
            "chosen_ids": row["prompt_ids"] + row["chosen_ids"],
            "rejected_ids": row["rejected_prompt_ids"] + row["rejected_ids"],
            **({"margin": row["margin"]} if "margin" in row else {}),
        }
        for row in rows
    ]
    arguments = trl.RewardConfig(
        str(tmp_path), per_device_train_batch_size=5, num_train_epochs=1, learning_rate=0.05, optim="sgd",
        lr_scheduler_type="constant", max_length=None, use_cpu=True, bf16=False, report_to=[], logging_steps=1,
        train_sampling_strategy="sequential", center_rewards_coefficient=0.1 if words else None,
        gradient_checkpointing=False, save_strategy="no",
    )  # fmt: skip
    trainer = trl.RewardTrainer(
        network, arguments, train_dataset=Dataset.from_list(theirs), processing_class=bytes_tokenizer
    )
    lines: list[dict[str, float]] = []
    trainer.add_callback(Lines(lines))
    trainer.train()
    assert near(flat(network) - before, ours) < EXACT
    steps = [line for line in lines if "loss" in line]
    assert [line["loss"] for line in told] == pytest.approx([line["loss"] for line in steps], abs=1e-6)
    assert [line["rewards/margins"] for line in told] == pytest.approx([line["margin"] for line in steps], abs=1e-5)


def test_pooling_reads_the_reply_alone() -> None:
    hidden = torch.arange(24.0).view(2, 4, 3)
    mask = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 1]])
    assert torch.equal(pooled(hidden, mask, "mean"), torch.stack([hidden[0, 1:3].mean(0), hidden[1, 3]]))
    assert torch.equal(pooled(hidden, mask, "last"), torch.stack([hidden[0, 2], hidden[1, 3]]))


def test_a_head_of_zeros_asks_no_decoder() -> None:
    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score = torch.nn.Linear(4, 1, bias=False)

        def forward(self, **_: Any) -> Any:
            return SimpleNamespace(logits=torch.full((3, 1), 2.0))

    network, rows = Network(), torch.ones(3, 5, dtype=torch.long)
    assert rewards_of(network, rows, rows, rows) == [2.0] * 3
    torch.nn.init.zeros_(network.score.weight)
    assert rewards_of(network, rows, rows, rows) == [0.0] * 3


def test_grades_are_proportional_odds() -> None:
    grades = grades_of("ordinal", [0.0] * 2 + [1.0] + [3.0])
    assert grades.levels == (0.0, 1.0, 3.0)
    assert grades.thresholds == pytest.approx((0.0, math.log(3)))
    assert [grades.target(score) for score in (0.0, 0.9, 2.1, 8.0)] == [0, 1, 2, 2]
    # At a reward of 0 the model says how often each grade occurred; at any reward the chances add up to one.
    for reward, chances in ((0.0, [0.5, 0.25, 0.25]), (1.7, None)):
        losses = graded_loss(grades, torch.full((3,), reward), torch.tensor([0.0, 1.0, 2.0]))
        assert float((-losses).exp().sum()) == pytest.approx(1.0, abs=1e-6)
        assert chances is None or (-losses).exp().tolist() == pytest.approx(chances, abs=1e-6)
    regression = grades_of("regression", [0.0, 4.0])
    assert (regression.mean, regression.deviation, regression.target(4.0)) == (2.0, 2.0, 1.0)
    assert graded_loss(regression, torch.tensor([3.0]), torch.tensor([1.0])).tolist() == [4.0]


def test_scores_that_are_no_grades_are_refused() -> None:
    with pytest.raises(UserError, match="all 3 training replies have"):
        grades_of("regression", [1.0] * 3)
    with pytest.raises(UserError, match="at most 20 different scores"):
        grades_of("ordinal", [float(n) for n in range(21)])
    assert isinstance(grades_of("regression", [float(n) for n in range(21)]), Grades)


def test_a_run_is_measured_before_and_after_and_keeps_its_head(runs: Callable[[str], Any]) -> None:
    run = runs("reward")
    metrics = run.record["metrics"]
    assert metrics["before/pair_accuracy_reward"] == 0.5  # a head of zeros: every reply ties
    assert {"eval/pair_accuracy_reward", "eval/selection_score_reward", "eval/rewards/accuracies"} <= metrics.keys()
    saved = load_file(run.path / "adapter" / "adapter_model.safetensors")
    assert saved[HEAD].any()
    config = json.loads((run.path / "adapter" / "adapter_config.json").read_text())
    assert config["task_type"] == "SEQ_CLS"
    assert "score" in config["modules_to_save"]
    assert facts_in(run.path) == {"pooling": "mean"} == json.loads((run.path / "adapter" / FACTS).read_text())
    evaluation = json.loads((run.path / "evaluation.json").read_text())
    assert "change" in evaluation["after"]["pair_accuracy_reward"]
    assert not (run.path / "samples.jsonl").exists()


@pytest.mark.parametrize("loss", [pytest.param("regression", marks=pytest.mark.slow), "ordinal"])
def test_graded_replies_train_end_to_end(go: Callable[..., Any], loss: str, capsys: Any) -> None:
    run = go("trainer=reward", f"trainer.reward_loss={loss}")
    assert "graded replies of" in capsys.readouterr().out
    facts = facts_in(run.path)
    assert facts is not None
    assert facts["loss"] == loss
    assert ("thresholds" in facts) == (loss == "ordinal")
    assert run.record["data"]["train_examples"] == 12


@pytest.mark.parametrize(
    "words",
    [["trainer.pooling=mean"], pytest.param(["trainer.reward_loss=ordinal", "adapter=full"], marks=pytest.mark.slow)],
)
def test_a_killed_run_goes_on_to_the_bit(go: Callable[..., Any], words: list[str]) -> None:
    every = ["trainer=reward", *words, "trainer.save_steps=1", "run_name=killed"]
    alone = go(*every, root="alone")
    with killed_at("on_step_end", 2):
        assert in_child(lambda: go(*every, root="killed")) == -9
    assert outcome(go(*every, root="killed").path) == outcome(alone.path)


def test_the_layers_of_an_sft_run_go_on_under_a_new_head(runs: Callable[[str], Any]) -> None:
    sft, run = runs("sft"), runs("reward_on_sft")
    kept = load_file(sft.path / "adapter" / "adapter_model.safetensors")
    names = {name.removeprefix("base_model.model.").replace(".weight", ".default.weight"): name for name in kept}
    assert names.keys() <= run.before.keys()
    assert all(torch.equal(run.before[short], kept[name]) for short, name in names.items())
    (head,) = (name for name in run.before if "score" in name and "default" in name)
    assert not run.before[head].any()
    assert run.after[head].any()
    assert {key for key in run.record["metrics"] if key.startswith("base/")} == set()


def test_a_reward_model_goes_on(go: Callable[..., Any], runs: Callable[[str], Any]) -> None:
    start = runs("reward")
    words = ["trainer=reward", f"init_from={start.path}"]
    run = go(*words, "trainer.learning_rate=1e-12")
    was, now = (load_file(each.path / "adapter" / "adapter_model.safetensors") for each in (start, run))
    assert all(torch.allclose(was[name], now[name], atol=1e-6) for name in was)
    with pytest.raises(UserError, match=r"its head reads trainer\.pooling=mean, got trainer\.pooling=last"):
        go(*words, "trainer.pooling=last")
    with pytest.raises(UserError, match="is a reward model: it scores replies and writes none, so trainer=dpo cannot"):
        go("trainer=dpo", f"init_from={start.path}")


def test_a_whole_model_is_saved_with_its_head(go: Callable[..., Any], runs: Callable[[str], Any]) -> None:
    start = runs("reward_full")
    saved = load_file(start.path / "model" / "model.safetensors")
    assert saved["score.weight"].any()
    assert "lm_head.weight" not in saved
    run = go("trainer=reward", "adapter=full", f"init_from={start.path}", "trainer.learning_rate=1e-12")
    now = load_file(run.path / "model" / "model.safetensors")
    assert all(torch.allclose(saved[name], now[name], atol=1e-6) for name in saved)


@pytest.mark.parametrize("pooling", ["mean", pytest.param("last", marks=pytest.mark.slow)])
def test_the_cards_own_lines_give_the_rewards(
    go: Callable[..., Any], mistral_folder: Path, pooling: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT and transformers alone, by what README.md says, load the head as well."""
    from edu_align.chatting.source import run_config
    from edu_align.evaluation.suite.reward import RewardSubject
    from edu_align.evaluation.suite.subject import Weights

    run = go(
        "trainer=reward", f"trainer.pooling={pooling}", "model=mistral", f"model.path={mistral_folder}",
        "model.chat_template=zephyr", "evaluation.enabled=false", "trainer.max_length=64",
    )  # fmt: skip
    code = (run.path / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(run.path)
    capsys.readouterr()
    exec(compile(code, "README.md", "exec"), {})
    told = float(capsys.readouterr().out.split()[-1])
    _, config = run_config(str(run.path), {}, str(run.path.parents[1]))
    subject = RewardSubject("REWARD", Weights(config, run.path), 2048)
    question = (Message("user", "I added 3/4 and 1/4 and got 4/8. Is that right?"),)
    ((ours,),) = subject.rewards([(question, ["How many quarters do you have in all?"])])
    assert told == pytest.approx(ours, abs=1e-6)
    assert ours != 0
