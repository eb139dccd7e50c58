"""The one screen that `--help` prints, made from the names and the comments in conf/. help_pages.py explains the rest.

Nothing but the standard library is imported, and of that no textwrap, which takes a tenth of `--help`.
"""

from collections.abc import Sequence
from pathlib import Path

from edu_align.config.comments import ORDER, choices, groups, options, root_keys

WIDTH = 100
FLAGS_WITH_VALUE = (
    "--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--cfg", "-c", "--package", "-p",
)  # fmt: skip
_ASK = """\
Ask further:
  --help trainer          a group: its options, and its keys with their values
  trainer=dpo --help      one option: every key of it, with value and meaning
  --help trainer.beta     one key: meaning, range or words, value in each option
  --cfg job               the config that this command line makes; -p trainer prints a part of it

Flags (Hydra's; --hydra-help lists them all):
  -m, --multirun          run every combination of swept values: trainer.beta=0.1,0.3 seed=1,2,3
  --config-dir FOLDER     read FOLDER/<group>/<option>.yaml too, for options of your own
  --info defaults         print which files made the config
  --version               edu_align's version, and those of what it stands on
"""


def help_text(entry: str, folders: list[Path]) -> str:
    """One screen: usage of `entry` (such as `edu_align.train`), the groups with their options, the keys, the flags.

    `folders` are the config folders in the order they are searched.
    """
    chosen = choices(folders[0] / "config.yaml")
    lines = [
        f"edu_align: python -m {entry} [group=option ...] [key=value ...] [flags]",
        "",
        "Groups (group=option); * is taken where none is given:",
    ]
    for group in groups(folders):
        default = chosen.get(group, ("", ""))[0]
        names = [f"{name}*" if name == default else name for name in options(folders, group)]
        lines += wrapped(f"  {group:<12}", " ".join(names))
    root, parts = root_keys(folders[0] / "config.yaml")
    lines += ["", "Keys (key=value):"]
    lines += wrapped(f"  {'root':<12}", " ".join(root))
    lines += wrapped(f"  {'of a group':<12}", " ".join(f"{group}.<key>" for group in ORDER))
    lines += wrapped(f"  {'of a part':<12}", " ".join(f"{name}.<key>" for name in parts))
    return "\n".join([*lines, "", _ASK])


def asked_for(arguments: Sequence[str]) -> list[str]:
    """The words of a command line with --help in it that ask for something: all but flags and what belongs to them."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and before not in FLAGS_WITH_VALUE]


def wrapped(start: str, text: str) -> list[str]:
    """The text behind `start`, its further lines below its first one."""
    below = " " * len(start) if start.startswith("  ") and not start.endswith("=") else "    "
    first, *words = text.split(" ")
    lines = [start + first]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(below + word)
        else:
            lines[-1] += f" {word}"
    return [line.rstrip() for line in lines]
