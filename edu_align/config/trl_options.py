"""Every option of TRL's SFTConfig, DPOConfig, KTOConfig, RewardConfig and GRPOConfig: what becomes of it here.

An option is ours (a field of the schema says so, see `trl_args.owned`), passed on, or refused; one that is in none of
the three is not known, and not passed. tests/config/test_trl_options.py holds the table against the installed classes,
and tests/training/test_honoured.py trains with every option that is passed, killed and not.
"""

from typing import Any

from edu_align.config.options import Need, Passed
from edu_align.config.schema import REFERENCE_FREE_LOSSES

_VALIDATED = (Need("trainer.eval_steps", ">= 1", "50"),)
# Losses of `trainer.loss_type` that read what the option changes, as TRL's trainer computes them.
_DIVERGENCES = ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop")
_SUMS = (*_DIVERGENCES, "nca_pair", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero", "apo_down")
# TRL weighs hinge and sft in place, where torch does not let it.
_WEIGHTED = tuple(name for name in _SUMS if name != "hinge" and not name.startswith("aot"))
_SYNCED = (Need("trainer.args.sync_ref_model", (True,), "true"),)
_REFERENCE = (
    Need("trainer.loss_type", lambda loss: loss not in REFERENCE_FREE_LOSSES, "sigmoid"),
    Need("adapter.name", ("full",), "full"),
    Need("trainer.precompute_reference", (False,), "false"),
)
_ALPHA = Need("trainer.args.f_divergence_type", ("alpha_divergence",), "alpha_divergence")

COMMON = {
    "lr_scheduler_kwargs": Passed("mapping", None),
    "optim_args": Passed("text", None),
    "adam_beta1": Passed("number", 0.9, ">= 0 and < 1"),
    "adam_beta2": Passed("number", 0.999, ">= 0 and < 1"),
    "adam_epsilon": Passed("number", 1e-8, "> 0"),
    "eval_delay": Passed("number", 0, ">= 0", needs=_VALIDATED),
    "eval_on_start": Passed("true or false", False, needs=_VALIDATED),
}  # fmt: skip
# By the name of TRL's config class.
PASSED: dict[str, dict[str, Passed]] = {
    "SFTConfig": {
        **COMMON,
        "neftune_noise_alpha": Passed("number", None, "> 0"),
        "label_smoothing_factor": Passed(
            "number", 0.0, ">= 0 and < 1", needs=(Need("trainer.args.loss_type", ("nll",), "nll"),)
        ),
        "loss_type": Passed("words", "nll", words=("nll", "dft")),
    },
    "DPOConfig": {
        **COMMON,
        "disable_dropout": Passed("true or false", True, needs=(Need("adapter.dropout", "> 0", "0.05"),)),
        "ld_alpha": Passed(
            "number", None, ">= 0 and <= 1", needs=(Need("trainer.loss_type", _SUMS, "sigmoid"),)
        ),
        "f_divergence_type": Passed(
            "words", "reverse_kl", words=("reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"),
            needs=(Need("trainer.loss_type", _DIVERGENCES, "sigmoid"),),
        ),
        "f_alpha_divergence_coef": Passed("number", 0.5, "> -100 and < 100", needs=(_ALPHA,)),
        "use_weighting": Passed("true or false", False, needs=(Need("trainer.loss_type", _WEIGHTED, "sigmoid"),)),
        "discopop_tau": Passed("number", 0.05, "> 0", needs=(Need("trainer.loss_type", ("discopop",), "discopop"),)),
        "sync_ref_model": Passed("true or false", False, needs=_REFERENCE),
        "ref_model_mixup_alpha": Passed("number", 0.6, "> 0 and <= 1", needs=_SYNCED),
        "ref_model_sync_steps": Passed("whole", 512, ">= 1", needs=_SYNCED),
    },
    "KTOConfig": {
        **COMMON,
        "disable_dropout": Passed("true or false", True, needs=(Need("adapter.dropout", "> 0", "0.05"),)),
        "sync_ref_model": Passed("true or false", False, needs=_REFERENCE),
        "ref_model_mixup_alpha": Passed("number", 0.6, "> 0 and <= 1", needs=_SYNCED),
        "ref_model_sync_steps": Passed("whole", 512, ">= 1", needs=_SYNCED),
    },
    "RewardConfig": {
        **COMMON,
        "disable_dropout": Passed("true or false", True, needs=(Need("adapter.dropout", "> 0", "0.05"),)),
        "center_rewards_coefficient": Passed(
            "number", None, "> 0", needs=(Need("trainer.reward_loss", ("bradley_terry",), "bradley_terry"),)
        ),
    },
    "GRPOConfig": COMMON,
}  # fmt: skip

_ROWS = "edu_align makes the rows itself"
_READY = "the rows are ready before training, and are read from memory"
_BEST = "which step's weights stay is set by the keys trainer.keep and trainer.keep_metric"
_HUB = "a finished run is uploaded by python -m edu_align.export run=<run> export.push_to_hub=<owner/name>"
_RESUME = "the same command goes on with its run by itself; init_from=<run> starts from a finished one"
_FSDP = "sharding is set by hardware.sharding=fsdp"
_MODEL = "the model is loaded by the keys of model and hardware"
_NOTHING = "nothing reads it here"
_PACKING = "rows are packed by hardware.packing, without padding"
_TURNS = "the loss lies on the tutor's turns already"
_COMPILED = "each pass has a length of its own and would be compiled anew, and a reference model by other kernels"
_DTYPE = "hardware.dtype says how numbers are rounded"
_RECOMPUTED = "it changes no number; memory is saved by hardware.gradient_checkpointing"
_GRADIENTS = "how processes share gradients changes no number"
_CHECKPOINTS = "checkpoints are written by the keys trainer.save_steps and trainer.save_total_limit"
_NUMBERS = "numbers go where the keys of tracking say"
_LOG = "metrics.jsonl has every line, the first step's too, which is where a wrong setting shows"
_OUTPUT = "what a run prints is edu_align's"
_ENGINE = "replies are written by edu_align's own engine, drawn by trainer.temperature alone"
_LOSSES = "the loss is one of trainer.loss_type, as its paper has it"
_STEP = "a step's replies are written before it, all at once: trainer.batch_size says how many"
_SAMPLES = "samples.jsonl holds replies of the model, metrics.jsonl their rewards"

REFUSED = {
    "assistant_only_loss": _TURNS, "completion_only_loss": _TURNS,
    "packing": _PACKING, "packing_strategy": _PACKING, "eval_packing": _PACKING, "padding_free": _PACKING,
    "pad_to_multiple_of": "padding changes no number, and packed rows have none",
    "dataset_text_field": _ROWS, "dataset_kwargs": _ROWS, "dataset_num_proc": _ROWS, "shuffle_dataset": _ROWS,
    "remove_unused_columns": _ROWS, "length_column_name": _ROWS, "label_names": _ROWS,
    "dataloader_num_workers": _READY, "dataloader_pin_memory": _READY, "dataloader_persistent_workers": _READY,
    "dataloader_prefetch_factor": _READY, "dataloader_multiprocessing_context": _READY, "dataloader_in_order": _READY,
    "dataloader_drop_last": "a step is the same on every device and in any number of processes",
    "train_sampling_strategy": "the order of the rows is drawn by seed, and DPO keeps the pairs of a prompt together",
    "eos_token": "the end of a turn is the chat template's", "pad_token": "the tokenizer's own is used",
    "chat_template_path": "the template is set by model.chat_template",
    "model_init_kwargs": _MODEL, "trust_remote_code": _MODEL, "use_liger_kernel": _MODEL, "liger_kernel_config": _MODEL,
    "use_cache": "training keeps no cache",
    "router_aux_loss_coef": "it balances the experts of one forward pass, whose size is the hardware's",
    "optim_target_modules": "only GaLore and APOLLO read it, and edu_align is not tested with their packages",
    "load_best_model_at_end": _BEST, "metric_for_best_model": _BEST, "greater_is_better": _BEST,
    "resume_from_checkpoint": _RESUME, "ignore_data_skip": _RESUME, "enable_jit_checkpoint": _RESUME,
    "restore_callback_states_from_checkpoint": _RESUME, "save_on_each_node": _CHECKPOINTS,
    "push_to_hub": _HUB, "hub_always_push": _HUB, "hub_model_id": _HUB, "hub_private_repo": _HUB, "hub_revision": _HUB,
    "hub_strategy": _HUB, "hub_token": f"a token stands in the environment variable HF_TOKEN, and {_HUB}",
    "trackio_bucket_id": _NUMBERS, "trackio_space_id": _NUMBERS, "trackio_static_space_id": _NUMBERS,
    "fsdp": _FSDP, "fsdp_config": _FSDP, "deepspeed": _FSDP, "parallelism_config": _FSDP, "accelerator_config": _FSDP,
    "do_train": _NOTHING, "do_eval": _NOTHING, "do_predict": _NOTHING, "local_rank": _NOTHING,
    "prediction_loss_only": _NOTHING, "include_for_metrics": _NOTHING, "batch_eval_metrics": _NOTHING,
    "eval_do_concat_batches": _NOTHING, "eval_use_gather_object": _NOTHING, "skip_memory_metrics": _NOTHING,
    "eval_accumulation_steps": _NOTHING,
    "bf16_full_eval": _DTYPE, "fp16_full_eval": _DTYPE,
    "tf32": f"it would be set for all that this process trains and measures; {_DTYPE}",
    "full_determinism": "it would be set for all that this process trains and measures; on a CPU a run repeats to the "
    "bit as it is",
    "torch_compile": _COMPILED, "torch_compile_backend": _COMPILED, "torch_compile_mode": _COMPILED,
    "activation_offloading": _RECOMPUTED, "activation_checkpointing_kwargs": _RECOMPUTED,
    "gradient_checkpointing_kwargs": _RECOMPUTED,
    "torch_empty_cache_steps": "memory is freed where it runs out, and the step is then computed in smaller passes",
    "average_tokens_across_devices": "a step's loss is over the tokens of all processes",
    "ddp_find_unused_parameters": _GRADIENTS, "ddp_bucket_cap_mb": _GRADIENTS, "ddp_broadcast_buffers": _GRADIENTS,
    "ddp_static_graph": _GRADIENTS,
    "ddp_backend": "the processes are joined before TRL starts", "ddp_timeout": "the processes are joined before TRL "
    "starts",
    "logging_first_step": _LOG, "logging_nan_inf_filter": _LOG,
    "include_num_input_tokens_seen": "num_tokens in metrics.jsonl counts them",
    "log_level": _OUTPUT, "log_level_replica": _OUTPUT, "log_on_each_node": _OUTPUT, "disable_tqdm": _OUTPUT,
    "debug": "a training that diverges is stopped and explained",
}  # fmt: skip
# By the name of TRL's config class, what is refused there and passed in another one.
REFUSED_THERE = {
    "DPOConfig": {
        "neftune_noise_alpha": "the reference model would read other noise than the policy",
        "label_smoothing_factor": "its loss reads trainer.label_smoothing. Set that",
    },
    "KTOConfig": {
        "neftune_noise_alpha": "the reference model would read other noise than the policy",
        "label_smoothing_factor": "its loss reads none",
    },
    "RewardConfig": {
        "neftune_noise_alpha": "its noise is drawn for SFT's rows alone",
        "label_smoothing_factor": "TRL's reward trainer reads none",
    },
    "GRPOConfig": {
        "neftune_noise_alpha": "the reference model would read other noise than the policy",
        "label_smoothing_factor": "its loss reads none",
        "disable_dropout": "adapter.dropout=0 does the same",
        "generation_batch_size": _STEP, "steps_per_generation": _STEP,
        "chat_template_kwargs": "arguments of the template are set by model.template_args",
        **dict.fromkeys((
            "top_p", "top_k", "min_p", "repetition_penalty", "generation_kwargs", "cache_implementation",
            "use_transformers_continuous_batching", "transformers_continuous_batching_config",
            "use_transformers_paged", "use_vllm", "vllm_mode", "vllm_model_impl", "vllm_enable_sleep_mode",
            "vllm_structured_outputs_regex", "vllm_server_base_url", "vllm_server_host", "vllm_server_port",
            "vllm_server_timeout", "vllm_group_port", "vllm_gpu_memory_utilization", "vllm_max_model_length",
            "vllm_tensor_parallel_size", "vllm_importance_sampling_correction", "vllm_importance_sampling_mode",
            "vllm_importance_sampling_clip_max", "vllm_importance_sampling_clip_min", "vllm_importance_sampling_cap",
        ), _ENGINE),
        **dict.fromkeys((
            "delta", "sapo_temperature_neg", "sapo_temperature_pos", "vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg",
            "vespo_lambda_neg", "importance_sampling_level", "top_entropy_quantile", "entropy_coef",
            "use_adaptive_entropy", "entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target",
            "off_policy_mask_threshold", "use_bias_correction_kl", "mask_truncated_completions",
        ), _LOSSES),
        "multi_objective_aggregation": "rewards are weighed and added, and the sum is compared in its group",
        "sync_ref_model": "the reference model stays what it was",
        "ref_model_mixup_alpha": "the reference model stays what it was",
        "ref_model_sync_steps": "the reference model stays what it was",
        "max_tool_calling_iterations": "a tutor calls no tools",
        "cast_lm_head_to_fp32": _DTYPE, "ds3_gather_for_generation": _FSDP,
        **dict.fromkeys((
            "log_completions", "log_multimodal", "num_completions_to_print", "log_unique_prompts",
            "log_completions_hub_repo",
        ), _SAMPLES),
    },
}  # fmt: skip


def passed(config_class: str) -> dict[str, Passed]:
    """Options that are passed on to a config class of TRL's, by name."""
    return PASSED.get(config_class, COMMON)


def refused(config_class: str) -> dict[str, str]:
    """Options that are refused for a config class of TRL's: name -> why."""
    return REFUSED | REFUSED_THERE.get(config_class, {})


def typed(args: dict[str, Any]) -> dict[str, Any]:
    """`trainer.args` as TRL's fields are typed: torch refuses `adam_beta1=0` beside a beta2 of 0.999."""
    numbers = {name for options in PASSED.values() for name, option in options.items() if option.kind == "number"}
    return {name: float(value) if name in numbers and value is not None else value for name, value in args.items()}
