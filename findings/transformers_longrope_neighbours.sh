#!/usr/bin/env bash
# transformers 5.23.0: with rotary positions of type longrope (Phi-3 with 128k tokens, Phi-4-mini) a row's numbers depend on its
# neighbours in the batch. Whether the short or the long factors count is decided once a forward pass, by the largest position
# of all rows (`torch.max(position_ids) + 1` in modeling_rope_utils.py), and padding counts as positions too.
#
# Why a good guess is wrong: causal decoders with a correct attention mask give each row the same numbers in any batch, and the
# switch is described as "long factors if the sequence is larger than the original length", so one expects it a row. Instead a
# reply's log-probability under DPO or in an evaluation changes when one other row of its batch is over
# original_max_position_embeddings (4,096 for Phi-4-mini), and the same row scored alone, or with another batch size, differs:
# reference and policy scored in different batches do not cancel. It is no rounding.
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   a row of 40 tokens beside one of 64: a logit moves by 0.000 at most
#   a row of 40 tokens beside one of 65: a logit moves by 2.525 at most
# What edu_align does: it packs such a network only where trainer.max_length is at most that length, so that nothing switches, and
# says so (edu_align/packing/families.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0
cd "$folder"
"$folder/venv/bin/python" - 2> errors <<'PY' | grep "a row of" || { cat errors; exit 1; }
import torch
from transformers import AutoModelForCausalLM, Phi3Config, set_seed

set_seed(0)
short, long = [1.0] * 4, [1.0, 1.5, 2.5, 4.0]
config = Phi3Config(
    vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    pad_token_id=0, bos_token_id=1, eos_token_id=2, max_position_embeddings=256, original_max_position_embeddings=64,
    rope_parameters={"rope_type": "longrope", "rope_theta": 1e4, "short_factor": short, "long_factor": long},
)
model = AutoModelForCausalLM.from_config(config).eval()
with torch.no_grad():
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.15)


def logits(*lengths: int) -> torch.Tensor:
    """Of the row of 40 tokens, beside rows of `lengths` tokens, padded on the right with a correct mask."""
    rows = [[4 + i % 250 for i in range(length)] for length in (40, *lengths)]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask).logits[0, :40]


alone = logits()
moved = {length: (logits(length) - alone).abs().max().item() for length in (64, 65)}
for length, most in moved.items():
    print(f"a row of 40 tokens beside one of {length}: a logit moves by {most:.3f} at most")
assert moved[64] < 1e-4 < 0.1 < moved[65], moved
PY
