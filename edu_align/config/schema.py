"""One dataclass a config group, and all there is to know of a key: default, range, words, TRL's name, what it is for.

conf/ fills the classes in and explains the keys; what is not here is not a key. Nothing heavy is imported, because
`--help` reads this; and the classes have neither `==` nor a text, which take half of the time of making them.
"""

# ruff: noqa: RUF009 (`key` makes a dataclass field)
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

MISSING: Any = "???"  # OmegaConf's word for a value that has to be given; importing it takes a sixth of a second

SOURCES = [
    "edu_tutor", "mathdial", "bridge", "mrbench", "gsm8k_socratic", "cogtutorbugs", "stepverify", "oatutor",
    "convolearn", "semeval2013", "mae", "mathchat", "agentinstruct", "puffin", "stack_exchange", "ultrachat",
    "ultrafeedback", "local",
]  # fmt: skip
# What each source can train: SFT needs conversations, preference training needs response groups.
CONVERSATION_SOURCES = SOURCES
PREFERENCE_SOURCES = [
    "edu_tutor", "bridge", "mrbench", "cogtutorbugs", "stepverify", "oatutor", "convolearn", "semeval2013", "mae",
    "stack_exchange", "ultrafeedback", "local",
]  # fmt: skip
CHECK_SOURCES = ["mathchat"]  # their questions are measured on: never trained on
# Constructed replies of `dataset.contrast_kinds` (data/negatives.py).
CONTRAST_KINDS = ["elsewhere", "same_question", "earlier", "numbers"]
# Losses on pairs that read no reference model: it is neither computed nor kept. Ours, see training/losses.py.
REFERENCE_FREE_LOSSES = ["simpo", "orpo", "cpo"]
# Losses of TRL's DPOTrainer that need nothing but pairs and the reference model, and ours.
DPO_LOSSES = [
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm", *REFERENCE_FREE_LOSSES,
]  # fmt: skip
# Those whose pairs `trainer.debias` can weigh.
DEBIASED_LOSSES = ["sigmoid", *REFERENCE_FREE_LOSSES]
# Those that compare the pairs of a step with one another: all of them are one forward pass of one process.
COMPARING_LOSSES = ["aot", "aot_unpaired"]
# Losses of TRL's KTOTrainer.
KTO_LOSSES = ["kto", "apo_zero_unpaired"]
# How a reward model learns: from which of two replies is better, or from the score of each reply.
GRADED_LOSSES = ["regression", "ordinal"]
REWARD_LOSSES = ["bradley_terry", *GRADED_LOSSES]
POOLINGS = ["mean", "last"]
# Losses of TRL's GRPOTrainer.
GRPO_LOSSES = ["grpo", "dr_grpo", "dapo"]
# Rewards of `trainer.rewards` (edu_align/rewards), and what they weigh where it is empty.
RULES = (
    "leaks_answer", "asks_question", "finds_mistake", "locates_mistake", "arithmetic_correct", "human_length",
    "student_numbers",
)  # fmt: skip
REWARDS = (*RULES, "reward_model", "judge")
USUAL_REWARDS = {"asks_question": 1.0, "leaks_answer": -1.0}
# Who says which of a tutor's own replies are better, in `edu_align.rounds`.
SCORERS = ("rules", "reward", "judge", "votes")
# What `edu_align.evaluate` can measure.
METRICS = (
    "pair_accuracy_balanced", "pair_accuracy", "pair_accuracy_bridge", "selection_score", "context_use",
    "pair_accuracy_own", "human_turn_nll", "form_own", "leak_own", "leak", "form", "human_nll", "retention",
    "retention_exact", "corpus", "diagnosis", "leaves_right_alone", "mistake_step", "solution_correctness",
    "mistake_correction", "leak_check", "graded", "socratic_questioning", "student", "student_played",
)  # fmt: skip
BEST = "best"  # of `trainer.keep`
CHECKPOINTING = ("false", "selective", "full", "offload")  # each takes less memory than the one before
TEMPLATE_FILE = "chat_template.jinja"  # beside the weights that a run leaves, and in a tokenizer's folder
DTYPES = ("float32", "bfloat16", "float16")
BLOCK_TYPES = ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0")  # numbers of a GGUF in blocks of 32 with a scale each
K_TYPES = ("q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_m")  # mixtures that only llama.cpp writes
GGUF_TYPES = ("f32", "f16", "bf16", *BLOCK_TYPES, *K_TYPES)
SEED = ">= 0 and < 4294967296"


def key(
    default: Any = MISSING,
    bounds: str = "",
    *,
    usual: str = "",
    words: Sequence[str] | Callable[[], Sequence[str]] = (),
    also: dict[str, str] | None = None,
    trl: str = "",
    peft: str = "",
    later: bool = False,
    in_run_id: bool = True,
    in_sweep_name: bool = True,
) -> Any:
    """A field of a schema. A class, list or mapping as `default` is made anew for each config.

    `bounds`: what a number must be, such as ">= 0 and < 1"; null is allowed wherever the type allows it. `usual`: a
    value that an error suggests, the default unless given. `words`: what a text, or each text of a list, may be.
    `also`: earlier spellings of some of them, {spelling: word}.

    `trl`: options of TRL's config, parted by spaces, that this key decides and `trainer.args` therefore cannot.

    `peft`: fields of PEFT's LoraConfig, likewise, that `adapter.args` cannot.

    `in_run_id`: whether it decides what a run computes. False is for how and where it is made. On a group it goes for
    all keys below. `later`: a key that came after there were ids, and is in them only where it is not its default.
    `in_sweep_name`: false where the same sweep may be continued with another value.
    """
    usual = usual or ("null" if default is None else str(default))
    metadata = {
        "bounds": (bounds, usual) if bounds else None, "words": words, "also": also, "trl": trl.split(),
        "peft": peft.split(), "later": (default,) if later else (),
        "outside_run_id": not in_run_id, "outside_sweep_name": not in_sweep_name,
    }  # fmt: skip
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    if isinstance(default, list | dict):
        return field(default_factory=lambda: copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def trainers() -> tuple[str, ...]:
    """What `trainer.algorithm` can be: one for each schema of the group."""
    return tuple(name.removesuffix("_schema") for name in GROUP_SCHEMAS["trainer"])


@dataclass(eq=False, repr=False)
class Architecture:
    """Shape of a decoder-only model, for random weights and for planning; 0 is not known (see models/sizes.py)."""

    model_type: str = ""
    vocab_size: int = key(0, ">= 0", usual="32000")
    hidden_size: int = key(0, ">= 0", usual="576")
    intermediate_size: int = key(0, ">= 0", usual="1536")
    num_hidden_layers: int = key(0, ">= 0", usual="30")
    num_attention_heads: int = key(0, ">= 0", usual="9")
    num_key_value_heads: int = key(0, ">= 0", usual="3")
    max_position_embeddings: int = key(0, ">= 0", usual="2048")
    tie_word_embeddings: bool = False
    rope_theta: float = key(10000.0, "> 0")
    sliding_window: int | None = key(None, ">= 1")


@dataclass(eq=False, repr=False)
class ModelConfig:
    """Where a model lies is not part of a run's id: the identity of its weights is.

    A preset's keys are true of its own path: with another one nothing of them counts (config/compose.py).
    """

    name: str = ""
    path: str | None = key(None, peft="base_model_name_or_path", in_run_id=False)
    revision: str | None = key(None, peft="revision", in_run_id=False)
    weights: str = key("pretrained", words=("pretrained", "random"))
    bundled: bool = key(False, in_run_id=False)
    tokenizer: str | None = None
    chat_template: str = "auto"  # auto, own, zephyr or a file
    template_args: dict[str, Any] = key({})
    template_date: str | None = key(None, in_run_id=False)  # counts where the template writes it, see runs/identity.py
    trust_remote_code: bool = False
    architecture: Architecture = key(Architecture)


@dataclass(eq=False, repr=False)
class DatasetConfig:
    """What is read, and how it is split and made into pairs."""

    name: str = MISSING
    sources: list[str] = key(words=SOURCES)
    path: str | None = key(None, in_run_id=False)  # the fingerprint of the records stands for it
    # Of local files.
    format: str = key("auto", words=(
        "auto", "messages", "sharegpt", "preference", "responses", "labels", "completion", "text",
    ))  # fmt: skip
    columns: dict[str, str] = key({})
    weights: dict[str, float] = key({})
    max_per_source: dict[str, int] = key({})
    size: int = key(1500, ">= 20")
    generation_seed: int = 42
    margin: float = key(2.0, "> 0", usual="1.0")
    training_margin: float | None = key(None, "> 0")
    threshold: float | None = key(None, later=True)
    dimension: str | None = key(None, later=True)
    drop_unfit_chosen: bool = True
    max_pairs_per_group: int | None = key(None, ">= 1", usual="2")
    balance_authors: bool = False
    contrast_per_prompt: int = key(0, ">= 0")
    contrast_kinds: list[str] = key(["elsewhere"], words=CONTRAST_KINDS, later=True)
    contrast_sources: list[str] = key([])
    contrast_turns: int = key(1, ">= 1")
    max_train_records: int | None = key(None, ">= 1")
    max_eval_records: int | None = key(None, ">= 1", usual="64")
    streaming: bool = False
    split_seed: str = "edu-v2"
    test_fraction: float = key(0.25, "> 0 and < 1")
    validation_fraction: float = key(0.10, "> 0 and < 1")
    validation_fold: int = key(0, ">= 0")
    folds: int | None = key(None, ">= 2", usual="5", later=True)
    leave_out: list[str] = key([], words=SOURCES, later=True)
    system_prompt: str | None = None


@dataclass(eq=False, repr=False)
class TrainerConfig:
    """Keys that all trainers share. `batch_size` is the effective batch, in examples per optimizer step."""

    # TRL's config class, as file in the package trl and name, that `trainer.args` are checked against; None: unchecked.
    trl_config: ClassVar[tuple[str, str] | None] = None
    reads: ClassVar[str] = "conversations"  # conversations | preferences | labels
    writes: ClassVar[bool] = True  # text; a reward model scores it

    algorithm: str = key(words=trainers)
    learning_rate: float = key(bounds="> 0", usual="2e-4", trl="learning_rate")
    epochs: float = key(trl="num_train_epochs")
    max_steps: int = key(-1, trl="max_steps")
    batch_size: int = key(bounds=">= 1", usual="16", trl="gradient_accumulation_steps")
    max_length: int = key(bounds=">= 16", usual="1024", trl="max_length truncation_mode")
    lr_scheduler: str = key("cosine", trl="lr_scheduler_type")
    warmup_ratio: float = key(0.1, ">= 0 and < 1", trl="warmup_steps")
    weight_decay: float = key(0.0, ">= 0", trl="weight_decay")
    max_grad_norm: float = key(1.0, "> 0", trl="max_grad_norm")
    average_last: float = key(0.0, ">= 0 and <= 1")
    logging_steps: int = key(1, ">= 1", trl="logging_steps logging_strategy")
    eval_steps: int | None = key(None, ">= 1", trl="eval_steps eval_strategy")
    keep: str = key("last", words=("last", BEST), later=True)
    keep_metric: str = key("eval/loss", later=True)  # words: metrics.choosing_metrics
    patience: int | None = key(None, ">= 1", usual="3", later=True)
    # How often a run is kept on the way.
    save_steps: int | None = key(50, ">= 1", trl="save_steps save_strategy save_only_model", in_run_id=False)
    save_total_limit: int = key(2, ">= 1", trl="save_total_limit", in_run_id=False)
    args: dict[str, Any] = key({})


@dataclass(eq=False, repr=False)
class SFTTrainerConfig(TrainerConfig):
    """Training on conversations."""

    trl_config: ClassVar = ("trainer/sft_config.py", "SFTConfig")

    algorithm: str = key("sft", words=trainers)
    long_conversations: str = key("window", words=("window", "truncate", "drop"))


@dataclass(eq=False, repr=False)
class DPOTrainerConfig(TrainerConfig):
    """Training on pairs of replies."""

    trl_config: ClassVar = ("trainer/dpo_config.py", "DPOConfig")
    reads: ClassVar = "preferences"

    algorithm: str = key("dpo", words=trainers)
    beta: float = key(bounds="> 0", usual="0.1", trl="beta")
    loss_type: str = key("sigmoid", words=DPO_LOSSES, trl="loss_type")
    label_smoothing: float = key(0.0, ">= 0 and < 0.5", trl="label_smoothing")
    sft_weight: float = key(0.0, ">= 0", trl="loss_weights")
    simpo_gamma: float | None = key(None, ">= 0", usual="1.0", later=True)
    debias: str = key("none", words=("none", "reweight", "product"), later=True)
    pmi_weight: float = key(0.0, ">= 0 and <= 1", usual="1.0", later=True)
    precompute_reference: bool = key(True, trl="precompute_ref_log_probs")
    max_prompt_length: int | None = key(None, ">= 8")
    batching: str = key("prompts", words=("prompts", "pairs"))


@dataclass(eq=False, repr=False)
class KTOTrainerConfig(TrainerConfig):
    """Training on single replies that are labelled good or bad."""

    trl_config: ClassVar = ("trainer/kto_config.py", "KTOConfig")
    reads: ClassVar = "labels"

    algorithm: str = key("kto", words=trainers)
    beta: float = key(bounds="> 0", usual="0.1", trl="beta")
    loss_type: str = key("kto", words=KTO_LOSSES, trl="loss_type")
    desirable_weight: float = key(1.0, "> 0", trl="desirable_weight")
    undesirable_weight: float = key(1.0, "> 0", trl="undesirable_weight")
    precompute_reference: bool = key(True, trl="precompute_ref_log_probs")
    max_prompt_length: int | None = key(None, ">= 8")
    batching: str = key("prompts", words=("prompts", "replies"))


# Trainers that compare the model with a reference model.
REFERENCED = (DPOTrainerConfig, KTOTrainerConfig)


@dataclass(eq=False, repr=False)
class RewardTrainerConfig(TrainerConfig):
    """Training a scalar head, and what lies under it, on pairs of replies or on the score of each."""

    trl_config: ClassVar = ("trainer/reward_config.py", "RewardConfig")
    reads: ClassVar = "preferences"
    writes: ClassVar = False

    algorithm: str = key("reward", words=trainers)
    pooling: str = key("mean", words=POOLINGS)
    reward_loss: str = key("bradley_terry", words=REWARD_LOSSES)
    margin_weight: float = key(0.0, ">= 0")


@dataclass(eq=False, repr=False)
class GRPOTrainerConfig(TrainerConfig):
    """Training on replies of the model's own. `batch_size`: replies of a step, groups of `num_generations`."""

    trl_config: ClassVar = ("trainer/grpo_config.py", "GRPOConfig")

    algorithm: str = key("grpo", words=trainers)
    rewards: dict[str, float] = key({}, trl="reward_weights")
    reward_run: str | None = key(None, in_run_id=False)  # what its weights hold stands for it
    num_generations: int = key(8, ">= 2", trl="num_generations num_generations_eval")
    max_completion_length: int = key(128, ">= 1", trl="max_completion_length")
    temperature: float = key(1.0, "> 0", trl="temperature")
    beta: float = key(0.04, ">= 0", trl="beta")
    epsilon: float = key(0.2, "> 0 and < 1", trl="epsilon epsilon_high")
    num_iterations: int = key(1, ">= 1", trl="num_iterations")
    loss_type: str = key("grpo", words=GRPO_LOSSES, trl="loss_type")
    scale_rewards: str = key("group", words=("group", "batch", "none"), trl="scale_rewards")

    @property
    def weights(self) -> dict[str, float]:
        """The rewards that count, and what they weigh."""
        return {name: weight for name, weight in (self.rewards or USUAL_REWARDS).items() if weight}


@dataclass(eq=False, repr=False)
class HardwareConfig:
    """What fits. In exact arithmetic most of these change no number, and in floating point only its last digits.

    They are no part of a run's id, but for those that round the model (dtype, quantization) and the optimizer.
    """

    name: str = key(in_run_id=False)
    device: str = key("auto", words=("auto", "cpu", "cuda"), trl="use_cpu", in_run_id=False)
    dtype: str = key("auto", words=("auto", *DTYPES), trl="bf16 fp16")
    attention: str = key("sdpa", words=("auto", "sdpa", "eager", "flash_attention_2"), in_run_id=False)
    quantization: str = key("none", words=("none", "nf4"))
    double_quantization: bool = True
    # `auto_find_batch_size` would start the training over.
    per_device_batch_size: int = key(
        bounds=">= 1", usual="1", trl="per_device_train_batch_size auto_find_batch_size", in_run_id=False
    )
    eval_batch_size: int = key(
        bounds=">= 1", usual="8", trl="per_device_eval_batch_size precompute_ref_batch_size", in_run_id=False
    )
    gradient_checkpointing: str = key(
        "false", words=CHECKPOINTING, also={"true": "full"},
        trl="gradient_checkpointing activation_checkpointing", in_run_id=False,
    )  # fmt: skip
    adapted_copies: str = key("auto", words=("auto", "on", "off"), in_run_id=False)
    optimizer: str = key("adamw_torch", trl="optim")
    memory_gb: float | None = key(None, "> 0", in_run_id=False)
    memory_check: bool = key(True, in_run_id=False)
    min_compute_capability: float | None = key(None, "> 0", in_run_id=False)
    threads: int | None = key(None, ">= 1", in_run_id=False)
    packing: str = key("auto", words=("auto", "on", "off"), in_run_id=False)
    packing_backend: str = key("auto", words=("auto", "dense", "blocks", "flex"), in_run_id=False)
    sharding: str = key("none", words=("none", "fsdp"), in_run_id=False)


@dataclass(eq=False, repr=False)
class AdapterConfig:
    """What is trained. Of `full` only the name counts. `target_modules`: a list of names, or a regular expression."""

    name: str = key(words=("lora", "full"))
    rank: int = key(0, peft="r")
    alpha: int = key(0, peft="lora_alpha")
    dropout: float = key(0.0, ">= 0 and < 1", peft="lora_dropout")
    target_modules: Any = key([], peft="target_modules")
    lora_plus_ratio: float = key(1.0, ">= 1", later=True)
    args: dict[str, Any] = key({})


@dataclass(eq=False, repr=False)
class TrackingConfig:
    """Where numbers go besides the run's folder."""

    name: str = key(words=("wandb", "off"))
    project: str = key("edu_align", trl="project")
    entity: str | None = None
    group: str | None = None
    tags: list[str] = key([])
    mode: str = key("auto", words=("auto", "online", "offline"))
    artifact: bool = False


LOCAL_JUDGE = "local"  # in place of an endpoint


@dataclass(eq=False, repr=False)
class EvaluationConfig:
    """What is measured on held-out groups. `judge*`: a model behind an OpenAI-compatible endpoint, or one on this
    machine, compares replies.
    """

    judge: str | None = key(None, in_run_id=False)
    judge_model: str | None = key(None, in_run_id=False)
    judge_pairs: int = key(100, ">= 1", in_run_id=False)
    judge_requests_per_minute: float | None = key(None, "> 0", usual="60", in_run_id=False)
    judge_concurrency: int = key(4, ">= 1", in_run_id=False)
    judge_timeout: float = key(120.0, "> 0", usual="120", in_run_id=False)
    judge_max_tokens: int = key(512, ">= 64", in_run_id=False)
    judge_price_in: float | None = key(None, ">= 0", in_run_id=False)
    judge_price_out: float | None = key(None, ">= 0", in_run_id=False)
    enabled: bool = True
    split: str = key("test", words=("validation", "test"))
    metrics: list[str] = key([], in_run_id=False)  # words: METRICS
    max_groups: int | None = key(None, ">= 1")
    bootstrap_samples: int = key(2000, ">= 100")
    confidence: float = key(0.95, "> 0 and < 1")
    samples: int = key(4, ">= 0")
    max_new_tokens: int = key(80, ">= 1")
    samples_steps: int | None = key(None, ">= 1")


@dataclass(eq=False, repr=False)
class GenerationConfig:
    """How the finished tutor answers; nothing in training or measuring draws a reply with it."""

    max_new_tokens: int = key(256, ">= 1")
    temperature: float = key(0.0, ">= 0")
    top_p: float = key(1.0, "> 0 and <= 1")
    top_k: int = key(0, ">= 0")
    repetition_penalty: float = key(1.0, "> 0")


@dataclass(eq=False, repr=False)
class ExportConfig:
    """What `edu_align.export` makes of a finished run."""

    dtype: str = key("auto", words=("auto", *DTYPES))
    gguf: str | None = key(None, words=GGUF_TYPES)
    converter: str | None = None
    quantizer: str | None = None
    overwrite: bool = False
    push_to_hub: str | None = None
    private: bool = True
    license: str | None = None


@dataclass(eq=False, repr=False)
class RoundsConfig:
    """How `edu_align.rounds` lets a tutor learn from replies of its own."""

    number: int = key(3, ">= 1")
    seed: int | None = key(None, SEED)
    scorer: str = key("rules", words=SCORERS)
    rewards: dict[str, float] = key({})
    reward_run: str | None = None
    votes: str | None = None
    prompts: int = key(64, ">= 1")
    replies: int = key(4, ">= 2")
    pairs: str = key("best_worst", words=("best_worst", "all"))
    margin: float = key(0.5, "> 0")
    validation: int = key(64, ">= 2")
    patience: int = key(1, ">= 1")
    temperature: float = key(1.0, "> 0")
    max_new_tokens: int = key(80, ">= 1")

    @property
    def weights(self) -> dict[str, float]:
        """The rewards that a reply's score is made of, and what they weigh; empty where people vote."""
        own = {name: weight for name, weight in (self.rewards or USUAL_REWARDS).items() if weight}
        return {"rules": own, "reward": {"reward_model": 1.0}, "judge": {"judge": 1.0}, "votes": {}}[self.scorer]


@dataclass(eq=False, repr=False)
class SweepConfig:
    """How a multirun chooses and keeps its jobs."""

    name: str | None = key(None, in_sweep_name=False)
    sampler: str = key("grid", words=("grid", "random", "tpe"))
    trials: int = key(20, ">= 1", in_sweep_name=False)
    seed: int | None = key(None, SEED)
    direction: str = key("auto", words=("auto", "minimize", "maximize"))
    zip: list[str] = key([], later=True)
    jobs_file: str | None = key(None, in_sweep_name=False)  # the jobs in it stand for it
    pareto: list[str] = key([], in_sweep_name=False)
    batch: int | None = key(None, ">= 1", in_sweep_name=False)
    dry_run: bool = key(False, in_sweep_name=False)
    stop_on_error: bool = key(False, in_sweep_name=False)
    stop_after: int | None = key(None, ">= 1", usual="3", in_sweep_name=False)
    gpus: str = key("auto", in_sweep_name=False)
    prune_metric: str | None = None
    prune_min_steps: int = key(10, ">= 1")
    prune_factor: int = key(3, ">= 2")


@dataclass(eq=False, repr=False)
class Config:
    """The root: keys of no group, and one field a group."""

    seed: int = key(42, SEED, trl="seed data_seed")
    outputs_root: str = key("outputs", trl="output_dir", in_run_id=False, in_sweep_name=False)
    data_root: str | None = key(None, in_run_id=False)
    init_from: str | None = key(None, in_run_id=False)  # the id of that run stands for it
    run_name: str | None = key(None, trl="run_name", in_run_id=False, in_sweep_name=False)
    force: bool = key(False, in_run_id=False, in_sweep_name=False)
    accept_changed: bool = key(False, in_run_id=False, in_sweep_name=False)
    preview: int = key(0, ">= 0", in_run_id=False)
    chain: list[str] = key([], in_run_id=False)
    objective: str | None = key(None, in_run_id=False)
    cache_gb: float = key(10.0, ">= 0", usual="10", in_run_id=False)
    model: ModelConfig = MISSING
    dataset: DatasetConfig = MISSING
    trainer: TrainerConfig = MISSING
    hardware: HardwareConfig = MISSING
    adapter: AdapterConfig = MISSING
    tracking: TrackingConfig = key(trl="report_to", in_run_id=False, in_sweep_name=False)
    evaluation: EvaluationConfig = key(EvaluationConfig)
    generation: GenerationConfig = key(GenerationConfig, in_run_id=False, in_sweep_name=False)
    export: ExportConfig = key(ExportConfig, in_run_id=False, in_sweep_name=False)
    rounds: RoundsConfig = key(RoundsConfig, in_run_id=False, in_sweep_name=False)
    sweep: SweepConfig = key(SweepConfig, in_run_id=False)


# A new option of a group with keys of its own, such as a training method, is a class and an entry here.
GROUP_SCHEMAS: dict[str, dict[str, type]] = {
    "model": {"model_schema": ModelConfig},
    "dataset": {"dataset_schema": DatasetConfig},
    "trainer": {
        "sft_schema": SFTTrainerConfig,
        "dpo_schema": DPOTrainerConfig,
        "kto_schema": KTOTrainerConfig,
        "reward_schema": RewardTrainerConfig,
        "grpo_schema": GRPOTrainerConfig,
    },
    "hardware": {"hardware_schema": HardwareConfig},
    "adapter": {"adapter_schema": AdapterConfig},
    "tracking": {"tracking_schema": TrackingConfig},
}
