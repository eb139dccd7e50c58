"""Give up on a job that does worse than others did at the same step (successive halving, Li et al. 2018).

The search that made the job puts what this needs into the job's file (`prune`); nothing happens without.
"""

from pathlib import Path


class Pruned(KeyboardInterrupt):
    """A job is given up. It is an interruption and no error: its run can be taken up again, and cleans up the same."""

    def __init__(self, metric: str, step: int, value: float) -> None:
        super().__init__(f"pruned at step {step}, with {metric} = {value:g}")


def report(step: int, metrics: dict[str, float]) -> None:
    """Tell the search how the job of this process does after `step` optimizer steps. Raises `Pruned`."""
    from edu_align.sweeps.job import current

    here = current()
    if here is None or here[1].get("prune") is None:
        return
    path, job = here
    metric = job["prune"]["metric"]
    if metric not in metrics:
        return
    from edu_align.sweeps.tpe import should_prune

    value = float(metrics[metric])
    if should_prune(Path(path).parents[1], job["prune"], step, value):
        raise Pruned(metric, step, value)
