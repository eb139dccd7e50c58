"""From a command line to a config: where the files lie, the strict check, Hydra, and errors as one message.

Nothing heavy is imported here, and Hydra itself only once `--help` is ruled out.
"""

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edu_align.config.flags import check_flags, folders_after_flag
from edu_align.config.hydra_errors import as_user_error
from edu_align.errors import UserError, entry_point
from edu_align.secrets import redacted

if TYPE_CHECKING:
    from omegaconf import DictConfig

Job = Callable[["DictConfig"], Any]
PRIMARY = "config"
VERSION_BASE = "1.3"


def conf_dir() -> Path:
    """The folder of edu_align's own config files: a checkout's conf/, else the copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "conf" / f"{PRIMARY}.yaml").is_file():
        return checkout / "conf"
    return package / "conf"


def compose(overrides: list[str], config_dirs: list[Path] | None = None) -> "DictConfig":
    """The config that `overrides` give, as a run sees it: resolved, read-only, valid.

    `config_dirs` are searched after edu_align's own folder. It is an OmegaConf config typed by the schemas.
    Raises `UserError` that lists every problem.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    others = [Path(folder).resolve() for folder in config_dirs or []]
    _check(overrides, conf_dir(), others)
    _register()
    path = ",".join(f"'file://{folder}'" for folder in others)
    words = [*overrides, f"hydra.searchpath=[{path}]"] if others else overrides
    around = GlobalHydra.instance().hydra  # inside a job of Hydra's there is one, and it takes only one
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base=VERSION_BASE):
            return settled(hydra_compose(PRIMARY, words))
    except Exception as error:
        raise as_user_error(error) from error
    finally:
        GlobalHydra.instance().hydra = around


def given() -> tuple[list[str], list[Path]]:
    """What the job that runs now was given: its overrides, and the config folders besides edu_align's own."""
    from hydra.core.hydra_config import HydraConfig

    hydra = HydraConfig.get()
    folders = [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
    return list(hydra.overrides.task), [folder for folder in folders if folder != conf_dir()]


def launch(run: Job, name: str = "edu_align.train") -> None:
    """Run `run(config)` as a Hydra program: the whole of an entry point's `main`.

    `run` gets the resolved, read-only config of each job and returns the objective for sweepers, or None. `name` is
    what `--help` calls the program. A `UserError`, in the config or raised by `run`, ends with one message and exit
    code 2; other exceptions keep their traceback. In a multirun the other jobs still run, and the message lists every
    job that failed.
    """
    entry_point(lambda: _launch(run, name))


def settled(cfg: "DictConfig") -> "DictConfig":
    """A copy of `cfg` with every interpolation resolved, read-only. Raises `UserError` where a rule is broken."""
    from copy import deepcopy

    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from edu_align.config.validate import problems

    _refuse(problems(cfg))
    copy = deepcopy(cfg)
    try:
        OmegaConf.resolve(copy)
    except OmegaConfBaseException as error:  # `${hydra:...}`, which only Hydra resolves
        raise UserError(f"`{error.full_key}` cannot be resolved: {' '.join(str(error).split())}.") from None
    OmegaConf.set_struct(copy, True)
    OmegaConf.set_readonly(copy, True)
    return copy


def _launch(run: Job, name: str) -> None:
    if {"--help", "-h"} & set(sys.argv[1:]):
        from edu_align.config.helping import help_text

        print(help_text(name, [conf_dir(), *folders_after_flag(sys.argv[1:])]), end="")
        return
    from hydra import main as hydra_main
    from hydra._internal.utils import get_args_parser

    args = get_args_parser().parse_args()
    if not (args.hydra_help or args.shell_completion or args.experimental_rerun):
        check_flags(args)
        main = Path(args.config_path).absolute() if args.config_path else conf_dir()
        others = [Path(args.config_dir)] if args.config_dir else []
        _check(args.overrides, main, others, multirun=args.multirun, primary=args.config_name or PRIMARY)
    _register()
    failed: list[str] = []
    begun: list[bool] = []
    job = _job(run, failed, begun)
    program = hydra_main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name=PRIMARY)(job)
    asked = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises what a job raised rather than printing and exiting 1
    try:
        program()
    except Exception as error:
        if failed and isinstance(error, UserError):
            raise UserError(_together(failed, "job", "failed")) from None
        raise as_user_error(error, [] if begun or asked else args.overrides) from None
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if asked is not None:
            os.environ["HYDRA_FULL_ERROR"] = asked


def _job(run: Job, failed: list[str], begun: list[bool]) -> Job:
    """`run` as Hydra calls it: with a settled config, and with user errors that do not look like crashes.

    A job of our own sweeper keeps its state in its file; `failed` is for the jobs of another one. `begun` tells that
    Hydra has done its part.
    """

    @wraps(run)
    def job(cfg: "DictConfig") -> Any:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        begun.append(True)
        place = os.environ.get("EDU_ALIGN_JOB")
        if place is not None:
            from edu_align.sweeps.job import run_recorded

            return run_recorded(run, cfg, Path(place))
        hydra = HydraConfig.get()
        if hydra.mode != RunMode.MULTIRUN:
            result: list[Any] = []
            entry_point(lambda: result.append(run(settled(cfg))))
            return result[0]
        try:
            return run(settled(cfg))
        except UserError as error:
            failed.append(f"#{hydra.job.num} ({' '.join(hydra.overrides.task)}): {error}")
            raise

    return job


def _check(
    overrides: list[str], main: Path, others: list[Path], multirun: bool = False, primary: str = PRIMARY
) -> None:
    from edu_align.config.files import search
    from edu_align.config.strict import check

    _refuse(check(overrides, search(main, others), multirun, primary.removesuffix(".yaml")))


def _refuse(problems: list[str]) -> None:
    problems = [redacted(problem) for problem in problems]
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        raise UserError(_together(problems, "problem", "in the config"))


def _together(items: list[str], noun: str, rest: str) -> str:
    plural = "" if len(items) == 1 else "s"
    lines = [item.replace("\n", "\n  ") for item in items]
    return "\n  - ".join([f"{len(items)} {noun}{plural} {rest}:", *lines])


def _register() -> None:
    from edu_align.config.register import register

    register()
