"""What the evaluation suite of one model spends its seconds on; EDU_ALIGN_MODEL (smollm2) on this CPU.

`suite_reading`: passes of rows that enter, dialogues and replies to score; `suite_writing`: steps of replies; of both,
`products` (of the decoder's layers), `attention`, `memory` (keys and values kept) and `head`. `suite_prepare` is the
metrics run once to learn what they ask, and all that the model computes; `suite_encoding` is the tokenizer. `ours` is
seconds, `ratio` the share of `suite_whole`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.data import require_data
from edu_align.runs.environment import machine
from edu_align.utils.program import program

ON_REQUEST = True


def measure() -> list[dict[str, Any]]:
    """A row for each part; `peer` is the whole. Errors: no EDU_ALIGN_DATA."""
    require_data("suite_profile", "mrbench", "bridge", "mathdial", "gsm8k")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.json"
        subprocess.run([sys.executable, "-m", "benchmarks.suite_profile", str(target)], check=True)
        found: dict[str, float] = json.loads(target.read_text(encoding="utf-8"))
    whole = found["whole"]
    return [
        {
            "name": f"suite_{part}", "ours": seconds, "peer": whole, "peer_name": "the whole suite",
            "ratio": seconds / whole, "unit": "s", "machine": machine(),
        }
        for part, seconds in found.items()
    ]  # fmt: skip


class Clock:
    """Seconds by part; time inside a part that begins in another counts for both, under `outer_inner`, and inside one
    of the same name once.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.phase = ""
        self.running: set[str] = set()

    def watch(self, owner: Any, name: str, part: str, phase: bool = False) -> None:
        """Time every call of `owner.name`."""
        work: Callable[..., Any] = getattr(owner, name)

        def timed(*given: Any, **options: Any) -> Any:
            if part in self.running:
                return work(*given, **options)
            before = self.phase
            if phase:
                self.phase = part
            self.running.add(part)
            began = time.perf_counter()
            try:
                return work(*given, **options)
            finally:
                self.running.remove(part)
                label = part if phase or not before else f"{before}_{part}"
                self.seconds[label] += time.perf_counter() - began
                self.phase = before

        setattr(owner, name, timed)


@program
def main() -> None:
    import torch

    from edu_align.evaluate import evaluate_model
    from edu_align.evaluation.suite import asking, run, subject
    from edu_align.fused.inference import Product
    from edu_align.models import engine
    from edu_align.packing import attention

    clock = Clock()
    clock.watch(engine.Engine, "_enter", "reading", phase=True)
    clock.watch(engine.Engine, "_step", "writing", phase=True)
    clock.watch(attention, "block_inference", "attention")
    clock.watch(engine.Memory, "attend", "attention")
    clock.watch(engine.Memory, "write", "memory")
    clock.watch(engine, "head_logits", "head")
    clock.watch(engine.Engine, "_logits", "head")
    clock.watch(torch.nn.functional, "linear", "products")
    clock.watch(Product, "__call__", "products")
    clock.watch(asking, "dialogues", "asking")
    clock.watch(run, "prepare", "prepare")
    clock.watch(subject, "reply_rows", "encoding")
    with tempfile.TemporaryDirectory() as folder:
        model = os.environ.get("EDU_ALIGN_MODEL", "smollm2")
        given = {"model": model, "data_root": os.environ["EDU_ALIGN_DATA"], "outputs_root": folder}
        began = time.perf_counter()
        evaluate_model({**given, "evaluation.split": "validation", "hardware": "cpu"})
        clock.seconds["whole"] = time.perf_counter() - began
    for phase in ("reading", "writing"):  # the head's product is one of all
        clock.seconds[f"{phase}_products"] -= clock.seconds[f"{phase}_head"]
    Path(sys.argv[1]).write_text(json.dumps(clock.seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
