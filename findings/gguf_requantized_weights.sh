#!/usr/bin/env bash
# gguf 0.19.0 (numpy 2.4.6): weights that were read out of a q4_1 file and are written as q5_1 lose more than weights that
# never were in one, and what they lose is no noise: those near 0 come out a tenth larger, all of them.
#
# Why a good guess is wrong: more bits are thought to be safe, so that a model which was trained from a q4_1 file and is
# exported as q5_1 should lose next to nothing. The 16 levels of a block lie between the 32 of the new one (15 steps for
# 31), and every level below the middle is rounded down, every level above it up: away from the middle, where most weights
# are. In q4_1 again they would be what they were, and q5_0 and q8_0 round to both sides. gguf's bytes are llama-quantize's
# (edu_align's tests/exporting/test_quantized.py holds them equal), so llama.cpp does the same with such a file made whole.
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   weights fresh, written in q4_1: error 7.8% of their size, those near 0 come out 1.000 times as large
#   weights fresh, written in q5_1: error 3.8% of their size, those near 0 come out 1.000 times as large
#   weights fresh, written in q5_0: error 4.3% of their size, those near 0 come out 1.000 times as large
#   weights fresh, written in q8_0: error 0.5% of their size, those near 0 come out 1.000 times as large
#   weights from q4_1, written in q4_1: error 0.0% of their size, those near 0 come out 1.000 times as large
#   weights from q4_1, written in q5_1: error 4.5% of their size, those near 0 come out 1.094 times as large
#   weights from q4_1, written in q5_0: error 4.2% of their size, those near 0 come out 0.999 times as large
#   weights from q4_1, written in q8_0: error 0.5% of their size, those near 0 come out 1.000 times as large
# What edu_align does: an export says how far each file is from the tutor over a text, instead of trusting the number of bits
# (edu_align/exporting/distance.py); with SmolLM2-135M from its q4_1 file the numbers are in experiments/few_bits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gguf==0.19.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize


def rounded(weights, kind):
    return dequantize(quantize(weights, Type[kind]), Type[kind])


fresh = np.random.default_rng(0).normal(0, 0.02, (512, 4096)).astype(np.float32)
read = rounded(fresh, "Q4_1")  # as from a file in q4_1
errors, growth = {}, {}
for name, weights in (("fresh", fresh), ("from q4_1", read)):
    middle = np.abs(weights) < weights.std() / 2
    for kind in ("Q4_1", "Q5_1", "Q5_0", "Q8_0"):
        found = rounded(weights, kind)
        errors[name, kind] = float(np.sqrt(((found - weights) ** 2).mean()) / weights.std())
        growth[name, kind] = float((found * weights)[middle].sum() / (weights**2)[middle].sum())
        print(
            f"weights {name}, written in {kind.lower()}: error {errors[name, kind]:.1%} of their size, "
            f"those near 0 come out {growth[name, kind]:.3f} times as large"
        )
assert errors["from q4_1", "Q5_1"] > 10 * errors["from q4_1", "Q4_1"]
assert errors["from q4_1", "Q5_1"] > errors["fresh", "Q5_1"]
assert growth["from q4_1", "Q5_1"] > 1.05 and abs(growth["fresh", "Q5_1"] - 1) < 0.01
PY
