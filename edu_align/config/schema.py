"""One dataclass a config group. conf/ fills them in; what is not here is not a key.

This module is imported for `--help`, so it imports nothing heavy.
"""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from edu_align.config.architecture import Architecture
from edu_align.config.exporting import ExportConfig
from edu_align.config.judging import JudgeConfig
from edu_align.config.sweeping import SweepConfig

SOURCES = [
    "edu_tutor", "mathdial", "bridge", "mrbench", "gsm8k_socratic", "agentinstruct", "puffin", "stack_exchange",
    "ultrachat", "ultrafeedback", "local",
]  # fmt: skip
# What each source can train: SFT needs conversations, preference training needs response groups.
CONVERSATION_SOURCES = SOURCES
PREFERENCE_SOURCES = ["edu_tutor", "bridge", "mrbench", "stack_exchange", "ultrafeedback", "local"]


@dataclass
class ModelConfig:
    name: str = MISSING
    path: str | None = None
    revision: str | None = None
    weights: str = "pretrained"  # pretrained | random
    bundled: bool = False
    tokenizer: str | None = None
    chat_template: str = "auto"  # auto | own | zephyr
    trust_remote_code: bool = False
    architecture: Architecture = field(default_factory=Architecture)


@dataclass
class DatasetConfig:
    name: str = MISSING
    sources: list[str] = MISSING
    path: str | None = None
    format: str = "auto"  # local only: auto | messages | sharegpt | preference | responses
    columns: dict[str, str] = field(default_factory=dict)
    size: int = 1500
    generation_seed: int = 42
    margin: float = 2.0
    training_margin: float | None = None
    drop_unfit_chosen: bool = True
    max_pairs_per_group: int | None = None
    balance_authors: bool = False
    contrast_per_prompt: int = 0
    contrast_sources: list[str] = field(default_factory=list)
    contrast_turns: int = 1
    max_train_records: int | None = None
    max_eval_records: int | None = None
    streaming: bool = False
    split_seed: str = "edu-v1"
    test_fraction: float = 0.25
    validation_fraction: float = 0.10
    validation_fold: int = 0
    system_prompt: str | None = None


@dataclass
class TrainerConfig:
    """Keys that SFT and DPO share. `batch_size` is the effective batch, in examples per optimizer step."""

    algorithm: str = MISSING
    learning_rate: float = MISSING
    epochs: float = MISSING
    max_steps: int = -1
    batch_size: int = MISSING
    max_length: int = MISSING
    lr_scheduler: str = "cosine"
    warmup_ratio: float = 0.1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    average_last: float = 0.0
    logging_steps: int = 1
    eval_steps: int | None = None
    save_steps: int | None = 50
    save_total_limit: int = 2
    args: dict[str, Any] = field(default_factory=dict)


@dataclass
class SFTTrainerConfig(TrainerConfig):
    algorithm: str = "sft"
    long_conversations: str = "window"  # window | truncate | drop


@dataclass
class DPOTrainerConfig(TrainerConfig):
    algorithm: str = "dpo"
    beta: float = MISSING
    loss_type: str = "sigmoid"
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
    precompute_reference: bool = True
    max_prompt_length: int | None = None
    batching: str = "prompts"  # prompts | pairs


@dataclass
class HardwareConfig:
    name: str = MISSING
    device: str = "auto"  # auto | cpu | cuda
    dtype: str = "auto"  # auto | float32 | bfloat16 | float16
    attention: str = "sdpa"  # auto | sdpa | eager | flash_attention_2
    quantization: str = "none"  # none | nf4
    double_quantization: bool = True
    per_device_batch_size: int = MISSING
    eval_batch_size: int = MISSING
    gradient_checkpointing: bool = False
    optimizer: str = "adamw_torch"
    memory_gb: float | None = None
    memory_check: bool = True
    min_compute_capability: float | None = None
    threads: int | None = None
    packing: str = "auto"  # auto | on | off
    packing_backend: str = "auto"  # auto | dense | blocks | flex
    sharding: str = "none"  # none | fsdp


@dataclass
class AdapterConfig:
    name: str = MISSING  # lora | full
    rank: int = 0
    alpha: int = 0
    dropout: float = 0.0
    target_modules: list[str] = field(default_factory=list)


@dataclass
class TrackingConfig:
    name: str = MISSING  # wandb | off
    project: str = "edu_align"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    mode: str = "auto"  # auto | online | offline
    artifact: bool = False


@dataclass
class EvaluationConfig(JudgeConfig):
    enabled: bool = True
    split: str = "test"  # validation | test
    metrics: list[str] = field(default_factory=list)
    max_groups: int | None = None
    bootstrap_samples: int = 2000
    confidence: float = 0.95
    samples: int = 4
    max_new_tokens: int = 80
    samples_steps: int | None = None


@dataclass
class GenerationConfig:
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0


@dataclass
class Config:
    seed: int = 42
    outputs_root: str = "outputs"
    data_root: str | None = None
    init_from: str | None = None
    run_name: str | None = None
    force: bool = False
    preview: int = 0
    chain: list[str] = field(default_factory=list)
    objective: str = "train/loss"
    cache_gb: float = 10.0
    model: ModelConfig = MISSING
    dataset: DatasetConfig = MISSING
    trainer: TrainerConfig = MISSING
    hardware: HardwareConfig = MISSING
    adapter: AdapterConfig = MISSING
    tracking: TrackingConfig = MISSING
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)


GROUP_SCHEMAS: dict[str, dict[str, type]] = {
    "model": {"model_schema": ModelConfig},
    "dataset": {"dataset_schema": DatasetConfig},
    "trainer": {"sft_schema": SFTTrainerConfig, "dpo_schema": DPOTrainerConfig},
    "hardware": {"hardware_schema": HardwareConfig},
    "adapter": {"adapter_schema": AdapterConfig},
    "tracking": {"tracking_schema": TrackingConfig},
}
