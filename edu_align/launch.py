"""The Hydra program around `train` and `plan`: from the words of a command line to a job, or to one message.

Here the command line meets the job of a sweep. Nothing heavy is imported, and Hydra only once `--help` is ruled out.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.config.comments import PRIMARY, conf_dir, folders_after_flag
from edu_align.utils.errors import UserError
from edu_align.utils.program import asks_for_help, explanation, program

if TYPE_CHECKING:
    from omegaconf import DictConfig

Job = Callable[["DictConfig"], Any]
NEWEST_PYTHON = (3, 13)  # Hydra 1.3 cannot build its command line under argparse of Python 3.14


def launch(run: Job, name: str = "edu_align.train", check: Callable[[list[str]], None] | None = None) -> None:
    """Run `run(config)` as a Hydra program: the whole of an entry point's `main`, which ends as `program` says.

    `run` gets the resolved, read-only config of each job and returns the objective for sweepers, or None. `name` is
    what `--help` calls the program; `check` gets the overrides before any job, and raises what is wrong for all of
    them. In a multirun the other jobs still run after a `UserError`, and the message lists every job that failed.
    """
    program(lambda: _launch(run, name, check))()


def _launch(run: Job, name: str, check: Callable[[list[str]], None] | None) -> None:
    if asks_for_help(sys.argv):
        _help(name, sys.argv[1:])
        return
    if "--version" in sys.argv[1:]:
        from edu_align.runs.environment import versions

        print(versions())
        return
    refuse_newer_python()
    from hydra import main as hydra_main
    from hydra._internal.utils import get_args_parser

    from edu_align.config.arguments import key_of
    from edu_align.config.compose import (
        VERSION_BASE,
        as_user_error,
        check_words,
        in_one_message,
        of_this_machine,
        register,
    )
    from edu_align.config.machine_settings import blamed, use
    from edu_align.config.text import hydra_words

    args = get_args_parser().parse_intermixed_args()
    typed, flags = sys.argv, [word for word in sys.argv[1:] if word not in args.overrides]
    use({})
    if not (args.hydra_help or args.shell_completion or args.experimental_rerun):
        _check_flags(args)
        main = Path(args.config_path).absolute() if args.config_path else conf_dir()
        others = [Path(args.config_dir)] if args.config_dir else []
        several = args.multirun or any(key_of(word) in ("sweep", "hydra.mode") for word in args.overrides)
        args.overrides = hydra_words(args.overrides, [main, *others], several)
        primary = (args.config_name or PRIMARY).removesuffix(".yaml")
        args.overrides = [*of_this_machine(args.overrides, main, others, primary), *args.overrides]
        try:
            check_words(args.overrides, main, others, multirun=args.multirun, primary=primary)
        except UserError as error:
            raise UserError(blamed(str(error))) from None
        if check is not None:
            check(args.overrides)
    register()
    failed: list[str] = []
    begun: list[bool] = []
    raised: list[Exception] = []
    job = _job(run, failed, begun, raised)
    job_of_hydra = hydra_main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name=PRIMARY)(job)
    asked = os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [typed[0], *flags, *args.overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises what a job raised rather than printing and exiting 1
    try:
        with _mode_known(args):
            job_of_hydra()
    except Exception as error:
        if failed and isinstance(error, UserError):
            raise UserError(in_one_message(failed, "job", "failed")) from None
        if told := explanation(error):
            raise told from None
        raise as_user_error(error, [] if begun or asked else args.overrides) from None
    finally:
        sys.argv = typed
        os.environ.pop("HYDRA_FULL_ERROR")
        if asked is not None:
            os.environ["HYDRA_FULL_ERROR"] = asked
    if raised:
        raise raised[0]


@contextmanager
def _mode_known(args: Any) -> Iterator[None]:
    """Spare Hydra a whole composition, which it throws away, to see whether `hydra.mode` makes this a sweep.

    Only the words and files of one's own, and the presets of sweeps and experiments, can set it.
    """
    from hydra._internal.hydra import Hydra

    from edu_align.config.arguments import key_of

    own_files = args.config_dir or args.config_path or args.config_name
    if own_files or any(key_of(word).startswith(("hydra", "sweep", "experiment")) for word in args.overrides):
        yield
        return
    hydra: Any = Hydra
    asked = hydra.get_mode
    hydra.get_mode = lambda self, config_name, overrides: None
    try:
        yield
    finally:
        hydra.get_mode = asked


def _job(run: Job, failed: list[str], begun: list[bool], raised: list[Exception]) -> Job:
    """`run` as Hydra calls it: with a resolved and checked config.

    A job of our own sweeper keeps its state in its file; `failed` is for the jobs of another one. `begun` is filled
    once Hydra has done its part. What a single job raised is `raised`, because Hydra would print of its own.
    """

    @wraps(run)
    def job(cfg: "DictConfig") -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from edu_align.config.compose import settled

        begun.append(True)
        place = os.environ.get("EDU_ALIGN_JOB")
        if place is not None:
            from edu_align.sweeps.job import run_recorded

            return run_recorded(run, cfg, Path(place))
        hydra = HydraConfig.get()
        try:
            return run(settled(cfg))
        except Exception as error:
            if hydra.mode != RunMode.MULTIRUN:
                raised.append(error)
                return None
            if isinstance(error, UserError):
                failed.append(f"#{hydra.job.num} ({' '.join(hydra.overrides.task)}): {error}")
            raise

    return job


def refuse_newer_python() -> None:
    """Errors: a Python under which Hydra does not start."""
    if sys.version_info[:2] > NEWEST_PYTHON:
        raise UserError(
            f"Python {sys.version.split()[0]}: Hydra 1.3 runs on Python 3.10 to 3.{NEWEST_PYTHON[1]}. Make an "
            f"environment with one of them, such as `uv venv --python 3.{NEWEST_PYTHON[1]}`."
        )


def _help(name: str, arguments: list[str]) -> None:
    """One screen, or the page of each word that was asked for. Errors: a word that is nothing."""
    from edu_align.config.help import asked_for, help_text

    folders = [conf_dir(), *folders_after_flag(arguments)]
    asked = asked_for(arguments)
    if not asked:
        print(help_text(name, folders), end="")
        return
    from edu_align.config.help_pages import explained

    print("\n".join([explained(word, folders) for word in asked]), end="")


def _check_flags(args: Any) -> None:
    """Flags that Hydra refuses with a traceback."""
    given = {"--run": args.run, "--multirun": args.multirun, "--cfg": args.cfg, "--info": args.info}
    asked = [flag for flag, value in given.items() if value]
    if len(asked) > 1:
        raise UserError(f"Give one of {', '.join(given)}, got {' and '.join(asked)}.")
    if args.resolve and not args.cfg:
        raise UserError("--resolve belongs to --cfg: add --cfg job.")
