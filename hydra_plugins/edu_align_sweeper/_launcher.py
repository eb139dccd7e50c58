"""Hydra's side of our own launchers. Its modules are imported on every start, so they import nothing heavy."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

J = TypeVar("J")


class OwnLauncher(Launcher):
    """Takes the settings of the launcher, and what Hydra gives it for each job. `launch` is the subclass's."""

    def __init__(self, **params: Any) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def jobs(self, made: Callable[..., J], overrides: Sequence[Sequence[str]], first: int) -> list[J]:
        """A job for each list of overrides, numbered from `first` on; `made` is `RemoteJob` or a kind of it."""
        given = self.context, self.task, self.config
        return [made(*given, list(words), number) for number, words in enumerate(overrides, first)]
