"""The floors of the house: every import of ours runs downwards, and no two files import each other in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from edu_align.cli import COMMANDS

ROOT = Path(__file__).parents[1]
# Lowest first; above them stand the commands, which are the other files at the top.
FLOORS = [
    "utils", "records", "config", "tutoring", "data", "packing", "fused", "models", "planning", "runs", "cache",
    "chatting", "evaluation", "rewards", "reports", "tracking", "training", "exporting", "iterating", "recipes",
    "sweeps", "launch",
]  # fmt: skip
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "edu_align").rglob("*.py")
}


def imported(path: Path) -> set[str]:
    """Our modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            }
    return found & MODULES.keys() - {"edu_align"}


def floor(module: str) -> int:
    top = module.split(".")[1] if "." in module else "edu_align"
    return FLOORS.index(top) if top in FLOORS else len(FLOORS)


def test_every_import_runs_downwards() -> None:
    pairs = [(module, other) for module, path in MODULES.items() for other in imported(path)]
    assert len(pairs) > 500
    assert [f"{module} imports {other}" for module, other in pairs if floor(other) > floor(module)] == []


def test_no_circle() -> None:
    TopologicalSorter({module: imported(path) - {module} for module, path in MODULES.items()}).prepare()


def test_only_commands_and_folders_stand_at_the_top() -> None:
    commands = set(COMMANDS) - {"preview", "sweep"}  # ways to call train
    files = {path.stem for path in (ROOT / "edu_align").glob("*.py")}
    assert files == {*commands, "__init__", "__main__", "api", "cli", "launch", "records", "tracking"}
