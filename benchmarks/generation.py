"""Replies to the suite's dialogues: our engine beside transformers' `generate` in batches; bfloat16 on this CPU.

The first 96 dialogues of `evaluation.suite.replies` (EDU_ALIGN_DIALOGUES) are answered greedily with at most 80
tokens, by the engine, in batches of 16 as the suite asked before there was one, and in static batches of 8, 32 and 96
of like length; and eight of them one at a time, as chat does. `ours` counts reply tokens a second, prompts included in
the time; every side runs in a process of its own. The data is read from the folder that EDU_ALIGN_DATA names, the model
is that of EDU_ALIGN_MODEL (smollm2): an option, a folder or a GGUF.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import require_data
from edu_align.runs.environment import machine, peak_memory_gib
from edu_align.utils.memory import prepare
from edu_align.utils.program import program

ON_REQUEST = True
PROMPTS, ALONE, NEW = int(os.environ.get("EDU_ALIGN_DIALOGUES", "96")), 8, 80
SIZES = {"batches_of_16": 16, "static_8": 8, "static_32": 32, "static_96": 96}
WAYS = ("engine", *SIZES, "chat", "chat_transformers")


def measure() -> list[dict[str, Any]]:
    """`ratio` is how many times as many tokens a second ours has. Errors: no EDU_ALIGN_DATA."""
    require_data("generation", "mrbench", "bridge", "mathdial")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            target = Path(folder) / f"{way}.json"
            subprocess.run([sys.executable, "-m", "benchmarks.generation", way, str(target)], check=True)
            found[way] = json.loads(target.read_text(encoding="utf-8"))
    best = max((way for way in SIZES if way.startswith("static")), key=lambda way: found[way]["rate"])
    rates = [("engine", best), ("engine", "batches_of_16"), ("chat", "chat_transformers")]
    rows = [_row("tokens_per_second", ours, peer, found, "rate", "tokens/s") for ours, peer in rates]
    return [*rows, *(_row("peak_memory", "engine", way, found, "memory", "GiB") for way in (best, "batches_of_16"))]


def _row(name: str, ours: str, peer: str, found: dict[str, Any], key: str, unit: str) -> dict[str, Any]:
    one, other = found[ours][key], found[peer][key]
    return {
        "name": f"generation_{ours}_{name}", "ours": one, "peer": other, "peer_name": f"transformers, {peer}",
        "ratio": other / one if unit == "GiB" else one / other, "unit": unit, "machine": machine(),
    }  # fmt: skip


@program
def main() -> None:
    way, target = sys.argv[1:]
    prepare("cpu", quantized=False)
    model, tokenizer, prompts = loaded()
    write = writer(way, model, tokenizer)
    write(prompts[:2])
    asked = prompts[:ALONE] if way.startswith("chat") else prompts
    began = time.monotonic()
    tokens = sum(map(len, write(asked)))
    rate = tokens / (time.monotonic() - began)
    print(f"edu_align: {way}: {tokens} tokens, {rate:.1f} a second", flush=True)
    Path(target).write_text(json.dumps({"rate": rate, "memory": peak_memory_gib()}), encoding="utf-8")


def loaded() -> tuple[Any, Any, list[list[int]]]:
    """The model, packed as the suite packs it, its tokenizer, and the prompts as token ids."""
    from omegaconf import OmegaConf

    from edu_align.config.compose import compose
    from edu_align.evaluation.suite.data import Settings, SuiteData
    from edu_align.evaluation.suite.replies import answered
    from edu_align.evaluation.suite.subject import LoadedSubject, Weights
    from edu_align.models.chat_template import chat_ids

    words = ["trainer=dpo", f"model={os.environ.get('EDU_ALIGN_MODEL', 'smollm2')}", "hardware=cpu"]
    words += ["hardware.dtype=bfloat16", "dataset=mrbench", f"data_root={os.environ['EDU_ALIGN_DATA']}"]
    config: Any = OmegaConf.to_object(compose(words))
    settings = Settings(split="validation", max_new_tokens=NEW)
    asked = answered(Asked(), SuiteData(config.dataset, config.data_root, config.outputs_root, settings), settings)  # type: ignore[arg-type]
    subject = LoadedSubject("base", Weights(config), settings.max_length)
    prompts = [chat_ids(subject.tokenizer, one.turns, reply_next=True) for one in asked.prompts[:PROMPTS]]
    return subject._model, subject.tokenizer, prompts


class Asked:
    """A subject that answers nothing: what it is asked is all that is wanted."""

    def replies(self, prompts: Sequence[Any], max_new_tokens: int) -> list[str]:
        return [""] * len(prompts)


def writer(way: str, model: Any, tokenizer: Any) -> Callable[[Sequence[Sequence[int]]], list[list[int]]]:
    """What writes replies, as token ids, in that way."""
    from edu_align.config.schema import GenerationConfig
    from edu_align.models import generation
    from edu_align.models.answers import answer

    generation.BATCH_TOKENS = 10**9  # a static batch stays whole
    settings = GenerationConfig(max_new_tokens=NEW)
    size = 1 if way.startswith("chat") else SIZES.get(way, PROMPTS)

    def ignored(many: int = 1) -> None:
        pass

    def written(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        ordered = sorted(prompts, key=len)
        parts = [ordered[i : i + size] for i in range(0, len(ordered), size)]
        if way in ("engine", "chat"):
            return [reply for part in parts for reply in answer(model, tokenizer, [], part, settings).replies]
        return [
            reply
            for part in parts
            for reply in generation.batched_replies(
                model, tokenizer, [(ids, None) for ids in part], settings=settings, done=ignored
            )
        ]

    return written


if __name__ == "__main__":
    main()
