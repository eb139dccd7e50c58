#!/usr/bin/env bash
# TRL 1.16.0, PEFT 0.21.2, transformers 5.23.0: DPOTrainer(peft_config=LoraConfig(init_lora_weights="pissa")) does not begin at
# ln 2. The reference log-probabilities are computed with the adapter turned off, and PEFT has taken PiSSA's start out of the base
# by then: the reference model is the base without its largest singular directions, not the policy's start.
#
# Why a good guess is wrong: "adapter off" is the base for LoRA, rsLoRA and DoRA, the paper's model begins as the base, and TRL
# keeps a copy of an adapter that a PeftModel brings, so that the same config wrapped by hand (get_peft_model) begins at ln 2.
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   init_lora_weights=True  peft_config     first loss 0.6931
#   init_lora_weights=True  wrapped by hand first loss 0.6931
#   init_lora_weights=pissa peft_config     first loss 0.016
#   init_lora_weights=pissa wrapped by hand first loss 0.6931
# What edu_align does: the base stays untouched, and PiSSA's start is taken away beside it (edu_align/models/principal.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 trl==1.16.0 peft==0.21.2 transformers==5.23.0
cd "$folder"
"$folder/venv/bin/python" - 2>/dev/null <<'PY'
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

words = ["<pad>", "<eos>", *"abcdefghijklmnop"]
raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="a"))
raw.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>")
rows = Dataset.from_list([{"prompt": "a b c", "chosen": " d e f g", "rejected": " h i j k"}] * 8)


def first_loss(start, wrapped):
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), initializer_range=0.2, **shape))
    lora = LoraConfig(r=8, target_modules="all-linear", init_lora_weights=start, task_type="CAUSAL_LM")
    args = DPOConfig(output_dir="out", max_steps=1, logging_steps=1, per_device_train_batch_size=8, report_to=[], use_cpu=True,
                     bf16=False, disable_tqdm=True, beta=1.0)
    given = {"model": get_peft_model(model, lora)} if wrapped else {"model": model, "peft_config": lora}
    trainer = DPOTrainer(**given, args=args, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    return round(next(line["loss"] for line in trainer.state.log_history if "loss" in line), 4)


seen = {(start, wrapped): first_loss(start, wrapped) for start in (True, "pissa") for wrapped in (False, True)}
for (start, wrapped), loss in seen.items():
    print(f"init_lora_weights={start!s:5} {'wrapped by hand' if wrapped else 'peft_config':15} first loss {loss}")
assert abs(seen[True, False] - 0.6931) < 0.001 and abs(seen["pissa", True] - 0.6931) < 0.001, seen
assert abs(seen["pissa", False] - 0.6931) > 0.05, seen
PY
