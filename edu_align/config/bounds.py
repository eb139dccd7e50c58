"""Rules on one key: the range of every number and the words that every enumeration takes."""

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edu_align.config.exporting import DTYPES, GGUF_TYPES
from edu_align.config.judging import JUDGE_BOUNDS
from edu_align.config.schema import SOURCES
from edu_align.config.suggest import did_you_mean, listed
from edu_align.config.sweeping import DIRECTIONS, SAMPLERS

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip

# key: (what it must be, a common value). null is allowed wherever the schema allows it.
BOUNDS: dict[str, tuple[str, str]] = {
    "seed": (">= 0 and < 4294967296", "42"),
    "preview": (">= 0", "0"),
    "cache_gb": (">= 0", "10"),
    "model.architecture.vocab_size": (">= 1", "32000"),
    "model.architecture.hidden_size": (">= 1", "576"),
    "model.architecture.intermediate_size": (">= 1", "1536"),
    "model.architecture.num_hidden_layers": (">= 1", "30"),
    "model.architecture.num_attention_heads": (">= 1", "9"),
    "model.architecture.num_key_value_heads": (">= 1", "3"),
    "model.architecture.max_position_embeddings": (">= 16", "2048"),
    "model.architecture.rope_theta": ("> 0", "10000.0"),
    "model.architecture.sliding_window": (">= 1", "null"),
    "dataset.size": (">= 20", "1500"),
    "dataset.contrast_per_prompt": (">= 0", "0"),
    "dataset.contrast_turns": (">= 1", "1"),
    "dataset.margin": ("> 0", "1.0"),
    "dataset.training_margin": ("> 0", "null"),
    "dataset.max_pairs_per_group": (">= 1", "2"),
    "dataset.max_train_records": (">= 1", "null"),
    "dataset.max_eval_records": (">= 1", "64"),
    "dataset.test_fraction": ("> 0 and < 1", "0.25"),
    "dataset.validation_fraction": ("> 0 and < 1", "0.1"),
    "dataset.validation_fold": (">= 0", "0"),
    "trainer.learning_rate": ("> 0", "2e-4"),
    "trainer.batch_size": (">= 1", "16"),
    "trainer.max_length": (">= 16", "1024"),
    "trainer.warmup_ratio": (">= 0 and < 1", "0.1"),
    "trainer.weight_decay": (">= 0", "0.0"),
    "trainer.max_grad_norm": ("> 0", "1.0"),
    "trainer.average_last": (">= 0 and <= 1", "0.0"),
    "trainer.logging_steps": (">= 1", "1"),
    "trainer.eval_steps": (">= 1", "null"),
    "trainer.save_steps": (">= 1", "50"),
    "trainer.save_total_limit": (">= 1", "2"),
    "trainer.beta": ("> 0", "0.1"),
    "trainer.max_prompt_length": (">= 8", "null"),
    "trainer.label_smoothing": (">= 0 and < 0.5", "0.0"),
    "trainer.sft_weight": (">= 0", "0.0"),
    "hardware.per_device_batch_size": (">= 1", "1"),
    "hardware.eval_batch_size": (">= 1", "8"),
    "hardware.memory_gb": ("> 0", "null"),
    "hardware.min_compute_capability": ("> 0", "null"),
    "hardware.threads": (">= 1", "null"),
    "adapter.dropout": (">= 0 and < 1", "0.0"),
    "evaluation.max_groups": (">= 1", "null"),
    "evaluation.bootstrap_samples": (">= 100", "2000"),
    "evaluation.confidence": ("> 0 and < 1", "0.95"),
    "evaluation.samples": (">= 0", "4"),
    "evaluation.max_new_tokens": (">= 1", "80"),
    "evaluation.samples_steps": (">= 1", "null"),
    **JUDGE_BOUNDS,
    "sweep.trials": (">= 1", "20"),
    "sweep.seed": (">= 0 and < 4294967296", "null"),
    "sweep.concurrent": (">= 1", "1"),
    "sweep.batch": (">= 1", "null"),
    "sweep.prune_min_steps": (">= 1", "10"),
    "sweep.prune_factor": (">= 2", "3"),
    "generation.max_new_tokens": (">= 1", "256"),
    "generation.temperature": (">= 0", "0.0"),
    "generation.top_p": ("> 0 and <= 1", "1.0"),
    "generation.top_k": (">= 0", "0"),
    "generation.repetition_penalty": ("> 0", "1.0"),
}

# Losses of TRL's DPOTrainer that need nothing but pairs and the reference model.
DPO_LOSSES = (
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
    "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm",
)  # fmt: skip

WORDS: dict[str, Sequence[str]] = {
    "model.weights": ("pretrained", "random"),
    "model.chat_template": ("auto", "own", "zephyr"),
    "dataset.sources": SOURCES,
    "dataset.format": ("auto", "messages", "sharegpt", "preference", "responses"),
    "trainer.algorithm": ("sft", "dpo"),
    "trainer.loss_type": DPO_LOSSES,
    "trainer.batching": ("prompts", "pairs"),
    "trainer.long_conversations": ("window", "truncate", "drop"),
    "hardware.device": ("auto", "cpu", "cuda"),
    "hardware.dtype": ("auto", "float32", "bfloat16", "float16"),
    "hardware.attention": ("auto", "sdpa", "eager", "flash_attention_2"),
    "hardware.quantization": ("none", "nf4"),
    "hardware.packing": ("auto", "on", "off"),
    "hardware.packing_backend": ("auto", "dense", "blocks", "flex"),
    "hardware.sharding": ("none", "fsdp"),
    "adapter.name": ("lora", "full"),
    "tracking.name": ("wandb", "off"),
    "tracking.mode": ("auto", "online", "offline"),
    "evaluation.split": ("validation", "test"),
    "sweep.sampler": SAMPLERS,
    "sweep.direction": DIRECTIONS,
    "export.dtype": ("auto", *DTYPES),
    "export.gguf": GGUF_TYPES,
}


def out_of_bounds(values: dict[str, Any]) -> Iterator[str]:
    """A problem for every number of `values` (dotted key to value) that is out of its range, or not finite."""
    for key, (rule, common) in BOUNDS.items():
        value = values.get(key)
        if value is not None and not holds(value, rule):
            yield f"`{key}` must be {rule}, got {value}. A common value is {key}={common}."


def holds(value: float, rule: str) -> bool:
    """Whether a number satisfies a rule such as `">= 0 and < 0.5"`. NaN and infinity satisfy none."""
    clauses = [clause.split() for clause in rule.split(" and ")]
    return math.isfinite(value) and all(_OPERATORS[sign](value, float(limit)) for sign, limit in clauses)


def unknown_words(values: dict[str, Any]) -> Iterator[str]:
    """A problem for every value of an enumeration that is not one of its words; lists are checked word by word."""
    for key, words in WORDS.items():
        value = values.get(key)
        for word in value if isinstance(value, list) else [value]:
            if word is not None and word not in words:
                yield not_a_word(key, word, words)


def not_a_word(key: str, word: str, words: Sequence[str]) -> str:
    """The problem of a word that is not in an enumeration."""
    hint = did_you_mean(word, words)
    if word in ("True", "False") and {"on", "off"} & set(words):
        hint = " YAML reads a bare on or off as true or false: put it in quotes."
    return f"`{key}` must be one of {listed(words)}, got {word!r}.{hint}"
