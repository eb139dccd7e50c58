#!/usr/bin/env bash
# TRL 1.16.0 (torch 2.13.0, transformers 5.23.0), DPO: label_smoothing is taken with every loss, and read by four of them
# (robust, exo_pair, aot, aot_unpaired). With the default loss_type="sigmoid" the loss and the update are those of 0.0, unsaid.
#
# Why a good guess is wrong: conservative DPO *is* the sigmoid loss with smoothed labels (Mitchell's note of 2023), and TRL's own
# sigmoid loss was that for two years: recipes with loss_type="sigmoid" and label_smoothing=0.1 are easy to find. They run
# today, and train plain DPO.
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   sigmoid: a label smoothing of 0.3 changes the update of three steps by 0.0%
#   robust: a label smoothing of 0.3 changes the update of three steps by 116.7%
# What edu_align does: trainer.label_smoothing is refused with a loss that does not read it (edu_align/config/losses.py), and
# each loss is held against TRL's (tests/training/test_trl_agreement.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0
"$folder/venv/bin/pip" install -q trl==1.16.0 transformers==5.23.0 datasets==5.2.0 accelerate==1.15.0
cd "$folder"
"$folder/venv/bin/python" - 2> errors <<'PY' | grep "label smoothing" || { cat errors; exit 1; }
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
    {"prompt": f"w{i} w4 ", "chosen": f"w5 w{i + 10}", "rejected": f"w7 w{i + 20}"} for i in range(3, 7)
]


def trained(loss, smoothing):
    torch.manual_seed(0)
    shape = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=40)
    model = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))
    before = torch.cat([p.detach().clone().ravel() for p in model.parameters()])
    arguments = DPOConfig(
        "out", loss_type=[loss], label_smoothing=smoothing, per_device_train_batch_size=4, max_steps=3, optim="sgd",
        learning_rate=0.5, lr_scheduler_type="constant", use_cpu=True, bf16=False, report_to=[], save_strategy="no",
        disable_tqdm=True, seed=0,
    )
    reference = copy.deepcopy(model)
    trainer = DPOTrainer(model, reference, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.train()
    return torch.cat([p.detach().ravel() for p in trainer.model.parameters()]) - before


found = {}
for loss in ("sigmoid", "robust"):
    plain, smoothed = trained(loss, 0.0), trained(loss, 0.3)
    found[loss] = float((plain - smoothed).norm() / plain.norm())
    print(f"{loss}: a label smoothing of 0.3 changes the update of three steps by {found[loss]:.1%}")
assert found["sigmoid"] == 0, "sigmoid reads label_smoothing now: look again"
assert found["robust"] > 0.01, "robust no longer reads label_smoothing: look again"
PY
