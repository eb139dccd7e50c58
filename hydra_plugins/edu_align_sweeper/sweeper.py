"""`hydra/sweeper=edu_align`. Hydra imports this on every start, so it imports nothing heavy."""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class EduAlignSweeper(Sweeper):
    """Hydra's side of a sweep: takes config and launcher, and hands them on."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = dict(params or {})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher that `hydra/launcher` names. Errors: its package is not installed."""
        from edu_align.sweeps.executor import make_launcher

        self.config = config
        self.loader = hydra_context.config_loader
        self.launcher = make_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        from edu_align.config.arguments import key_of
        from edu_align.config.machine_settings import used
        from edu_align.config.text import words_of
        from edu_align.sweeps.sweep import run_sweep

        words = [f"{key}={value}" for key, value in self.params.items()]
        swept = {word for word in words_of(used().get("keys", {})) if key_of(word) in self.params}  # by the preset
        return run_sweep(
            self.config, self.loader, self.launcher, [*words, *(each for each in arguments if each not in swept)]
        )
