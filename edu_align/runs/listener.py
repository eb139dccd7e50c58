"""What a run tells whoever started it: a job of a sweep keeps it; a run by itself tells nobody."""

from edu_align.runs.folder import RunFolder


class RunListener:
    """Does nothing with either; a subclass does."""

    def run_started(self, folder: RunFolder) -> None:
        """The run that is made, or that was found finished, as soon as its folder is known."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Measured after `step` optimizer steps, named as in W&B. What it raises ends the run."""


NO_LISTENER = RunListener()
