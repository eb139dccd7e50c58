"""Our trainers beside TRL's own: the same model and the same texts give the same rows, losses, gradients and weights.

The behaviours are those that TRL's own tests of its DPO, KTO and SFT trainers look at, with a local model. TRL makes
its rows from the texts itself. Where we differ on purpose a test says so, and holds our value against TRL's of a step
that is one forward pass. Comparisons are in float64 but for those that say otherwise.
"""

import copy
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import trl
from datasets import Dataset
from omegaconf import OmegaConf
from transformers import PrinterCallback, TrainerCallback

from edu_align.config.losses import UNSMOOTHED
from edu_align.config.rules import problems
from edu_align.config.schema import KTO_LOSSES
from edu_align.models.chat_template import IGNORED
from edu_align.models.device import Device
from edu_align.models.weights import add_adapter
from edu_align.packing.decoder import install_packing
from edu_align.records import Conversation, LabelledReply, Message, Pair, Response, ResponseGroup
from edu_align.training.dpo import build_dpo
from edu_align.training.dpo_rows import PairCollator, dpo_rows
from edu_align.training.kto import build_kto
from edu_align.training.kto_rows import ReplyCollator, has_kl, kto_rows
from edu_align.training.rows import Rows
from edu_align.training.session import Session
from edu_align.training.sft import build_sft
from edu_align.training.sft_rows import sft_rows
from edu_align.utils.memory import freeze_imported_objects
from tests.killing import in_child, killed_at
from tests.training.objectives import COUNTS, TRL_LOSSES, in_float64

CPU = Device("cpu", "float32", "sdpa", "none", ())
IN_FLOAT32, IN_FLOAT64 = 1e-5, 1e-10
# The bytes tokenizer's template with what a tutor's turn is trained on marked, by which TRL finds it.
MARKED = (
    "{% for turn in messages %}{{ '<|' + turn['role'] + '|>\n' }}"
    "{% if turn['role'] == 'assistant' %}{% generation %}{{ turn['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ turn['content'] + eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
QUESTIONS = ["What is 7 x 8?", "Is 1/2 + 1/3 = 2/5?", "Why is 3/4 larger than 2/3?", "What comes after 99?"]
REPLIES = ["How far is it from 7 x 7?", "56", "No.", "Draw both of them, one below the other, and look.", "Look again"]
# TRL's numbers of a pass that are means over its tokens: of several passes it logs the mean of means.
BY_TOKEN = {"entropy", "logits/chosen", "logits/rejected", "mean_token_accuracy"}
ROUNDED = {"loss", "train_loss", "eval_loss", "mean_token_accuracy", "eval_mean_token_accuracy"}  # to float32, by both
QUICK = ("ipo", "aot", "sigmoid_norm")
Options = dict[str, Any]
Record = Pair | Conversation | LabelledReply
TRLS = {
    "sft": (trl.SFTTrainer, trl.SFTConfig),
    "dpo": (trl.DPOTrainer, trl.DPOConfig),
    "kto": (trl.KTOTrainer, trl.KTOConfig),
}
REFERENCED = ("dpo", "kto")


def quick(cases: list[Any], *kept: int) -> list[Any]:
    """The cases of a test; those at other positions than `kept` are slow ones."""
    every = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*case, marks=[] if i in kept else [pytest.mark.slow]) for i, case in enumerate(every)]


def turns(number: int) -> list[tuple[str, str]]:
    """A dialogue that ends with the user's turn; every third has an exchange before it."""
    earlier = [("user", "Hello"), ("assistant", REPLIES[(number + 2) % 5])] if number % 3 == 2 else []
    return [*earlier, ("user", f"{QUESTIONS[number % 4]} ({number})")]


def pair(number: int) -> Pair:
    prompt = tuple(Message(role, text) for role, text in turns(number))
    texts = REPLIES[number % 5], REPLIES[(number + 1 + number % 3) % 5] + "!"
    replies = tuple(Response(text, score) for text, score in zip(texts, (1.0, 0.0), strict=True))
    return Pair(ResponseGroup(prompt, replies, str(number), "local", "g"), 0, 1)


def labelled(number: int) -> LabelledReply:
    """Of every eight, five are good."""
    group = pair(number).group
    return LabelledReply(group, 0, number % 8 in (0, 2, 3, 5, 7))


def talk(number: int) -> Conversation:
    """All tutor turns are trained."""
    every = [*turns(number), ("assistant", REPLIES[number % 5])]
    messages = tuple(Message(role, text, train=role == "assistant") for role, text in every)
    return Conversation(messages, str(number), "local", "g")


def records(trainer: str, many: int) -> list[Record]:
    made: dict[str, Callable[[int], Record]] = {"dpo": pair, "kto": labelled, "sft": talk}
    make = made[trainer]
    return [make(number) for number in range(many)]


def as_trl(record: Record) -> dict[str, Any]:
    """The record as a row of TRL's conversational data."""

    def chat(messages: Any) -> list[dict[str, str]]:
        return [{"role": message.role, "content": message.content} for message in messages]

    if isinstance(record, Conversation):
        return {"messages": chat(record.messages)}
    replies = record.group.responses
    if isinstance(record, LabelledReply):
        said = [{"role": "assistant", "content": record.text}]
        return {"prompt": chat(record.group.prompt), "completion": said, "label": record.good}
    chosen, rejected = ([{"role": "assistant", "content": replies[at].text}] for at in (record.chosen, record.rejected))
    return {"prompt": chat(record.group.prompt), "chosen": chosen, "rejected": rejected}


@dataclass
class Trained(TrainerCallback):
    """What a training logged, the gradients of each step as the optimizer got them, and what the weights gained."""

    trainer: Any
    lines: list[dict[str, float]] = field(default_factory=list)
    gradients: list[torch.Tensor] = field(default_factory=list)
    update: Any = None

    def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
        timed = (*COUNTS, "runtime", "per_second")
        self.lines.append({name: value for name, value in logs.items() if not name.endswith(timed)})

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.gradients.append(trained(self.trainer.model, lambda value: value.grad))

    def logged(self, *names: str) -> list[float]:
        return [line[name] for line in self.lines for name in names if name in line]


def trained(model: Any, of: Callable[[Any], Any] = lambda value: value.detach()) -> torch.Tensor:
    """All trained weights in one row, or what `of` takes of each."""
    every = [of(value) for _, value in sorted(model.named_parameters()) if value.requires_grad]
    return torch.cat([value.flatten().double() for value in every])


def watched(trainer: Any) -> Trained:
    """The training of a trainer that is complete."""
    found = Trained(trainer)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(found)
    before = trained(trainer.model)
    trainer.train()
    found.update = trained(trainer.model) - before
    return found


class Sides:
    """Trains with our trainers and with TRL's, from equal weights, in float64 where `precise`."""

    def __init__(self, tiny: Any, model: Any, tokenizer: Any, folder: Path) -> None:
        self.configs = {name: tiny(f"trainer={name}", "adapter=full") for name in TRLS}
        self.lora = OmegaConf.to_object(tiny("trainer=dpo")).adapter
        self.base, self.tokenizer, self.folder = model, tokenizer, folder
        self.marked = copy.deepcopy(tokenizer)
        self.marked.chat_template = MARKED
        self.precise, self.wide = True, False
        self.prepared: dict[Any, Any] = {}
        freeze_imported_objects()  # transformers collects garbage at each start

    def numbers(self) -> AbstractContextManager[None]:
        return in_float64(self) if self.precise else nullcontext()

    def model(self, kind: str) -> Any:
        """full | lora (a new adapter) | adapted (one that was trained: the reference of DPO)."""
        model = copy.deepcopy(self.base)
        if kind != "full":
            model = add_adapter(model, self.lora, seed=0)
        if kind == "adapted":
            draw = torch.Generator().manual_seed(1)
            for name, value in model.named_parameters():
                if "lora_B" in name:
                    value.data = torch.randn(value.shape, generator=draw, dtype=value.dtype) * 0.05
        return model.double() if self.wide else model

    def config(self, trainer: str, words: Options) -> Any:
        cfg = copy.deepcopy(self.configs[trainer])
        OmegaConf.set_readonly(cfg, False)
        usual = {
            "trainer.max_steps": -1, "trainer.epochs": 1, "hardware.optimizer": "sgd", "trainer.learning_rate": 0.03,
            "hardware.packing": "on",
        }  # fmt: skip
        for key, value in {**usual, **words}.items():
            OmegaConf.update(cfg, key, value, force_add=True)
        assert problems(cfg) == []
        return OmegaConf.to_object(cfg)

    def ours(
        self, trainer: str, train: list[Record], words: Options | None = None, kind: str = "full", valid: Any = ()
    ) -> Trained:
        config = self.config(trainer, words or {})
        length, step = config.trainer.max_length, None
        if trainer == "kto" and has_kl(config.trainer):
            step = config.trainer.batch_size
        make: Any = {"sft": sft_rows, "dpo": dpo_rows, "kto": lambda *of: kto_rows(*of, step)}[trainer]
        build: Any = {"sft": build_sft, "dpo": build_dpo, "kto": build_kto}[trainer]

        def rows(of: Any) -> Rows:
            made, _ = make(self.tokenizer, of, length)
            return Rows(made, [str(number) for number in range(len(made))], len(made), [])

        with self.numbers():
            model = self.model(kind)
            install_packing(config.hardware.packing, model)
            config.init_from = "a run" if kind == "adapted" else None
            return watched(build(config, model, self.tokenizer, rows(train), rows(valid), CPU, self.folder))

    def plain(
        self,
        trainer: str,
        train: list[Record],
        options: Options | None = None,
        kind: str = "full",
        valid: Any = (),
        start: dict[str, torch.Tensor] | None = None,
    ) -> Trained:
        """TRL's trainer of TRL's config, with as little set as a small run on a CPU takes. `start`: other weights."""
        usual: Options = {
            "output_dir": str(self.folder), "optim": "sgd", "learning_rate": 0.03, "lr_scheduler_type": "constant",
            "num_train_epochs": 1, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 4,
            "logging_steps": 1, "max_length": None, "save_strategy": "no", "report_to": [], "use_cpu": True,
            "bf16": False, "disable_tqdm": True, "gradient_checkpointing": False,
        }  # fmt: skip
        own = {"assistant_only_loss": True}
        if trainer in REFERENCED:
            own = {"train_sampling_strategy": "sequential", "precompute_ref_log_probs": True}
        base, made_of = TRLS[trainer]
        prepared = self.prepared

        class Plain(base):  # type: ignore[misc, valid-type]
            """TRL's, with equal rows made once."""

            def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, *rest: Any) -> Any:
                key = (trainer, str(dataset[:]), args.max_length, args.per_device_train_batch_size)
                if key not in prepared:
                    prepared[key] = super()._prepare_dataset(dataset, processing_class, args, *rest)
                return prepared[key]

        with self.numbers():
            model, args = self.model(kind), made_of(**{**usual, **own, **(options or {})})
            for name, value in model.named_parameters() if start else ():
                value.data.copy_(start[name])
            live = trainer in REFERENCED and kind == "full" and not args.precompute_ref_log_probs
            return watched(
                Plain(
                    model=model,
                    args=args,
                    processing_class=self.marked if trainer == "sft" else self.tokenizer,
                    train_dataset=Dataset.from_list([as_trl(record) for record in train]),
                    eval_dataset=Dataset.from_list([as_trl(record) for record in valid]) if valid else None,
                    **({"ref_model": copy.deepcopy(model)} if live else {}),
                )
            )


def agree(found: Trained, expected: Trained, tolerance: float = IN_FLOAT64, apart: set[str] = frozenset()) -> None:
    """All that was logged (but for the numbers `apart`), every step's gradient and the weights are equal.

    At first policy and reference give equal rewards, and which of two is larger is chance.
    """
    assert len(found.lines) == len(expected.lines) >= 2
    for step, (line, other) in enumerate(zip(found.lines, expected.lines, strict=True)):
        assert line.keys() == other.keys()
        for name in line.keys() - apart - (set() if step else {"rewards/accuracies"}):
            near = max(tolerance, 1e-6) if name in ROUNDED else tolerance
            assert line[name] == pytest.approx(other[name], rel=near, abs=near), (step, name)
    assert len(found.gradients) == len(expected.gradients) > 0
    for one, other in zip(found.gradients, expected.gradients, strict=True):
        assert apart_by(one, other) < tolerance
    assert apart_by(found.update, expected.update) < tolerance


def apart_by(one: torch.Tensor, other: torch.Tensor) -> float:
    assert other.norm() > 0
    return float((one - other).norm() / other.norm())


@pytest.fixture(scope="module")
def sides(
    tiny: Any, random_model: Callable[..., Any], bytes_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Sides:
    return Sides(tiny, random_model(), bytes_tokenizer, tmp_path_factory.mktemp("agreement"))


# Rows.


@pytest.mark.parametrize("max_length", [None, 46])
def test_the_loss_lies_where_assistant_only_loss_puts_it(sides: Sides, max_length: int | None) -> None:
    """Cut at the end; what has no trained token left is left out."""
    talks = records("sft", 6)
    made, _ = sft_rows(sides.tokenizer, talks, max_length or 1000)
    args = trl.SFTConfig(str(sides.folder), assistant_only_loss=True, max_length=max_length, use_cpu=True, bf16=False)
    theirs = trl_rows(trl.SFTTrainer, sides.base, args, sides.marked, [as_trl(each) for each in talks])
    assert equal(made, theirs)
    assert (len(made) < len(talks)) is (max_length is not None)


def test_the_loss_lies_on_the_completion(sides: Sides) -> None:
    """TRL's prompt and completion are a dialogue whose last turn alone is trained.

    On purpose: ours ends with the token that ends a reply. TRL trains what the template writes after it, too.
    """
    last = [talk(number).messages for number in range(6)]
    talks = [
        Conversation((*(Message(m.role, m.content) for m in messages[:-1]), messages[-1]), str(i), "local", "g")
        for i, messages in enumerate(last)
    ]
    made, _ = sft_rows(sides.tokenizer, talks, 1000)
    chats = [as_trl(each)["messages"] for each in talks]
    args = trl.SFTConfig(str(sides.folder), max_length=None, use_cpu=True, bf16=False)
    rows = [{"prompt": chat[:-1], "completion": chat[-1:]} for chat in chats]
    theirs = trl_rows(trl.SFTTrainer, sides.base, args, sides.tokenizer, rows)
    assert equal(made, [{**row, "labels": [*row["labels"][:-1], IGNORED]} for row in theirs])


@pytest.mark.filterwarnings("ignore:The `'keep_end'` truncation mode")
@pytest.mark.parametrize("max_length", [None, 40])
def test_pairs_are_cut_as_keep_end_cuts_them(sides: Sides, max_length: int | None) -> None:
    pairs = records("dpo", 6)
    made, _ = dpo_rows(sides.tokenizer, pairs, max_length or 1000)
    args = trl.DPOConfig(
        str(sides.folder), max_length=max_length, truncation_mode="keep_end", use_cpu=True, bf16=False,
        precompute_ref_log_probs=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trl.DPOTrainer, "_precompute_ref_logps", lambda self, dataset, *_: dataset)
        trainer = trl.DPOTrainer(
            model=copy.deepcopy(sides.base), args=args, processing_class=sides.tokenizer,
            train_dataset=Dataset.from_list([as_trl(each) for each in pairs]),
        )  # fmt: skip
    theirs = trainer.data_collator(list(trainer.train_dataset))
    batch = PairCollator(sides.tokenizer.pad_token_id)(made)
    assert theirs.keys() == batch.keys()
    assert all(torch.equal(theirs[name], batch[name]) for name in batch)


def test_a_control_token_that_a_text_spells_is_text_here(sides: Sides) -> None:
    """On purpose: TRL reads it as the end of the reply."""
    end = sides.tokenizer.eos_token
    spelled = Conversation((Message("user", "q"), Message("assistant", f"a{end}b", train=True)), "1", "local", "g")
    (made,), _ = sft_rows(sides.tokenizer, [spelled], 1000)
    args = trl.SFTConfig(str(sides.folder), assistant_only_loss=True, max_length=None, use_cpu=True, bf16=False)
    (theirs,) = trl_rows(trl.SFTTrainer, sides.base, args, sides.marked, [as_trl(spelled)])
    ends = [row["input_ids"].count(sides.tokenizer.eos_token_id) for row in (made, theirs)]
    assert ends == [2, 3], "one a turn"
    assert len(made["input_ids"]) == len(theirs["input_ids"]) + len(end.encode()) - 1


def equal(made: list[Any], theirs: list[Any]) -> bool:
    """Whether ids and labels are."""
    return made == [{name: row[name] for name in ("input_ids", "labels")} for row in theirs]


def trl_rows(kind: Any, model: Any, args: Any, tokenizer: Any, rows: list[Any]) -> Any:
    data = Dataset.from_list(rows)
    return list(
        kind(model=copy.deepcopy(model), args=args, processing_class=tokenizer, train_dataset=data).train_dataset
    )


# Steps of one pass.


@pytest.mark.parametrize("packing", quick(["on", "off"], 0))
@pytest.mark.parametrize("trainer", ["sft", "dpo", "kto"])
def test_steps_agree_in_float32(sides: Sides, trainer: str, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "precise", False)
    rows = records(trainer, 4)
    agree(sides.ours(trainer, rows, {"hardware.packing": packing}), sides.plain(trainer, rows), IN_FLOAT32)


@pytest.mark.parametrize("loss", quick(TRL_LOSSES, *(TRL_LOSSES.index(loss) for loss in QUICK)))
def test_every_loss(sides: Sides, loss: str) -> None:
    """With TRL's smoothing even where `trainer.label_smoothing` is refused: those losses do not read it."""
    pairs = records("dpo", 8)
    smoothed = {} if loss in UNSMOOTHED else {"trainer.label_smoothing": 0.1}
    agree(
        sides.ours("dpo", pairs, {"trainer.loss_type": loss, **smoothed}),
        sides.plain("dpo", pairs, {"loss_type": loss, "label_smoothing": 0.1}),
    )


OF_DPO: list[tuple[Options, Options]] = [
    ({"trainer.beta": 0.5}, {"beta": 0.5}),
    ({"trainer.sft_weight": 0.3}, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.3]}),
    *(
        ({"trainer.args": option}, option)
        for option in (
            {"ld_alpha": 0.3},
            {"f_divergence_type": "forward_kl"},
            {"f_divergence_type": "js_divergence"},
            {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.2},
            {"use_weighting": True},
        )
    ),
    (
        {"trainer.loss_type": "discopop", "trainer.args": {"discopop_tau": 0.5}},
        {"loss_type": "discopop", "discopop_tau": 0.5},
    ),
    ({"hardware.gradient_checkpointing": True}, {"gradient_checkpointing": True}),
]


@pytest.mark.parametrize(("words", "options"), quick(OF_DPO, 1))
def test_options_of_dpo(sides: Sides, words: Options, options: Options) -> None:
    pairs = records("dpo", 8)
    agree(sides.ours("dpo", pairs, words), sides.plain("dpo", pairs, options))


OF_KTO: list[tuple[Options, Options]] = [
    ({}, {}),
    ({"trainer.loss_type": "apo_zero_unpaired"}, {"loss_type": "apo_zero_unpaired"}),
    ({"trainer.beta": 0.5, "trainer.undesirable_weight": 1.7}, {"beta": 0.5, "undesirable_weight": 1.7}),
    ({"trainer.desirable_weight": 0.3}, {"desirable_weight": 0.3}),
    ({"hardware.gradient_checkpointing": True}, {"gradient_checkpointing": True}),
    ({"trainer.epochs": 2, "seed": 7}, {"num_train_epochs": 2, "seed": 7}),
]


@pytest.mark.parametrize(("words", "options"), quick(OF_KTO, 2))
def test_options_of_kto(sides: Sides, words: Options, options: Options) -> None:
    """Whose KL term is above zero at some step: only then the mismatched replies count."""
    replies = records("kto", 12)
    found = sides.ours("kto", replies, words)
    agree(found, sides.plain("kto", replies, options))
    assert (max(found.logged("kl")) > 0) is (words.get("trainer.loss_type") != "apo_zero_unpaired")


def test_every_loss_of_kto_has_a_case() -> None:
    assert {words.get("trainer.loss_type", "kto") for words, _ in OF_KTO} == set(KTO_LOSSES)


@pytest.mark.parametrize(
    ("kind", "precompute"),
    quick([(kind, way) for kind in ("full", "lora", "adapted") for way in (True, False)], 1, 3),
)
def test_the_reference_of_kto(sides: Sides, kind: str, precompute: bool) -> None:
    replies = records("kto", 8)
    agree(
        sides.ours("kto", replies, {"trainer.precompute_reference": precompute}, kind),
        sides.plain("kto", replies, {"precompute_ref_log_probs": precompute}, kind),
    )


def test_labelled_replies_are_rows_as_trls(sides: Sides) -> None:
    """With prompts that all differ, TRL's mismatched replies are ours: that of the row before, in each step of four."""
    replies = records("kto", 6)
    made, _ = kto_rows(sides.tokenizer, replies, 1000, 4)
    args = trl.KTOConfig(
        str(sides.folder), max_length=None, use_cpu=True, bf16=False, precompute_ref_log_probs=True,
        per_device_train_batch_size=4,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trl.KTOTrainer, "_precompute_ref_logps", lambda self, dataset, *_: dataset)
        trainer = trl.KTOTrainer(
            model=copy.deepcopy(sides.base), args=args, processing_class=sides.tokenizer,
            train_dataset=Dataset.from_list([as_trl(each) for each in replies]),
        )  # fmt: skip
    theirs = trainer.data_collator(list(trainer.train_dataset))
    batch = ReplyCollator(sides.tokenizer.pad_token_id)(made)
    assert theirs.keys() == batch.keys()
    assert all(torch.equal(theirs[name], batch[name]) for name in batch)


OF_SFT: list[tuple[Options, Options]] = [
    ({"trainer.args": {"loss_type": "dft"}}, {"loss_type": "dft"}),
    ({"trainer.args": {"label_smoothing_factor": 0.1}}, {"label_smoothing_factor": 0.1}),
    ({"trainer.max_length": 90}, {"max_length": 90}),
    ({"trainer.epochs": 2, "seed": 7}, {"num_train_epochs": 2, "seed": 7}),
    ({"hardware.gradient_checkpointing": True}, {"gradient_checkpointing": True}),
]


@pytest.mark.parametrize(("words", "options"), quick(OF_SFT, 0))
def test_options_of_sft(sides: Sides, words: Options, options: Options) -> None:
    talks = records("sft", 8)
    agree(sides.ours("sft", talks, words), sides.plain("sft", talks, options))


@pytest.mark.parametrize(
    ("kind", "precompute"),
    quick([(kind, way) for kind in ("full", "lora", "adapted") for way in (True, False)], 1, 2, 5),
)
def test_whatever_is_trained_and_is_the_reference(sides: Sides, kind: str, precompute: bool) -> None:
    pairs = records("dpo", 8)
    agree(
        sides.ours("dpo", pairs, {"trainer.precompute_reference": precompute}, kind),
        sides.plain("dpo", pairs, {"precompute_ref_log_probs": precompute}, kind),
    )


@pytest.mark.parametrize("kind", quick(["lora", "adapted"]))
def test_sft_of_an_adapter(sides: Sides, kind: str) -> None:
    talks = records("sft", 8)
    agree(sides.ours("sft", talks, {}, kind), sides.plain("sft", talks, {}, kind))


@pytest.mark.slow
def test_a_reference_that_follows(sides: Sides) -> None:
    pairs = records("dpo", 20)
    options = {"sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 0.3}
    words = {"trainer.args": options, "trainer.precompute_reference": False}
    found = sides.ours("dpo", pairs, words)
    agree(found, sides.plain("dpo", pairs, {**options, "precompute_ref_log_probs": False}))
    still = sides.ours("dpo", pairs, {"trainer.precompute_reference": False})
    assert apart_by(found.update, still.update) > 1e-3


# Optimizers and schedules.

SCHEDULES: list[tuple[str, Options]] = [
    ("linear", {}), ("cosine", {}), ("constant_with_warmup", {}), ("polynomial", {"power": 2.0}), ("inverse_sqrt", {}),
    ("cosine_with_restarts", {"num_cycles": 2}), ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
    ("warmup_stable_decay", {"num_decay_steps": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "given"), quick(SCHEDULES, 6))
def test_schedules(sides: Sides, schedule: str, given: Options) -> None:
    """A share of the steps is warm-up, as TRL takes it. One row a step is enough."""
    talks = records("sft", 6)
    words = {"trainer.lr_scheduler": schedule, "trainer.warmup_ratio": 0.34, "trainer.batch_size": 1}
    words |= {"hardware.per_device_batch_size": 1, "trainer.args": {"lr_scheduler_kwargs": given} if given else {}}
    options = {"lr_scheduler_type": schedule, "warmup_steps": 0.34, "per_device_train_batch_size": 1}
    found = sides.ours("sft", talks, words)
    agree(found, sides.plain("sft", talks, {**options, "lr_scheduler_kwargs": given or None}))
    assert len(set(found.logged("learning_rate"))) > 2


ADAM = {"adam_beta1": 0.5, "adam_beta2": 0.9, "adam_epsilon": 0.1}
OPTIMIZERS: list[tuple[Options, Options]] = [
    ({"hardware.optimizer": "adamw_torch", "trainer.args": ADAM}, {"optim": "adamw_torch", **ADAM}),
    ({"trainer.weight_decay": 0.1}, {"weight_decay": 0.1}),
    ({"trainer.max_grad_norm": 0.5}, {"max_grad_norm": 0.5}),
    ({"hardware.optimizer": "adafactor"}, {"optim": "adafactor"}),
    ({"trainer.args": {"optim_args": "momentum=0.9"}}, {"optim_args": "momentum=0.9"}),
]


@pytest.mark.parametrize(("words", "options"), quick(OPTIMIZERS, 4))
def test_optimizers(sides: Sides, words: Options, options: Options) -> None:
    talks = records("sft", 12)
    agree(sides.ours("sft", talks, {"trainer.learning_rate": 0.001, **words}),
          sides.plain("sft", talks, {"learning_rate": 0.001, **options}))  # fmt: skip


# Steps of several passes: ours are those of one.

CUT = {"hardware.per_device_batch_size": 1, "trainer.max_length": 160}
THEIR_CUT = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}


@pytest.mark.parametrize("packing", quick(["on", "off"], 0))
@pytest.mark.parametrize("trainer", quick(["sft", "dpo", "kto"], 1, 2))
def test_accumulation_is_one_pass_in_all_numbers(sides: Sides, trainer: str, packing: str) -> None:
    """On purpose: a step's means over tokens are those of its tokens. TRL logs the mean of the passes' means.

    KTO's KL term is the step's, too, and TRL's that of a pass, which is in the gradient.
    """
    rows = records(trainer, 8)
    found, cut = sides.ours(trainer, rows, {**CUT, "hardware.packing": packing}), sides.plain(trainer, rows, THEIR_CUT)
    assert len(found.trainer.step.losses) > 1, "passes of the last step"
    agree(found, sides.plain(trainer, rows))
    if trainer == "kto":
        assert apart_by(cut.update, found.update) > 1e-6
    else:
        agree(found, cut, apart=BY_TOKEN)
    assert found.logged("entropy") != pytest.approx(cut.logged("entropy"), rel=1e-6)


@pytest.mark.slow
def test_the_sft_term_is_a_mean_over_the_tokens_of_a_step(sides: Sides) -> None:
    """On purpose: TRL's is the mean of the passes' means, so that its gradient depends on the device batch."""
    pairs, words = records("dpo", 8), {"trainer.sft_weight": 1.0}
    options = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 1.0]}
    found, cut = sides.ours("dpo", pairs, {**words, **CUT}), sides.plain("dpo", pairs, {**options, **THEIR_CUT})
    agree(found, sides.plain("dpo", pairs, options))
    assert apart_by(cut.gradients[0], found.gradients[0]) > 0.01


@pytest.mark.parametrize("trainer", quick(["sft", "dpo", "kto"], 1))
def test_a_short_last_step_weighs_its_examples_alike(sides: Sides, trainer: str) -> None:
    """On purpose: of three pairs in passes of two, TRL gives the third as much weight as the others have together."""
    rows = records(trainer, 7)
    found, cut = sides.ours(trainer, rows, CUT), sides.plain(trainer, rows, THEIR_CUT)
    agree(found, sides.plain(trainer, rows))
    assert (apart_by(cut.gradients[1], found.gradients[1]) > 0.01) is (trainer != "sft")


# Validation.

EVALUATED = {"trainer.eval_steps": 1}
THEIRS_EVALUATED = {"eval_strategy": "steps", "eval_steps": 1}


@pytest.mark.parametrize("trainer", quick(["sft", "dpo", "kto"], 2))
def test_validation_is_that_of_one_batch(sides: Sides, trainer: str) -> None:
    """On purpose: TRL's number is the mean of its batches' means, of which the last one here is a single row's.

    KTO gets two whole batches: TRL sets a reply that is alone in its batch beside itself.
    """
    many = 8 if trainer == "kto" else 5
    rows, valid = records(trainer, 8), records(trainer, 20)[20 - many :]
    found = sides.ours(trainer, rows, EVALUATED, valid=valid)
    agree(found, sides.plain(trainer, rows, {**THEIRS_EVALUATED, "per_device_eval_batch_size": many}, valid=valid))
    by_batch = sides.plain(trainer, rows, THEIRS_EVALUATED, valid=valid)
    assert len(found.logged("eval_loss")) == 2
    assert found.logged("eval_entropy") != pytest.approx(by_batch.logged("eval_entropy"), rel=1e-6)


@pytest.mark.parametrize("option", quick([{"eval_on_start": True}, {"eval_delay": 2}]))
def test_when_is_validated(sides: Sides, option: Options) -> None:
    pairs, valid = records("dpo", 12), records("dpo", 16)[12:]
    found = sides.ours("dpo", pairs, {**EVALUATED, "trainer.args": option}, valid=valid)
    agree(found, sides.plain("dpo", pairs, {**THEIRS_EVALUATED, **option}, valid=valid))
    assert len(found.logged("eval_loss")) != 3


# Runs.


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_a_whole_run_is_trls_training(
    sides: Sides, go: Any, trainer: str, killed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From its command's words on, with a new adapter, in float32; also killed after its third step."""
    words = [f"trainer={trainer}", "evaluation.enabled=false", "trainer.max_steps=5", "trainer.save_steps=2"]
    words += ["hardware.optimizer=sgd", "trainer.learning_rate=0.03"]
    if trainer == "sft":  # TRL trains every turn of a tutor
        rows = (json.dumps(as_trl(talk(number))) for number in range(40))
        (tmp_path / "talks.jsonl").write_text("\n".join(rows), encoding="utf-8")
        words += ["dataset=local", f"dataset.path={tmp_path / 'talks.jsonl'}"]
    if killed:
        with killed_at("on_step_end", 3):
            assert in_child(lambda: go(*words)) == -9
    sessions: list[Session] = []
    starts: list[dict[str, torch.Tensor]] = []
    original = Session.train

    def watch(self: Session) -> None:
        sessions.append(self)
        starts.append({name: value.detach().clone() for name, value in self.model.named_parameters()})
        original(self)

    monkeypatch.setattr(Session, "train", watch)
    monkeypatch.setattr(sides, "precise", False)
    done = go(*words)
    (session,), (start,) = sessions, starts
    expected = sides.plain(trainer, session.data.train, {"max_steps": 5}, "lora", start=start)
    lines = [line for line in done.rows("metrics.jsonl") if "loss" in line]
    theirs = [line for line in expected.lines if "loss" in line]
    assert len(lines) == len(theirs) == 5
    for line, other in zip(lines, theirs, strict=True):
        names = other.keys() & line.keys() - {"rewards/accuracies"}
        assert names >= {"loss", "grad_norm", "learning_rate", "entropy", "num_tokens"}
        assert {name: line[name] for name in names} == pytest.approx({name: other[name] for name in names}, rel=1e-4)
    began = [start[name] for name, value in sorted(session.model.named_parameters()) if value.requires_grad]
    update = trained(session.model) - torch.cat([value.flatten().double() for value in began])
    assert apart_by(update, expected.update) < 1e-4
