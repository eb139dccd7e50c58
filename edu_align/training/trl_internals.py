"""Every private member of other libraries that this package touches: what a new version of theirs may break.

`INTERNALS`: owner (a class, a module) -> {member: what it is touched for}. Members of an object may be set in its
methods only. tests/training/test_trl_internals.py looks each up in the installed versions, and looks for others.
"""

Members = dict[str, str]

INTERNALS: dict[str, Members] = {
    "transformers.Trainer": {
        "_get_grad_norm": "overridden: losses and gradient are looked at once a step",
        "_save_checkpoint": "overridden: a checkpoint is whole or not there, and holds what is trained only",
        "_save": "overridden: what is trained, as safetensors",
        "_get_output_dir": "overridden: a checkpoint is written beside its place first",
        "_load_from_checkpoint": "overridden: the reverse of `_save`",
        "_run_epoch": "overridden: a training that was complete takes no step more",
        "_finalize_training": "overridden: seconds of all attempts, and a last look at the weights",
        "_prepare_inputs": "called: a validation batch goes to the device before its KL term is estimated",
        "_get_learning_rate": "read for the message of a divergence",
        "_set_signature_columns_if_needed": "overridden and called: columns that stay in a batch",
        "_signature_columns": "extended by our columns",
        "_tr_loss": "kept and put back: the loss since the last line of the log",
        "_total_loss_scalar": "kept and put back: the loss in all",
        "_globalstep_last_logged": "kept and put back: the step of the last line of the log",
        "_initial_global_step": "set: losses and times are those of all attempts",
    },
    "trl.SFTTrainer": {
        "_metrics": "kept and put back: numbers since the last line of the log",
        "_total_train_tokens": "kept and put back: tokens so far",
    },
    "trl.DPOTrainer": {
        "_metrics": "kept and put back: numbers since the last line of the log",
        "_total_train_tokens": "kept and put back: tokens so far",
        "_prepare_dataset": "overridden: our rows are tokenized already",
        "_precompute_ref_logps": "overridden: cached, and without a copy of an adapter that adds nothing",
        "_compute_loss": "overridden: a loss of our own beside TRL's",
    },
    "trl.KTOTrainer": {
        "_metrics": "kept and put back: numbers since the last line of the log",
        "_total_train_tokens": "kept and put back: tokens so far",
        "_prepare_dataset": "overridden: our rows are tokenized and mismatched already",
        "_precompute_ref_logps": "overridden: cached, and without a copy of an adapter that adds nothing",
        "_compute_loss": "overridden: the KL term is the step's",
        "_compute_kl_logps": "overridden and called: the KL term is the step's",
    },
    "trl.trainer.kto_trainer": {
        "hash_module": "replaced while a trainer is built: our key stands in for a hash of all weights"
    },
    "trl.RewardTrainer": {
        "_metrics": "kept and put back: numbers since the last line of the log; renamed as DPO's",
        "_total_train_tokens": "kept and put back: tokens so far",
        "_prepare_dataset": "overridden: our rows are tokenized already",
    },
    "trl.GRPOTrainer": {
        "_metrics": "kept and put back: numbers since the last line of the log",
        "_total_train_tokens": "kept and put back, though TRL counts nothing in it",
        "_generate_and_score_completions": "overridden and called: a step's replies are written before it",
        "_tokenize_prompts": "overridden: prompts are tokenized and cut already",
        "_generate_single_turn": "overridden: our engine writes the replies",
        "_get_per_token_logps_and_entropies": "overridden: the reference is scored in passes that fit",
        "_prepare_inputs": "overridden: replies are written already",
        "_compute_loss": "overridden: a loss over the tokens of a step is not divided by its passes",
    },
    "trl.trainer.dpo_trainer": {
        "hash_module": "replaced while a trainer is built: our key stands in for a hash of all weights"
    },
    "trl.trainer.utils": {
        "_use_triton": "replaced: the head scores labelled positions only on every device",
        "_ChunkedLogProbFunction": "replaced: equal positions are scored once",
    },
    "datasets.Dataset": {
        "_get_cache_file_path": "replaced: TRL's file of reference log-probabilities gets a folder of its own"
    },
    "transformers.PretrainedConfig": {
        "_attn_implementation": "read and set: attention that reads forests",
        "_name_or_path": "set: a model that was saved and is trained on has no folder",
    },
    "transformers.core_model_loading": {
        "_weight_conversions": "taken off a model: the language model of a larger one is saved by its own names"
    },
    "peft.tuners.tuners_utils.BaseTunerLayer": {
        "_cast_input_dtype": "replaced: autocast casts the inputs of adapters, where it is on"
    },
    "torch.Tensor": {"_version": "read: whether a shared weight was written to"},
    "torch.ops.mkldnn": {
        "_is_mkldnn_bf16_supported": "asked: whether weights can be packed for oneDNN",
        "_reorder_linear_weight": "called: a weight in oneDNN's own order, once",
        "_linear_pointwise": "called: a product with such a weight",
    },
    "torch": {"_softmax_backward_data": "called: the gradient of a softmax from its result"},
}
