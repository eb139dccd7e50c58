#!/usr/bin/env bash
# gguf 0.19.0 (numpy 2.4.6): weights that came out of a q4_1 file, changed a little by a training and written as q4_1 again, are
# the weights of before: 6% of the change is left. Of weights that never were in such a file the same change survives.
#
# Why a good guess is wrong: rounding is thought of as noise around the trained weights, which a change of any size shifts on
# average, and a merged adapter does survive in 4 bits where the base is a 16-bit one. Weights that were read out of a file in
# blocks lie on the levels of the new blocks exactly, and what moves them by less than half a step is rounded back.
# The larger q8_0 keeps it. q5_1, with more bits than q4_1, keeps it and moves the rest: the 16 levels lie between its 32
# (15 steps for 31), those below the middle of a block are all rounded down and those above it up, so weights near 0 come out
# larger. gguf's bytes are llama-quantize's (edu_align's tests/exporting/test_quantized.py holds them equal).
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   weights fresh, written in q4_1: 101% of the change is left, those near 0 come out 1.000 times as large
#   weights fresh, written in q4_0: 100% of the change is left, those near 0 come out 0.991 times as large
#   weights fresh, written in q5_1: 100% of the change is left, those near 0 come out 1.000 times as large
#   weights fresh, written in q8_0: 100% of the change is left, those near 0 come out 1.000 times as large
#   weights from q4_1, written in q4_1: 6% of the change is left, those near 0 come out 1.000 times as large
#   weights from q4_1, written in q4_0: 90% of the change is left, those near 0 come out 0.997 times as large
#   weights from q4_1, written in q5_1: 142% of the change is left, those near 0 come out 1.091 times as large
#   weights from q4_1, written in q8_0: 100% of the change is left, those near 0 come out 1.000 times as large
# What edu_align does: an export says how far each file is from the tutor over a text, and where it is nearer to the base
# (edu_align/exporting/checks.py). SmolLM2-135M from its q4_1 file, tuned and written as q4_1: 0.27 nats from the tutor, 0.003 from the base.
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


draw = np.random.default_rng(0)
fresh = draw.normal(0, 0.02, (512, 4096)).astype(np.float32)
change = (draw.normal(0, 1, (512, 8)) @ draw.normal(0, 1, (8, 4096))).astype(np.float32)  # as LoRA of rank 8
change *= 0.003 * fresh.std() / change.std()
left, growth = {}, {}
for name, weights in (("fresh", fresh), ("from q4_1", rounded(fresh, "Q4_1"))):
    middle = np.abs(weights) < weights.std() / 2
    for kind in ("Q4_1", "Q4_0", "Q5_1", "Q8_0"):
        trained = rounded(weights + change, kind)
        left[name, kind] = float(((trained - rounded(weights, kind)) * change).sum() / (change**2).sum())
        growth[name, kind] = float((trained * weights)[middle].sum() / (weights**2)[middle].sum())
        print(
            f"weights {name}, written in {kind.lower()}: {left[name, kind]:.0%} of the change is left, "
            f"those near 0 come out {growth[name, kind]:.3f} times as large"
        )
assert abs(left["from q4_1", "Q4_1"]) < 0.1 and left["fresh", "Q4_1"] > 0.8
assert growth["from q4_1", "Q5_1"] > 1.05 and abs(growth["fresh", "Q5_1"] - 1) < 0.01
PY
