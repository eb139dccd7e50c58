#!/usr/bin/env bash
# TRL 1.16.0 (torch 2.13.0, transformers 5.23.0), SFT with NEFTune (neftune_noise_alpha): the noise depends on how rows are
# laid out. With padding_free=True the rows of a batch are one row, and noise is scaled by the length of that row: with n
# rows of equal length it is smaller by sqrt(n). In a padded batch it is scaled by the longest row, for every row.
#
# Why a good guess is wrong: padding-free batches and packing are taken for another layout of the same computation (position
# ids keep rows apart in attention, and the loss is the same), and NEFTune's paper scales by the length of *a sequence*. So one
# expects that alpha means the same with both. It is another amount of regularisation; nothing is logged about it.
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   padding_free=False: 4 rows of 16 tokens as a batch of (4, 16): standard deviation of the noise of 0.0451; by the paper, for one row, 0.0451
#   padding_free=True: 4 rows of 16 tokens as a batch of (1, 64): standard deviation of the noise of 0.0226; by the paper, for one row, 0.0451
# What edu_align does: each row has noise by its own length, padded or packed (edu_align/packing/noise.py,
# tests/packing/test_noise.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0
"$folder/venv/bin/pip" install -q trl==1.16.0 transformers==5.23.0 datasets==5.2.0 accelerate==1.15.0
cd "$folder"
"$folder/venv/bin/python" - 2> errors <<'PY' | grep "noise of" || { cat errors; exit 1; }
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

words = {"<pad>": 0, "<eos>": 1, "<unk>": 2, **{f"w{i}": i for i in range(3, 40)}}
core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
LENGTH, ROWS, ALPHA, WIDTH = 16, 4, 5.0, 256
rows = [{"input_ids": [3 + (row + i) % 30 for i in range(LENGTH)]} for row in range(ROWS)]


def noise(padding_free):
    torch.manual_seed(0)
    shape = dict(hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=40)
    model = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))
    arguments = SFTConfig(
        "out", per_device_train_batch_size=ROWS, max_steps=1, neftune_noise_alpha=ALPHA, padding_free=padding_free,
        max_length=None,
        use_cpu=True, bf16=False, report_to=[], save_strategy="no", disable_tqdm=True, seed=0,
    )
    trainer = SFTTrainer(model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    found = []
    original = torch.nn.functional.embedding

    def looked_up(ids, weight, *rest, **more):
        plain = original(ids, weight, *rest, **more)
        found.append([plain.detach().clone()])
        return plain

    inside = model.model.layers[0].register_forward_pre_hook(
        lambda module, given, named: found[-1].append((given[0] if given else named["hidden_states"]).detach().clone()),
        with_kwargs=True,
    )
    torch.nn.functional.embedding = looked_up
    try:
        trainer.train()
    finally:
        torch.nn.functional.embedding = original
        inside.remove()
    plain, noisy = found[0]
    return tuple(plain.shape[:2]), float((noisy - plain).std())


spread = {}
for padding_free in (False, True):
    layout, spread[padding_free] = noise(padding_free)
    expected = ALPHA / (LENGTH * WIDTH * 3) ** 0.5  # of a uniform draw, for a row of LENGTH tokens
    print(
        f"padding_free={padding_free}: {ROWS} rows of {LENGTH} tokens as a batch of {layout}: standard deviation of the "
        f"noise of {spread[padding_free]:.4f}; by the paper, for one row, {expected:.4f}"
    )
ratio = spread[False] / spread[True]
assert abs(ratio - ROWS**0.5) < 0.1, f"padded and padding-free noise differ by {ratio:.2f} now: look again"
PY
