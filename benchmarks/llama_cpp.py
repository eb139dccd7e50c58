"""What llama.cpp itself makes of tokens: log-probabilities, and the tokens of a text.

Runs as a program of its own, in any interpreter that has the package xllamacpp: a question as JSON on stdin, the answer
as JSON on stdout. `ask` starts it, with the interpreter that EDU_ALIGN_LLAMA_CPP names or with this one.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

VARIABLE = "EDU_ALIGN_LLAMA_CPP"


def interpreter() -> str | None:
    """One that has llama.cpp's bindings; None where none is known."""
    return os.environ.get(VARIABLE) or (sys.executable if find_spec("xllamacpp") else None)


def ask(file: Path, threads: int = 1, **question: Any) -> Any:
    """`ids=[...], words=V`: the log-probabilities (T - 1, V) after each token but the last, in the order of their ids.

    `ids=[...], words=V, given=True`: only those (T - 1) of the token that follows. `texts=[...]`: the tokens of each,
    without any that llama.cpp would put around it. RuntimeError where the program fails.
    """
    program = interpreter()
    if program is None:
        raise RuntimeError(f"pip install xllamacpp, here or where {VARIABLE}=<path of a python> says")
    asked = json.dumps({"file": str(file.resolve()), "threads": threads, **question})
    code, here = f"import {Path(__file__).stem}; {Path(__file__).stem}.answer()", Path(__file__).parent
    done = subprocess.run([program, "-c", code], input=asked, capture_output=True, text=True, cwd=here)
    if done.returncode != 0:
        raise RuntimeError(f"llama.cpp ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def answer() -> None:
    """The other side of `ask`."""
    print(json.dumps(_serve(json.load(sys.stdin))))


def _serve(question: dict[str, Any]) -> Any:
    """Keys and values of attention are kept in float32, and none is thrown away behind a window."""
    import xllamacpp

    ids = question.get("ids", [])
    params = xllamacpp.CommonParams()
    params.model.path = question["file"]
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = max(len(ids) + 8, 64), 1, question["threads"]
    params.warmup, params.fit_params, params.swa_full = False, False, True
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    if "texts" in question:
        return [_tokens(server, text) for text in question["texts"]]
    (spoken,) = _tokens(server, "a")
    words = question["words"]
    if question.get("given"):
        return [_of_next(server, ids[:end], ids[end], words, spoken) for end in range(1, len(ids))]
    after = [_after(server, ids[:end], words, spoken) for end in range(1, len(ids))]
    return [[found[token] for token in range(words)] for found in after]


def _of_next(server: Any, ids: list[int], token: int, words: int, spoken: int) -> float:
    """The vocabulary as JSON takes seconds, so the likeliest tokens are asked for first."""
    found = _after(server, ids, min(words, 1000), spoken)
    return found[token] if token in found else _after(server, ids, words, spoken)[token]


def _after(server: Any, ids: list[int], words: int, spoken: int) -> dict[int, float]:
    """By token, as the model has them. The reply is always `spoken`: of an end or half a sign the server gives none."""
    bias = [[spoken, 1e4]]
    asked = {
        "prompt": ids,
        "n_predict": 1,
        "n_probs": words,
        "temperature": 0,
        "cache_prompt": True,
        "logit_bias": bias,
    }
    (choice,) = server.handle_completions(asked)["choices"]
    return {each["id"]: each["logprob"] for each in choice["logprobs"]["content"][0]["top_logprobs"]}


def _tokens(server: Any, text: str) -> list[int]:
    from urllib.request import Request, urlopen

    asked = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
    with urlopen(Request(f"{server.listening_address}/tokenize", asked, {"Content-Type": "application/json"})) as found:
        tokens: list[int] = json.load(found)["tokens"]
    return tokens
