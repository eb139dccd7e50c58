"""Kill commands on the tiny model at random moments, give them again, and compare what they leave.

Sharded runs are killed in one of their processes or in all, and go on with as many or with another number of them.
"""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from random import Random

from torture.outcome import Apart, apart, differing, outcome_of
from torture.process import NAMES, START, Attempt, Kill, attempt

WORDS = (
    "model=tiny", "dataset=edu_tutor", "dataset.size=60", "dataset.max_train_records=12", "dataset.max_eval_records=2",
    "tracking=off", "hardware=cpu", "hardware.dtype=float32", "hardware.threads=1", "hardware.per_device_batch_size=4",
    "hardware.eval_batch_size=4", "trainer.batch_size=4", "trainer.max_steps=8", "trainer.save_steps=2",
    "trainer.eval_steps=4", "trainer.learning_rate=1e-3", "evaluation.max_groups=4", "evaluation.samples=2",
    "evaluation.max_new_tokens=4", "evaluation.bootstrap_samples=100",
)  # fmt: skip
NAMED = "run_name=it"
SYNCED = (
    "trainer=dpo", "adapter=full", "trainer.precompute_reference=false", "+trainer.args.sync_ref_model=true",
    "+trainer.args.ref_model_sync_steps=3",
)  # fmt: skip
SHORT = ("trainer=dpo", "trainer.max_steps=2", "evaluation.enabled=false")
LORA = ("adapter.rank=4", "adapter.alpha=8", "adapter.dropout=0.1")
GONE_ON = re.compile(r"going on from \S*/checkpoint-(\d+)")
FINISHED = "this run is finished already"  # it was killed after its end, and nothing is left to do
STEP = re.compile(r'"step": (\d+)')


@dataclass
class Tally:
    """What happened to one configuration. `lost`: steps that were computed and had to be computed again.

    `program` is what is killed, with `words`; the run that it works on is trained with `before`. `processes`: how many
    begin a run, and how many go on with it after a kill. Where those are not the same, its numbers agree and not its
    bytes: `apart` says how far.
    """

    name: str
    words: tuple[str, ...]
    program: str = "train"
    before: tuple[str, ...] = ()
    processes: tuple[int, int] = (1, 1)
    kills: int = 0
    together: int = 0  # of them, those of all processes
    resumes: int = 0
    damaged: int = 0
    lost: int = 0
    differing: int = 0
    apart: Apart = field(default_factory=Apart)
    runs: int = 0
    hit: Counter[str] = field(default_factory=Counter)


def configurations() -> list[Tally]:
    """SFT and DPO x packing on and off x LoRA and full fine-tuning; a synced reference; sweep, evaluation, export."""
    found = []
    for trainer, packing, adapter in product(("sft", "dpo"), ("on", "off"), ("lora", "full")):
        words = (*WORDS, NAMED, f"trainer={trainer}", f"hardware.packing={packing}", f"adapter={adapter}")
        found.append(Tally(f"{trainer} {adapter} packing={packing}", words + (LORA if adapter == "lora" else ())))
    run = (*WORDS, NAMED, *SHORT, *LORA)
    return [
        *found,
        Tally("dpo full, synced reference", (*WORDS, NAMED, *SYNCED)),
        Tally("sweep of two", ("-m", *WORDS, *SHORT, *LORA, "trainer.save_steps=1", "trainer.learning_rate=1e-3,2e-3")),
        Tally("evaluate", ("run=it", "evaluation.metrics=[pair_accuracy_own,corpus]"), "evaluate", run),
        Tally("export", ("run=it", "export.gguf=f32"), "export", run),
    ]


CHANGES = ((2, 1), (1, 2), (2, 4))  # processes of sharded runs, before and after a kill
CHANGING = (("sft", "full"), ("dpo", "lora"), ("dpo", "full"))  # what goes on with another number


def sharded_configurations() -> list[Tally]:
    """SFT and DPO x LoRA and full fine-tuning in two processes; of those, an adapter, which is whole everywhere, and
    sharded weights resumed by another number. Dropout draws other numbers there, and is left out.
    """
    found = []
    for trainer, adapter in product(("sft", "dpo"), ("lora", "full")):
        words = (*WORDS, NAMED, f"trainer={trainer}", f"adapter={adapter}", "trainer.average_last=0.5")
        found.append(Tally(f"{trainer} {adapter}", words + (LORA if adapter == "lora" else ()), processes=(2, 2)))
        if (trainer, adapter) in CHANGING:
            words += LORA[:-1] if adapter == "lora" else ()
            found += [Tally(f"{trainer} {adapter}", words, processes=change) for change in CHANGES]
    return found


def torture(
    tallies: list[Tally], kills: int, seed: int, place: Path, say: Callable[[str], None] = print
) -> list[Tally]:
    """`kills` kills in all, dealt out to the configurations in turn; files go below `place`.

    Errors: AssertionError where an attempt ends by anything but its end or the kill.
    """
    for index, tally in enumerate(tallies):
        share = kills // len(tallies) + (index < kills % len(tallies))
        if share:
            _one(tally, share, Random(f"{seed} {tally.name}"), place / str(index))
            say(f"torture: {tally.name}: {tally.kills} kills ({moments(tally.hit)}), {tally.differing} bytes differ")
    return tallies


def moments(hit: Counter[str]) -> str:
    return ", ".join(f"{name} {hit[name]}" for name in NAMES if hit[name])


def _one(tally: Tally, kills: int, draw: Random, place: Path) -> None:
    place.mkdir(parents=True)
    ready = place / "ready"
    if tally.before:
        trained = attempt("train", _with(tally.before, ready), place / "log", None)
        assert trained.code == 0, trained.said
    root, many = _copy(ready, place / "whole"), tally.processes[0]
    whole = attempt(tally.program, _with(_sharded(tally, many), root), place / "log", None, many)
    assert whole.code == 0, whole.said
    expected = outcome_of(place / "whole")
    names = list(dict.fromkeys([START, *(name for name, _ in whole.phases)]))
    order = [phase for _ in range(-(-kills // len(names))) for phase in draw.sample(names, len(names))]
    pending = [_moment(phase, whole, draw, many) for phase in order[:kills]]
    while pending:
        tally.runs += 1
        root = _copy(ready, place / f"killed-{tally.runs}")
        while not _ended(tally, root, place / "log", pending):
            pass
        found = outcome_of(root)
        if tally.processes[0] != tally.processes[1]:
            tally.apart = tally.apart.wider(apart(root / "runs/it", place / "whole/runs/it"))
            continue
        tally.differing += differing(found, expected)
        if found != expected:
            print(f"torture: {root} differs in {[name for name in expected if found.get(name) != expected[name]]}")


def _copy(ready: Path, root: Path) -> Path:
    """`root`, with what lies in `ready`, where there is such a folder."""
    if ready.is_dir():
        shutil.copytree(ready, root)
    return root


def _ended(tally: Tally, root: Path, log: Path, pending: list[Kill]) -> bool:
    """One more attempt at the run in `root`; whether it came to its end. A kill that came too late stays
    pending, for a little earlier.
    """
    before = _last_step(root / "runs" / "it" / "metrics.jsonl") if tally.program == "train" else 0
    many = tally.processes[(root / "runs" / "it").exists()]
    made = attempt(tally.program, _with(_sharded(tally, many), root), log, pending[0] if pending else None, many)
    assert made.killed or made.code == 0, f"exit code {made.code} of {tally.name}:\n{made.said}"
    found = GONE_ON.search(made.said)
    reached = not made.killed or any(name == "step" for name, _ in made.phases)  # far enough to have said so
    if before and (found or reached) and FINISHED not in made.said:
        tally.resumes += found is not None
        tally.lost += max(0, before - (int(found[1]) if found else 0))
    tally.damaged += made.said.count(" is damaged (")
    if made.killed:
        tally.kills += 1
        tally.hit[made.phases[-1][0]] += 1
        tally.together += pending.pop(0).rank is None
    elif pending:  # it would come too late each time where the first run was the slowest
        pending[0] = replace(pending[0], delay=0.9 * pending[0].delay)
    return not made.killed


def _moment(phase: str, whole: Attempt, draw: Random, many: int) -> Kill:
    """A random moment in a random one of the phases called so, as long as they took in the run that was not killed; of
    `many` processes, for one of them or for all.
    """
    ends = [at for _, at in whole.phases[1:]] + [whole.seconds]
    times = [end - at for (name, at), end in zip(whole.phases, ends, strict=True) if name == phase]
    nth = 1 if phase == START else draw.randint(1, len(times))
    delay = draw.uniform(0, times[nth - 1])
    return Kill(phase, nth, delay, draw.choice([None, *range(many)]) if many > 1 else None)


def _last_step(metrics: Path) -> int:
    """The last optimizer step that was logged; 0 before there was one."""
    text = metrics.read_text(encoding="utf-8") if metrics.is_file() else ""
    return max((int(step) for step in STEP.findall(text)), default=0)


def _sharded(tally: Tally, many: int) -> tuple[str, ...]:
    """The words of the tally for so many processes: one of them has all weights."""
    return tally.words if tally.processes == (1, 1) or many == 1 else (*tally.words, "hardware.sharding=fsdp")


def _with(words: tuple[str, ...], root: Path) -> tuple[str, ...]:
    return (*words, f"outputs_root={root}")
