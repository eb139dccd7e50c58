#!/usr/bin/env bash
# TRL 1.16.0 (torch 2.13.0, transformers 5.23.0), DPO with an SFT term (loss_type=["sigmoid", "sft"]): the update depends on
# per_device_train_batch_size at one effective batch. The SFT term is the mean over the chosen tokens of a forward pass, and
# gradient accumulation gives every pass the same weight, so a token of a short reply counts more when passes are small.
#
# Why a good guess is wrong: transformers mended this for language model losses (num_items_in_batch, since 4.46), and DPO's own
# term is a mean over pairs, which accumulation keeps. So one expects that batch and accumulation are a choice of memory only.
# With the SFT term they choose another objective; nothing is logged about it.
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   sigmoid: one pass of 2 pairs against 2 passes of 1: the updates differ by 0.0%
#   sigmoid+sft: one pass of 2 pairs against 2 passes of 1: the updates differ by 76.8%
# What edu_align does: the term is a sum over the step's chosen tokens, divided once (edu_align/training/sft_term.py); a test
# holds it to 1e-12 in float64 for every cut (tests/training/test_objective.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0
"$folder/venv/bin/pip" install -q trl==1.16.0 transformers==5.23.0 datasets==5.2.0 accelerate==1.15.0
cd "$folder"
"$folder/venv/bin/python" - 2> errors <<'PY' | grep "one pass" || { cat errors; exit 1; }
import copy

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

words = {"<pad>": 0, "<eos>": 1, "<unk>": 2, **{f"w{i}": i for i in range(3, 40)}}
core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
rows = [
    {"prompt": "w3 w4 ", "chosen": "w5 w6", "rejected": "w7"},
    {"prompt": "w8 w9 ", "chosen": " ".join(f"w{i}" for i in range(10, 38)), "rejected": "w7 w8"},
]


def update(losses, batch, passes):
    torch.manual_seed(0)
    shape = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=40)
    model = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))
    before = torch.cat([p.detach().clone().ravel() for p in model.parameters()])
    arguments = DPOConfig(
        "out", loss_type=losses, loss_weights=[1.0] * len(losses), per_device_train_batch_size=batch,
        gradient_accumulation_steps=passes, max_steps=1, optim="sgd", learning_rate=0.1, lr_scheduler_type="constant",
        max_grad_norm=1e9, use_cpu=True, bf16=False, report_to=[], save_strategy="no", disable_tqdm=True, seed=0,
    )
    reference = copy.deepcopy(model)
    trainer = DPOTrainer(model, reference, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.train()
    return torch.cat([p.detach().ravel() for p in trainer.model.parameters()]) - before


found = {}
for losses in (["sigmoid"], ["sigmoid", "sft"]):
    whole, cut = update(losses, 2, 1), update(losses, 1, 2)
    far = float((whole - cut).norm() / whole.norm())
    found[len(losses)] = far
    print(f"{'+'.join(losses)}: one pass of 2 pairs against 2 passes of 1: the updates differ by {far:.1%}")
assert found[1] < 1e-4, "DPO's own term depends on the batch now: look again"
assert found[2] > 0.1, "the SFT term no longer depends on the batch: look again"
PY
