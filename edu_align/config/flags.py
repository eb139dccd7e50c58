"""Hydra's flags, where it would refuse them with a traceback or only later."""

from pathlib import Path
from typing import Any

from edu_align.errors import UserError


def check_flags(args: Any) -> None:
    """Flags that Hydra refuses with a traceback."""
    given = {"--run": args.run, "--multirun": args.multirun, "--cfg": args.cfg, "--info": args.info}
    asked = [flag for flag, value in given.items() if value]
    if len(asked) > 1:
        raise UserError(f"Give one of {', '.join(given)}, got {' and '.join(asked)}.")
    if args.resolve and not args.cfg:
        raise UserError("--resolve belongs to --cfg: add --cfg job.")


def folders_after_flag(argv: list[str]) -> list[Path]:
    """Existing folders given with --config-dir (or -cd), in either spelling."""
    found = [argv[index + 1] for index, word in enumerate(argv[:-1]) if word in ("--config-dir", "-cd")]
    found += [word.partition("=")[2] for word in argv if word.startswith("--config-dir=")]
    return [Path(folder) for folder in found if Path(folder).is_dir()]
