#!/usr/bin/env bash
# transformers 5.23.0 with bitsandbytes 0.50.2 and safetensors on a CPU: a model that was loaded in 4 bits (nf4) still holds its
# 16-bit files as resident memory, all of them, for as long as it lives.
#
# Why a good guess is wrong: each whole tensor is dropped once its 4-bit copy is made, so one expects the quantized weights to stay
# resident and nothing of the files. But on a CPU a tensor that is read is a view of the mapped file, and what is not quantized (the
# norms, some kilobytes in each layer) stays such a view: one of them keeps its whole file mapped, with every page that quantizing has
# read. A 7B model then counts 14 GB more than it has, in `top`, in ru_maxrss and against a limit on resident memory; the
# system can take the pages back, so `free` does not show them. Copying those small tensors lets go of the files.
#
# Output seen on 2026-11-30 (x86-64, CPU, Linux):
#   loaded: 1.72 GiB of files resident beside 0.42 of weights, 0.09 after copying what is not in 4 bits
# What edu_align does: it copies them after loading (edu_align/models/weights.py, _let_go_of_files).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 bitsandbytes==0.50.2 accelerate==1.15.0 safetensors==0.8.0
cd "$folder"
cat > load.py <<'PY'
import sys

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, MistralConfig

if sys.argv[1] == "make":
    config = MistralConfig(num_hidden_layers=4, vocab_size=1000)  # the layers of a 7B model, four of them
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained("model", max_shard_size="500MB")
    sys.exit()
four_bits = BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
)
model = AutoModelForCausalLM.from_pretrained(
    "model", quantization_config=four_bits, device_map={"": "cpu"}, dtype=torch.bfloat16
)


def of_files():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssFile")) / 2**20


loaded = of_files()
for weight in model.parameters():
    if not hasattr(weight, "quant_state"):
        weight.data = weight.data.clone()
own = sum(each.nbytes for each in [*model.parameters(), *model.buffers()]) / 2**30
print(f"loaded: {loaded:.2f} GiB of files resident beside {own:.2f} of weights, {of_files():.2f} after copying what is not in 4 bits")
PY
"$folder/venv/bin/python" load.py make 2> errors || { cat errors >&2; exit 1; }
seen=$("$folder/venv/bin/python" load.py load 2> errors) || { cat errors >&2; exit 1; }
echo "$seen"
awk -v a="$(cut -d' ' -f2 <<< "$seen")" -v b="$(cut -d' ' -f11 <<< "$seen")" 'BEGIN { exit !(a > b + 1) }'
