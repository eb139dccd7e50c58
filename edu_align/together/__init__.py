"""Several configurations trained at once: one base model, one stacked pass, an adapter for each."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from edu_align.runs.folder import RunFolder


def run_together(cfgs: "list[DictConfig]") -> "list[RunFolder | Exception]":
    """Train every config and return its run, or what ended it, in the order given.

    Configs that share base, data and batch order (`grouping.groups_of`) train together, all others one after the other;
    each gets the ordinary run folder of `edu_align.run.run`. KeyboardInterrupt and SystemExit end all of them.
    """
    from edu_align.together.room import train_all

    return train_all(cfgs)
