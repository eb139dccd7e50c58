"""The text of `--help`, made from the comments of the config files. Nothing but the standard library is imported."""

from pathlib import Path

_FLAGS = """\
Flags (Hydra's; --hydra-help lists them all):
  -m, --multirun        run every combination of swept values: trainer.beta=0.1,0.3 seed='range(0,3)'
  --cfg job             print the composed config and stop; with -p trainer, one part of it; with --resolve, as used
  --info defaults       print which files made the config
  --config-dir FOLDER   read FOLDER/<group>/<option>.yaml too, for options of your own
"""


def help_text(entry: str, folders: list[Path]) -> str:
    """Usage of `entry` (such as `edu_align.train`), every group with its options, every root key, and Hydra's flags.

    `folders` are the config folders in the order they are searched. Each description is the first comment of the
    option's YAML file, or the comment above the key in config.yaml.
    """
    lines = [
        f"edu_align: python -m {entry} [group=option ...] [key=value ...] [flags]",
        "",
        "Groups, and what each option is (group=option):",
    ]
    for group in _groups(folders):
        lines += ["", f"  {group}"]
        lines += [f"    {name:<16} {text}" for name, text in _options(folders, group).items()]
    lines += ["", "Root keys (key=value), with their defaults:", ""]
    lines += [f"  {line}" for line in _root_keys(folders[0] / "config.yaml")]
    lines += [
        "",
        "Keys of a group are set as group.key=value (trainer.beta=0.3); --cfg job prints them all, and each is",
        "explained in its YAML file. A word that is not a key is an error that names the nearest key.",
        "",
        _FLAGS,
    ]
    return "\n".join(lines)


def _groups(folders: list[Path]) -> list[str]:
    found = {path.parent.relative_to(folder).as_posix() for folder in folders for path in folder.rglob("*.yaml")}
    order = ["model", "dataset", "trainer", "hardware", "adapter", "tracking"]
    known = [group for group in order if group in found]
    return known + sorted(group for group in found if group not in (".", *order) and group.split("/")[0] != "hydra")


def _options(folders: list[Path], group: str) -> dict[str, str]:
    files = [path for folder in reversed(folders) for path in sorted((folder / group).glob("*.yaml"))]
    return {path.stem: _description(path) for path in sorted(files, key=lambda path: path.stem)}


def _description(path: Path) -> str:
    """First comment of a file that is neither its package header nor its run command."""
    for line in path.read_text(encoding="utf-8").split("\n"):
        text = line.removeprefix("#").strip()
        if line.startswith("#") and not text.startswith(("@package", "python -m ")):
            return text
        if line and not line.startswith("#"):
            break
    return ""


def _root_keys(path: Path) -> list[str]:
    """`key: value` lines of config.yaml at the root and one level below, each under its comment."""
    found: list[str] = []
    comment: list[str] = []
    section = ""
    for line in path.read_text(encoding="utf-8").split("\n"):
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        if stripped and not line.startswith(" "):
            section = stripped.partition(":")[0]
        if stripped and section not in ("defaults", "hydra") and stripped.partition(":")[2].strip():
            key, _, value = stripped.partition(":")
            full = f"{section}.{key}" if line.startswith(" ") else key
            found += [f"{full}={value.strip()}", f"    {' '.join(comment)}"]
        comment = []
    return found
