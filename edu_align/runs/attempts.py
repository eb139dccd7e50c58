"""Which folder a launch works in: a finished run's, one that can go on, or a new one.

A run's folder is `outputs_root/runs/<name>`; starting over with `force=true` makes `<name>-2`, `<name>-3`, ... beside
it.
Those with the launch's id are its attempts, and the newest of them is what a launch finds. A launch without a name
of its own finds a finished run of its id under any name.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.config.schema import Config
from edu_align.errors import UserError
from edu_align.runs.folder import RunFolder, read_record
from edu_align.runs.identity import Identity, settings_of
from edu_align.runs.store import list_runs

MOST_ATTEMPTS = 10_000


@dataclass(frozen=True)
class Launch:
    """One launch of a config: where its run lies or will lie, and what is known of it."""

    config: Config
    identity: Identity
    runs: Path

    @property
    def name(self) -> str:
        config = self.config
        default = f"{config.trainer.algorithm}-{config.dataset.name}-{config.model.name}-{self.identity.id}"
        return config.run_name or default

    def newest(self) -> RunFolder | None:
        """The newest attempt of this very run, finished or not; None where there is none, or `force` asks for another.

        Errors: the name is taken by something else.
        """
        if self.config.force:
            return None
        found = [RunFolder(path, record) for path in attempts(self.runs, self.name) if (record := read_record(path))]
        same = [folder for folder in found if folder.record.get("id") == self.identity.id]
        if same:
            return same[-1]
        if self.config.run_name is None and (named := self._under_another_name()):
            return named
        self._check_free(self.runs / self.name)
        return None

    def _under_another_name(self) -> RunFolder | None:
        runs = list_runs(self.runs.parent)
        done = (run for run in runs if run.id == self.identity.id and run.state == "finished")
        return next((RunFolder(run.path, run.record) for run in done), None)

    def make(self) -> Path:
        """The folder of a new attempt, made here. With `force` the first name that is free."""
        if not self.config.force:
            path = self.runs / self.name
            path.mkdir(parents=True, exist_ok=True)  # another launch may be making it too: the lock decides
            return path
        for number in range(1, MOST_ATTEMPTS):
            path = self.runs / (self.name if number == 1 else f"{self.name}-{number}")
            try:
                path.mkdir(parents=True)
                return path
            except FileExistsError:
                continue
        raise UserError(f"no free folder name is left for {self.name!r} under {self.runs}. Set run_name=<name>.")

    def _check_free(self, path: Path) -> None:
        """Errors: the folder holds another run, or something that is no run."""
        record = read_record(path)
        if record is None:
            if path.exists() and not _is_empty(path):
                raise UserError(f"`run_name={self.name}`: {path} exists already and is no run. Choose another name.")
            return
        there = self._identity_of(path, record)
        what = "it was made by an older edu_align, which kept no id"
        if there is not None:
            what = f"what differs: {'; '.join(self.identity.differences(there)) or 'how ids are made'}"
        raise UserError(
            f"`run_name={self.name}`: {path} exists already and is another run ({what}). Choose another run_name or "
            f"leave it out, give that run's settings to go on with it, or set force=true to start beside it."
        )

    def _identity_of(self, path: Path, record: dict[str, Any]) -> Identity | None:
        from omegaconf import OmegaConf

        if "id" not in record or not (path / "config.yaml").is_file():
            return None
        stored: Any = OmegaConf.to_container(OmegaConf.load(path / "config.yaml"), resolve=True)
        data = record["data"].get("read", {})
        return Identity(settings_of(stored), data, record["base_model"], record.get("parent"))


def attempts(runs: Path, name: str) -> list[Path]:
    """Folders `<name>`, `<name>-2`, ... that exist, the oldest first."""
    pattern = re.compile(rf"{re.escape(Path(name).name)}(?:-(\d+))?")
    place = (runs / name).parent
    matches = ((pattern.fullmatch(path.name), path) for path in (place.iterdir() if place.is_dir() else ()))
    return [path for _, path in sorted((int(match[1] or 1), path) for match, path in matches if match)]


def _is_empty(path: Path) -> bool:
    """Whether a folder holds nothing but what a launch leaves that ended before it wrote its record."""
    return path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir())
