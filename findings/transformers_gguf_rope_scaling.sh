#!/usr/bin/env bash
# transformers 5.23.0 (torch 2.13.0, gguf 0.19.0): from_pretrained(folder, gguf_file=...) drops rotary scaling. A Llama with
# linear scaling (`llama.rope.scaling.type` and `.factor`), or with Llama 3.1's factors (the tensor rope_freqs.weight), is
# read with plain positions, and generates and trains without a word. llama.cpp goes by both.
#
# Why a good guess is wrong: the reader takes everything else of the network from the same metadata (sizes, rope_theta, norms),
# refuses architectures that it does not know, and for gpt-oss reads rope.scaling.*. Short prompts still make sense, so a tuned
# Llama 3.1 or 3.2 looks right and is another model: here each position's distribution moves by up to the shares below.
# Its tokenizer is a token larger, too: <|endoftext|> is added where a byte-level vocabulary lacks it, as Llama 3's does, with a
# number that no row of the embedding stands for.
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   linear in the file, default as read; a distribution moves by up to 0.93
#   llama3 in the file, default as read; a distribution moves by up to 0.81
#   258 tokens in the vocabulary, 259 as read; the last is <|endoftext|>
# What edu_align does: positions are read from the header and from the tensor, llama.cpp's log-probabilities are the test
# (edu_align/models/gguf_config.py, tests/models/test_gguf_base.py), and tokens that are not in the file are left out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0
"$folder/venv/bin/pip" install -q transformers==5.23.0 gguf==0.19.0 accelerate==1.15.0
cd "$folder"
"$folder/venv/bin/python" - 2> errors <<'PY' | grep "in the file\|tokens" || { cat errors; exit 1; }
import torch
from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, LlamaConfig, LlamaForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SCALED = {
    "linear": {"rope_type": "linear", "rope_theta": 1e4, "factor": 8.0},
    "llama3": {
        "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
words = ["<|end_of_text|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ab"]


def write(kind, model):
    config, names = model.config, get_tensor_name_map(MODEL_ARCH.LLAMA, 2)
    writer = GGUFWriter(f"{kind}.gguf", "llama")
    writer.add_block_count(2)
    writer.add_context_length(131072)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(256)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(128)
    writer.add_rope_freq_base(SCALED[kind]["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(words)
    writer.add_token_types([3, *[1] * 257])
    writer.add_array("tokenizer.ggml.merges", ["a b"])
    writer.add_eos_token_id(0)
    if kind == "linear":
        writer.add_string("llama.rope.scaling.type", "linear")
        writer.add_float32("llama.rope.scaling.factor", 8.0)
    else:
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
        plain = 5e5 ** -(torch.arange(64) / 64)
        writer.add_tensor("rope_freqs.weight", (plain / scaled).float().numpy())
    for name, weights in model.state_dict().items():
        if name.split(".")[-2] in ("q_proj", "k_proj"):  # llama.cpp turns neighbouring rows
            weights = weights.view(2, 2, 64, 256).transpose(1, 2).reshape(256, 256)
        writer.add_tensor(names.get_name(name, (".weight",)), weights.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


ids = torch.randint(0, 258, (1, 2048), generator=torch.Generator().manual_seed(1))
for kind, rope in SCALED.items():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=258, hidden_size=256, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=131072, rope_parameters=rope,
    )
    model = LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    write(kind, model)
    source = {"pretrained_model_name_or_path": ".", "gguf_file": f"{kind}.gguf"}
    read = AutoModelForCausalLM.from_pretrained(**source, quantization_config=GgufConfig(dequantize=True)).eval()
    with torch.no_grad():
        moved = (model(ids).logits.softmax(-1) - read(ids).logits.softmax(-1)).abs().sum(-1).max() / 2
    print(f"{kind} in the file, {read.config.rope_parameters['rope_type']} as read; a distribution moves by up to {moved:.2f}")
    assert read.config.rope_parameters["rope_type"] == "default"
    assert moved > 0.01
tokenizer = AutoTokenizer.from_pretrained(**source)
print(f"{len(words)} tokens in the vocabulary, {len(tokenizer)} as read; the last is {tokenizer.convert_ids_to_tokens(258)}")
assert len(tokenizer) == 259
PY
