"""`python -m edu_align.plan <the overrides of edu_align.train>`: memory, tokens and time, before anything is loaded.

Exit code 0 where every stage fits its budget, 1 where one does not.
"""

import sys
from typing import TYPE_CHECKING

from edu_align.config.compose import given
from edu_align.launch import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig

verdicts: list[bool] = []


def job(cfg: "DictConfig") -> None:
    """Print the plan of one config, or of each stage of its chain."""
    from omegaconf import OmegaConf

    from edu_align.planning.plan import make_plan
    from edu_align.training.chain import stages

    configs = [each for _, each in stages(cfg.chain, *given())] if cfg.chain else [cfg]
    for config in configs:
        plan = make_plan(OmegaConf.to_object(config))  # type: ignore[arg-type]
        print(plan.describe(), flush=True)
        verdicts.append(plan.fits)


def main() -> None:
    launch(job, "edu_align.plan")
    if not all(verdicts):
        sys.exit(1)


if __name__ == "__main__":
    main()
