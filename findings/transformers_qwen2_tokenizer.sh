#!/usr/bin/env bash
# transformers 5.23.0 (tokenizers as it installs): AutoTokenizer does not read text as tokenizer.json says where config.json has
# model_type "qwen2". It takes the class Qwen2Tokenizer, which puts its own pre-tokenizer (numbers digit by digit) in the place of
# the file's, whatever `tokenizer_class` tokenizer_config.json names: the folder below was saved by transformers itself, as
# TokenizersBackend. With "llama" or "qwen3" the file's rule is kept, unless the config names Qwen2Tokenizer.
#
# Why a good guess is wrong: tokenizer.json is the whole tokenizer ("fast" files need no class), save_pretrained and
# from_pretrained of one release should agree, and the saved `tokenizer_class` should decide. Distilled and merged models bear
# model_type qwen2 with other tokenizers, so a trainer (AutoTokenizer), a server (tokenizer.json) and a GGUF converter cut
# numbers differently, without a word: the same text has 13 tokens here and 8 there, and a model trained on the one is asked
# with the other.
#
# Output seen on 2026-11-29 (x86-64, CPU):
#   llama  saved class TokenizersBackend loaded as TokenizersBackend tokens 8 tokenizer.json 8
#   qwen2  saved class TokenizersBackend loaded as Qwen2Tokenizer    tokens 13 tokenizer.json 8
#   qwen3  saved class TokenizersBackend loaded as TokenizersBackend tokens 8 tokenizer.json 8
# What edu_align does: it reads what tokenizer.json says in every program, the planner too, and names the difference at loading
# (edu_align/models/tokenizer.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.23.0
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import json
import tempfile
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

pairs = [f"{i}{j}" for i in range(10) for j in range(10)]
triples = [f"{pair}{k}" for pair in pairs for k in range(10)]
tokens = ["<|endoftext|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *pairs, *triples]
merges = [(pair[0], pair[1]) for pair in pairs] + [(three[:2], three[2]) for three in triples]
raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
in_threes = pre_tokenizers.Split(Regex(r"\p{N}{1,3}|\p{L}+|[^\p{L}\p{N}]+"), "isolated")
raw.pre_tokenizer = pre_tokenizers.Sequence([in_threes, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
raw.decoder = decoders.ByteLevel()

seen = {}
for kind in ("llama", "qwen2", "qwen3"):
    with tempfile.TemporaryDirectory() as place:
        PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=tokens[0], pad_token=tokens[0]).save_pretrained(place)
        AutoConfig.for_model(kind).save_pretrained(place)
        saved = json.loads(Path(place, "tokenizer_config.json").read_text())["tokenizer_class"]
        loaded = AutoTokenizer.from_pretrained(place)
        text = "2026 + 123456"
        ours = len(loaded(text, add_special_tokens=False)["input_ids"])
        file = len(Tokenizer.from_file(str(Path(place, "tokenizer.json"))).encode(text, add_special_tokens=False).ids)
        print(f"{kind:6} saved class {saved} loaded as {type(loaded).__name__:17} tokens {ours} tokenizer.json {file}")
        seen[kind] = (ours, file)
assert seen == {"llama": (8, 8), "qwen2": (13, 8), "qwen3": (8, 8)}, seen
PY
