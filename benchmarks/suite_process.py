"""The suite of one model by the package on the path, which may be an older one; `suite.measured` calls `main`."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edu_align.evaluation.suite.data as data
import edu_align.evaluation.suite.subject as suite
from edu_align.evaluate import evaluate_model

spent = {"generation": 0.0, "scoring": 0.0, "tokens": 0, "replies": 0}


def watch() -> None:
    """Count what models are asked: by the one function that answers now, or by the two that there were before."""
    if hasattr(suite, "answer"):
        answer = suite.answer

        def counted(model: Any, tokenizer: Any, families: Any, prompts: Any, *rest: Any) -> Any:
            found = answer(model, tokenizer, families, prompts, *rest)
            spent["replies"] += sum(map(len, families))
            spent["tokens"] += sum(map(len, found.replies))
            spent["scoring"] += found.scoring
            spent["generation"] += found.writing
            return found

        suite.answer = counted
        return
    subject: Any = suite.LoadedSubject

    def timed(name: str, kind: str, count: Callable[[Any, Any], tuple[str, int]]) -> None:
        work = getattr(subject, name)

        def watched(self: Any, *given: Any) -> Any:
            _ = self._model  # loading is no part of it
            began = time.perf_counter()
            found = work(self, *given)
            spent[kind] += time.perf_counter() - began
            unit, many = count(self, found)
            spent[unit] += many
            return found

        setattr(subject, name, watched)

    def tokens(self: Any, texts: Any) -> tuple[str, int]:
        return "tokens", sum(len(self.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)

    timed("_score", "scoring", lambda self, found: ("replies", sum(map(len, found))))
    timed("_replies", "generation", tokens)


def hold_out(sides: dict[str, str]) -> None:
    """Let the split be `sides`, by source and id: an older package cuts it otherwise. What it alone has is training."""
    split: Any = data.SuiteData
    split._hashed = lambda self, record: sides.get(f"{record.source} {record.id}", "train")


def peak_memory() -> float:
    """GiB that the process held at most, as Linux counts them."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").split("\n")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def main(target: str, items: str, *words: str) -> None:
    """Measure the model that `words` name on the split in the file `items`, and write what it took to `target`."""
    watch()
    hold_out(json.loads(Path(items).read_text(encoding="utf-8")))
    began = time.perf_counter()
    rows = evaluate_model(dict(word.split("=", 1) for word in words))
    seconds = time.perf_counter() - began
    result = {
        "suite_seconds": seconds,
        "generation_tokens_per_second": spent["tokens"] / spent["generation"],
        "scoring_replies_per_second": spent["replies"] / spent["scoring"],
        "suite_peak_memory": peak_memory(),
        "spent": spent,
        "rows": rows,
    }
    Path(target).write_text(json.dumps(result), encoding="utf-8")
