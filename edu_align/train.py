"""Train a tutor: `python -m edu_align.train trainer=dpo model=zephyr trainer.beta=0.3`; `--help` lists what can be set.

Any Hydra flag works; `-m` or `sweep=<preset>` runs a sweep. The value returned to a sweeper is the metric that
`objective` names, or else one that compares over betas.
"""

from typing import TYPE_CHECKING

from edu_align.launch import launch

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run_training(cfg: "DictConfig") -> float | None:
    """Train and evaluate one run, or a chain of them, and return the objective of the last one.

    Everything heavy is imported here.
    """
    from edu_align.config.compose import alone, choices, given
    from edu_align.reports.run_end import next_steps
    from edu_align.sweeps.job import listener
    from edu_align.training.run import objective, run, usual_objective
    from edu_align.utils.distributed import is_first

    if cfg.chain:
        from edu_align.training.chain import run_chain

        folder = run_chain(cfg.chain, *given(), listener=listener())[-1]
    else:
        folder = run(cfg, listener())
    if folder is None:
        return None
    if is_first() and alone():
        words, folders = given()
        print("\n".join(next_steps(folder, cfg.outputs_root, words, choices(), folders)), flush=True)
    if cfg.objective is None:
        return usual_objective(folder, listener().objective)
    return objective(cfg.objective, folder)


def main() -> None:
    launch(run_training, "edu_align.train", check=_check)


def _check(words: list[str]) -> None:
    """Errors: what is wrong for every job of a sweep, and no config check knows."""
    from edu_align.config.arguments import key_of
    from edu_align.config.metrics import check_objective
    from edu_align.config.text import text_of

    for name in (text_of("objective", word.partition("=")[2]) for word in words if key_of(word) == "objective"):
        if name and "${" not in name:
            check_objective(name)


if __name__ == "__main__":
    main()
