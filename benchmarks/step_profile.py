"""What a training step of ours spends its time on: shares of its seconds by kind of work; smollm2 on this CPU.

torch's profiler watches two steps after the first. An operation's own time, without what it calls, counts for the
nearest kind above it. Kinds: `attention` (products included), `head_and_loss` (products included), `optimizer`,
`matrix_products` (of the decoder's layers), `element_wise` (norms, activations, sums, copies) and `python` (what no
operation covers). The profiler itself slows a step; shares, not seconds, are what to read.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.data import require_data
from edu_align.runs.environment import machine
from edu_align.utils.program import program

ON_REQUEST = True
TASKS = ("dpo_mrbench", "sft_mathdial")
STEPS = (2, 3)
# Kind -> what names of its operations, or of those above them, hold.
ABOVE = {
    "attention": ("BlockAttention", "scaled_dot_product"),
    "head_and_loss": ("LabelScores",),
    "optimizer": ("Optimizer.step",),
}
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn")
KINDS = (*ABOVE, "matrix_products", "element_wise", "python")


def measure() -> list[dict[str, Any]]:
    """A row for each kind and task; `peer` is none. Errors: no EDU_ALIGN_DATA."""
    require_data("step_profile", "mrbench", "mathdial")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.json"
        for task in TASKS:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.step_profile", task, str(target)],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            shares = json.loads(target.read_text(encoding="utf-8"))
            rows += [row(f"{task}_step_{kind}", share) for kind, share in shares.items()]
    return rows


def row(name: str, share: float) -> dict[str, Any]:
    return {
        "name": name, "ours": share, "peer": None, "peer_name": None, "ratio": None, "unit": "share of a step",
        "machine": machine(),
    }  # fmt: skip


@program
def main() -> None:
    from benchmarks import tasks, trainer_process

    name, target = sys.argv[1:]
    words = tasks.words_of(tasks.TASKS[name], "ours", STEPS[-1])
    with tempfile.TemporaryDirectory() as folder:
        _, _, trainer = trainer_process.build("ours", words, Path(folder))
        events, seconds = watched(trainer)
    Path(target).write_text(json.dumps(shares_of(events, seconds)), encoding="utf-8")


def watched(trainer: Any) -> tuple[Any, float]:
    """The profiler's events of STEPS, and the seconds that those steps took."""
    import time

    from torch.profiler import ProfilerActivity, profile
    from transformers import TrainerCallback

    profiler, clock = profile(activities=[ProfilerActivity.CPU]), [0.0, 0.0]

    class Watch(TrainerCallback):
        def on_step_begin(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
            if state.global_step + 1 == STEPS[0]:
                profiler.start()
                clock[0] = time.perf_counter()

        def on_step_end(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
            if state.global_step == STEPS[-1]:
                clock[1] = time.perf_counter()
                profiler.stop()

    trainer.add_callback(Watch())
    trainer.train()
    return profiler.events(), clock[1] - clock[0]


def shares_of(events: Any, seconds: float) -> dict[str, float]:
    """Kind -> share of `seconds`, from events with `name`, `cpu_parent` and `self_cpu_time_total` in microseconds."""
    spent = dict.fromkeys(KINDS, 0.0)
    for event in events:
        kind = kind_of(event)
        if kind is not None:
            spent[kind] += event.self_cpu_time_total / 1e6
    spent["python"] = max(0.0, seconds - sum(spent.values()))
    return {kind: time / seconds for kind, time in spent.items()}


def kind_of(event: Any) -> str | None:
    """The kind that an event's own time counts for; None for what is no operation and under none of the kinds."""
    above: Any = event
    while above is not None:
        for kind, names in ABOVE.items():
            if any(name in above.name for name in names):
                return kind
        above = above.cpu_parent
    if event.name.startswith(PRODUCTS):
        return "matrix_products"
    return "element_wise" if event.name.startswith("aten::") else None


if __name__ == "__main__":
    main()
