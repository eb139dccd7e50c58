"""One job of a sweep as it travels to another process, for launchers of our own: pickled there, run here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, open_dict

J = TypeVar("J", bound="RemoteJob")


@dataclass
class RemoteJob:
    """What Hydra needs to run a job elsewhere. `singletons`: Hydra's state, of `packed`."""

    context: Any
    task: Callable[[Any], Any]
    config: DictConfig
    words: list[str]
    number: int
    singletons: Any = field(default=None)

    @property
    def file(self) -> Path:
        """The job's file in the sweep's folder, which the last of its words says."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        return Path(str(OverridesParser.create().parse_override(self.words[-1]).value()))

    def packed(self: J) -> J:
        """Ready to be pickled."""
        from hydra.core.singleton import Singleton

        self.singletons = Singleton.get_state()
        return self

    def run(self) -> None:
        """Run it as Hydra's own launchers do, in the process that it was unpickled in."""
        from hydra.core.singleton import Singleton
        from hydra.core.utils import run_job, setup_globals

        Singleton.set_state(self.singletons)
        setup_globals()
        config = self.context.config_loader.load_sweep_config(self.config, self.words)
        with open_dict(config.hydra.job):
            config.hydra.job.id = config.hydra.job.num = self.number
        run_job(
            hydra_context=self.context, task_function=self.task, config=config, job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )  # fmt: skip
