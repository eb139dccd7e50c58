"""From a list of configs to a list of runs: groups that meet, and runs on their own."""

import gc
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from edu_align.config.schema import Config
from edu_align.runs.folder import RunFolder
from edu_align.together.grouping import across_pairs, groups_of, shared_key
from edu_align.together.place import take

Outcome = RunFolder | Exception


def train_all(cfgs: list[DictConfig]) -> list[Outcome]:
    """See `edu_align.together.run_together`."""
    outcomes: dict[int, Outcome] = {}
    for group in groups_of(cfgs):
        chosen = [cfgs[i] for i in group.indices]
        reason = group.reason
        if len(chosen) > 1:
            cut = _cut(chosen)
            reason = _needs_whole_passes(chosen) if cut > 1 else ""
        if len(chosen) == 1 or reason:
            for i, cfg in zip(group.indices, chosen, strict=True):
                if len(cfgs) > 1:
                    print(f"edu_align: job {i} trains on its own: {reason}", flush=True)
                outcomes[i] = _alone(cfg)
        else:
            outcomes |= dict(zip(group.indices, _meet(chosen, cut), strict=True))
    return [outcomes[i] for i in range(len(cfgs))]


def _alone(cfg: DictConfig) -> Outcome:
    from edu_align.run import run

    try:
        folder = run(cfg)
    except Exception as error:
        return error
    return ValueError("preview shows data and trains nothing") if folder is None else folder


def _cut(cfgs: list[DictConfig]) -> int:
    """Into how many parts what fits on the device is divided, so that the stacked pass fits too: 1 where it does.

    The plan of one run, with as many times the examples and the tokens of a pass, stands for the stack.
    """
    from edu_align.planning.plan import make_plan

    many = len(cfgs)
    config: Config = OmegaConf.to_object(cfgs[0])  # type: ignore[assignment]
    for cut in range(1, many):
        examples = -(-config.hardware.per_device_batch_size * many // cut)
        stacked = replace(
            config,
            hardware=replace(config.hardware, per_device_batch_size=examples),
            trainer=replace(config.trainer, batch_size=config.trainer.batch_size * many),
        )
        plan = make_plan(stacked)
        if plan.fits and plan.machine.budget is not None:
            return cut
    return many


def _needs_whole_passes(cfgs: list[DictConfig]) -> str:
    """Why smaller passes would change what these configs compute, "" where they would not."""
    found = sorted({across_pairs(OmegaConf.to_object(cfg.trainer)) for cfg in cfgs} - {""})
    return f"memory asks for smaller passes, and {found[0]} reads all pairs of a pass" if found else ""


def _meet(cfgs: list[DictConfig], cut: int) -> list[Outcome]:
    """Train the configs at one table; those that a joint pass failed are tried again on their own."""
    from edu_align.run import run
    from edu_align.together.meeting import Joint, Meeting, Member
    from edu_align.together.seat import Seat
    from edu_align.together.table import Table
    from edu_align.together.turns import Turns
    from edu_align.together.worlds import World

    share = f", each pass 1/{cut} of what one run would take" if cut > 1 else ""
    print(f"edu_align: {len(cfgs)} configs train together on one base model{share}", flush=True)
    members, said, bases = [], {}, {}  # type: ignore[var-annotated]
    for number, cfg in enumerate(cfgs):
        key = shared_key(OmegaConf.to_container(cfg, resolve=True))
        seat = Seat(number, key, bases, cut, cfg.hardware.packing_backend)
        seat.others = len(cfgs) - 1

        def work(seat: Any = seat, cfg: DictConfig = cfg) -> Any:
            take(seat)
            return run(cfg)

        seat.turns = Turns(work, f"run-{number}")
        members.append(Member(seat.turns, World(number, said)))
    Meeting(members, Table(bases)).run()
    ended = [(member.turns.result, member.turns.error) for member in members]
    del members, bases, seat, work
    gc.collect()
    outcomes: list[Outcome] = []
    for cfg, (result, error) in zip(cfgs, ended, strict=True):
        if error is not None and not isinstance(error, Exception):
            raise error
        if isinstance(error, Joint):
            print(f"edu_align: {error}; this config trains again on its own", flush=True)
        outcomes.append(_alone(cfg) if isinstance(error, Joint) else error or result)
    return outcomes
