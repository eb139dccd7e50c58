#!/usr/bin/env bash
# TRL 1.16.0 (torch 2.13.0, transformers 5.23.0), DPO with max_length and truncation_mode="keep_end": the two replies of one
# pair are scored after DIFFERENT prompts. Each of prompt+chosen and prompt+rejected is cut to its own last max_length tokens,
# so the longer reply keeps less of the prompt.
#
# Why a good guess is wrong: a pair has one `prompt_ids`, the loss compares two replies to one prompt (Rafailov et al. 2023,
# equation 7), and earlier TRL cut the prompt once (`max_prompt_length`) before the replies were put behind it. So one expects
# the same context on both sides, and that prompts of one pair share their computation. In a row that is cut neither holds: the
# margin then also measures how much of the prompt each side could see. Nothing is logged about it.
#
# Output seen on 2026-11-28 (x86-64, CPU):
#   max_length=8 prompt of chosen   [3, 4, 5, 6] reply [21, 22, 23, 24]
#   max_length=8 prompt of rejected [5, 6] reply [31, 32, 33, 34, 35, 36]
#   the two prompts are equal: False
# What edu_align does: it cuts the rows itself and stores a prompt for each side (edu_align/training/dpo_rows.py), so that the
# preview shows both; `trainer.max_prompt_length` shortens the prompt once, before, so that both sides keep the same one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0
"$folder/venv/bin/pip" install -q trl==1.16.0 transformers==5.23.0 datasets==5.2.0 accelerate==1.15.0
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
from trl.trainer.dpo_trainer import DataCollatorForPreference

collator = DataCollatorForPreference(pad_token_id=0, max_length=8, truncation_mode="keep_end")
pair = {
    "prompt_ids": [1, 2, 3, 4, 5, 6],
    "chosen_ids": [21, 22, 23, 24],
    "rejected_ids": [31, 32, 33, 34, 35, 36],
}
batch = collator([pair])
prompts = []
for name, ids, real, reply in zip(
    ("chosen  ", "rejected"),
    batch["input_ids"].tolist(),
    batch["attention_mask"].tolist(),
    batch["completion_mask"].tolist(),
    strict=True,
):
    prompts.append([i for i, r, c in zip(ids, real, reply, strict=True) if r and not c])
    print(f"max_length=8 prompt of {name} {prompts[-1]} reply {[i for i, c in zip(ids, reply, strict=True) if c]}")
print(f"the two prompts are equal: {prompts[0] == prompts[1]}")
assert prompts == [[3, 4, 5, 6], [5, 6]], "TRL cuts otherwise now: look again"
PY
