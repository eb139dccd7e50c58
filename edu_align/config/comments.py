"""What the YAML files under conf/ say of themselves: each key with its value and its comment, each file's first line.

`--help` and the reference of all keys are made from it. Neither Hydra nor OmegaConf is imported.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from edu_align.utils.errors import UserError

PRIMARY = "config"  # the file that everything begins with
GLOBAL = "# @package _global_"
# In the order in which people choose them; further groups follow by name.
ORDER = ("model", "dataset", "trainer", "hardware", "adapter", "tracking")


class Entry(NamedTuple):
    """A key of a file, dotted from the file's root. `value` as it is written, None where the key holds keys."""

    key: str
    value: str | None
    comment: str


def conf_dir() -> Path:
    """The folder of edu_align's own config files: a checkout's conf/, else the copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "conf" / f"{PRIMARY}.yaml").is_file():
        return checkout / "conf"
    return package / "conf"


def folders_after_flag(argv: Sequence[str]) -> list[Path]:
    """Existing folders given with --config-dir (or -cd), in either spelling."""
    return parted_by_flag(argv)[0]


def parted_by_flag(argv: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The existing folders given with --config-dir (or -cd), in either spelling, and the other words."""
    folders, rest, words = list[str](), list[str](), iter(argv)
    for word in words:
        if word in ("--config-dir", "-cd"):
            folders.append(next(words, ""))
        elif word.startswith("--config-dir="):
            folders.append(word.partition("=")[2])
        else:
            rest.append(word)
    return [Path(folder) for folder in folders if folder and Path(folder).is_dir()], rest


def groups(folders: list[Path]) -> list[str]:
    """Every folder with YAML files in it, as a group's name, edu_align's first; Hydra's own are left out."""
    found = {path.parent.relative_to(folder).as_posix() for folder in folders for path in folder.rglob("*.yaml")}
    others = sorted(name for name in found if name not in (".", *ORDER) and name.split("/")[0] != "hydra")
    return [*(name for name in ORDER if name in found), *others]


def options(folders: list[Path], group: str) -> dict[str, Path]:
    """The files of a group by their names; one of an earlier folder hides one of the same name."""
    files = [path for folder in reversed(folders) for path in sorted((folder / group).glob("*.yaml"))]
    return {path.stem: path for path in sorted(files, key=lambda path: path.stem)}


def description(path: Path) -> str:
    """First line of what a file says of itself."""
    return next(iter(header(path)), "")


def header(path: Path) -> list[str]:
    """The lines of comment that a file begins with, but for its package header and its run command."""
    found = []
    for line in _text(path).split("\n"):
        text = line.removeprefix("#").strip()
        if not line.startswith("#"):
            break
        if not text.startswith(("@package", "python -m ")):
            found.append(text)
    return found


def entries(path: Path) -> list[Entry]:
    """Every key of a file in its order, without its defaults list. Errors: a file that is no YAML."""
    from yaml import YAMLError

    try:
        return _parsed(_text(path))
    except YAMLError as error:
        raise UserError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}.") from None


def choices(path: Path) -> dict[str, tuple[str, str]]:
    """`{group: (option, comment)}` of a file's defaults list; an option is null where none is chosen."""
    found = {}
    inside = False
    for line in _text(path).split("\n"):
        item, _, comment = line.partition("#")
        if not line.startswith((" ", "-", "#")) and line:
            inside = line.startswith("defaults:")
        words = item.strip().removeprefix("- ").removeprefix("override ").partition(":")
        if inside and item.strip().startswith("- ") and words[1]:
            found[words[0].strip().strip("/")] = (words[2].strip(), comment.strip())
    return found


def root_keys(path: Path) -> tuple[list[str], list[str]]:
    """The keys of config.yaml that have a value, and those that hold keys, but for what is Hydra's."""
    rows = [line.partition("#")[0].rstrip() for line in _text(path).split("\n")]
    words = [row.partition(":") for row in rows if row[:1].isalpha()]
    keys = [(key, value.strip()) for key, colon, value in words if colon and key not in ("defaults", "hydra")]
    return [key for key, value in keys if value], [key for key, value in keys if not value]


def is_global(path: Path) -> bool:
    """Whether a file's keys are those of the root rather than those of its group."""
    return GLOBAL in _text(path).split("\n")


@cache
def _parsed(text: str) -> list[Entry]:
    import yaml

    root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if not isinstance(root, yaml.MappingNode):
        return []
    return [entry for entry in _entries(root, text.split("\n"), "") if entry.key.split(".")[0] != "defaults"]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _entries(node: Any, lines: list[str], prefix: str) -> Iterator[Entry]:
    import yaml

    for key, value in node.value:
        name = f"{prefix}{key.value}"
        held = isinstance(value, yaml.MappingNode) and not value.flow_style
        yield Entry(name, None if held else _written(value), _comment(lines, key, value))
        if held:
            yield from _entries(value, lines, f"{name}.")


def _comment(lines: list[str], key: Any, value: Any) -> str:
    """The lines of comment directly above a key, and what stands behind its value."""
    above: list[str] = []
    row = key.start_mark.line - 1
    while row >= 0 and lines[row].strip().startswith("#"):
        above.insert(0, lines[row].strip().lstrip("#").strip())
        row -= 1
    behind = lines[value.end_mark.line][value.end_mark.column :] if value.end_mark.line == key.start_mark.line else ""
    said = [line for line in above if not line.startswith(("@package", "python -m "))]
    return " ".join([*said, behind.strip().lstrip("#").strip()]).strip()


def _written(node: Any) -> str:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return f"[{', '.join(map(_written, node.value))}]"
    if isinstance(node, yaml.MappingNode):
        return "{" + ", ".join(f"{_written(key)}: {_written(value)}" for key, value in node.value) + "}"
    return f'"{node.value}"' if node.style in ("'", '"') else str(node.value)
