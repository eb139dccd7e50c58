#!/usr/bin/env bash
# transformers 5.23.0 with bitsandbytes 0.50.2 on a CPU: loading in 4 bits (nf4) with glibc told to keep freed memory
# (MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000, a setting that spares training on a CPU the mapping of new pages) holds about
# twice what it holds without, for good: four times the quantized weights.
#
# Why a good guess is wrong: tensors are read and quantized one at a time, so one expects the quantized model plus one whole
# tensor, and kept memory to be handed out again: that is what it is kept for. But each whole tensor is freed after its 4-bit copy was
# made, the copies lie in the gaps, and the next tensor of the same size fits into none of them, so the heap grows with nearly every
# tensor; nothing can be trimmed, because small live tensors lie at its top. Training does the same with the weights that each product
# widens and drops.
#
# Output seen on 2026-11-30 (x86-64 without AVX-512, CPU, glibc; the rest of what is held are the libraries):
#   usual: 1.84 GiB held after loading, 0.84 of them weights
#   kept: 3.50 GiB held after loading, 0.84 of them weights
# What edu_align does: it sets this at run time (mallopt), and not where weights are in 4 bits (edu_align/utils/memory.py, return_freed).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 bitsandbytes==0.50.2 accelerate==1.15.0
cd "$folder"
cat > load.py <<'PY'
import sys

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, MistralConfig

if sys.argv[1] == "make":
    config = MistralConfig(num_hidden_layers=8, vocab_size=1000)  # the layers of a 7B model, eight of them
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained("model", max_shard_size="500MB")
    sys.exit()
four_bits = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32
)
model = AutoModelForCausalLM.from_pretrained(
    "model", quantization_config=four_bits, device_map={"": "cpu"}, dtype=torch.float32
)
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 2**20
own = sum(each.nbytes for each in [*model.parameters(), *model.buffers()]) / 2**30
print(f"{sys.argv[1]}: {held:.2f} GiB held after loading, {own:.2f} of them weights")
PY
run() { "$folder/venv/bin/python" load.py "$1" 2> errors || { cat errors >&2; exit 1; }; }
run make
usual=$(run usual)
kept=$(MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 run kept)
printf '%s\n%s\n' "$usual" "$kept"
awk -v a="$(cut -d' ' -f2 <<< "$usual")" -v b="$(cut -d' ' -f2 <<< "$kept")" 'BEGIN { exit !(b > 1.6 * a) }'
