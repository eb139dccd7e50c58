#!/usr/bin/env bash
# transformers 5.23.0 with gguf 0.19.0: reading a model and its tokenizer from one GGUF parses the file three times, and makes the
# table of all tensor names once for each module of the network.
#
# Why a good guess is wrong: one expects most of the time to be dequantizing, which is fast. The tokenizer, the config and the weights
# each build a reader of their own, which walks through every token and merge of the vocabulary in Python, and the map from the
# network's names to the file's is gathered module by module, with a new table of the whole architecture at each. For a model of
# 135 million parameters with 49,152 tokens in 30 layers that takes longer than dequantizing.
#
# Output seen on 2026-11-30 (x86-64, CPU, Linux):
#   3 files parsed, 59 name tables made, 59 modules
# What edu_align does: both are kept while a folder is made of a file (edu_align/models/gguf_base.py, _read_once).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.23.0 tokenizers==0.23.3 gguf==0.19.0 accelerate==1.15.0 protobuf==7.36.2
cd "$folder"
cat > count.py <<'PY'
import gguf
import numpy as np
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

LAYERS, WIDTH, INNER = 4, 32, 64
counts = {"files parsed": 0, "name tables made": 0}
parse, names = gguf.GGUFReader, gguf.get_tensor_name_map


def counted(what, work):
    def call(*given, **options):
        counts[what] += 1
        return work(*given, **options)

    return call


def write(path):
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁a", "▁b"]
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(128)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(INNER)
    out.add_head_count(4)
    out.add_head_count_kv(4)
    out.add_rope_dimension_count(WIDTH // 4)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(len(words))
    out.add_tokenizer_model("llama")
    out.add_token_list(words)
    out.add_token_scores([0.0] * len(words))
    out.add_token_types([2, 3, 3, *[6] * 256, 1, 1])
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    shapes = {"token_embd": (len(words), WIDTH), "output": (len(words), WIDTH), "output_norm": (WIDTH,)}
    for i in range(LAYERS):
        square = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
        wide = {"ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        norms = dict.fromkeys(("attn_norm", "ffn_norm"), (WIDTH,))
        shapes |= {f"blk.{i}.{name}": shape for name, shape in (square | wide | norms).items()}
    for name, shape in shapes.items():
        out.add_tensor(f"{name}.weight", np.ones(shape, dtype=np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


write("model.gguf")
gguf.GGUFReader, gguf.get_tensor_name_map = counted("files parsed", parse), counted("name tables made", names)
source = {"pretrained_model_name_or_path": ".", "gguf_file": "model.gguf"}
tokenizer = AutoTokenizer.from_pretrained(**source)
model = AutoModelForCausalLM.from_pretrained(**source, quantization_config=GgufConfig(dequantize=True), dtype="float32")
modules = len(list(model.modules()))
print(f"{counts['files parsed']} files parsed, {counts['name tables made']} name tables made, {modules} modules")
PY
seen=$("$folder/venv/bin/python" count.py 2> errors) || { cat errors >&2; exit 1; }
echo "$seen"
[ "$seen" = "3 files parsed, 59 name tables made, 59 modules" ]
