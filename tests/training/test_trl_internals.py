"""Private members of other libraries: all of them are in one table, and all of them are still there."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trl

import edu_align
from edu_align.training.trl_internals import INTERNALS

PACKAGE = Path(edu_align.__file__).parent
# The packages that touch them. What others touch (omegaconf, optuna, gguf) is no part of training.
PARTS = ("cache", "evaluation", "fused", "models", "packing", "training")
MEMBERS = {name for members in INTERNALS.values() for name in members}


def owner_of(name: str) -> Any:
    """The module or class of a dotted name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, last = name.rpartition(".")
        return getattr(importlib.import_module(module), last)


@pytest.mark.parametrize(("owner", "member"), [(o, m) for o, members in INTERNALS.items() for m in members])
def test_it_is_still_there(owner: str, member: str) -> None:
    found = owner_of(owner)
    if hasattr(found, member):
        return
    set_by_a_method = inspect.isclass(found) and any(
        f"self.{member} =" in inspect.getsource(each) or f"self.{member}:" in inspect.getsource(each)
        for each in found.__mro__
        if each.__module__.partition(".")[0] in ("trl", "transformers")
    )
    set_by_a_module = inspect.ismodule(found) and f"model.{member} =" in inspect.getsource(found)
    assert set_by_a_method or set_by_a_module, f"{owner} has no {member} any more"


def private(tree: ast.AST) -> Iterator[str]:
    """Names of private attributes of objects that are not the class's own, and of private methods of TRL's trainers
    that a class defines anew.
    """
    kinds = (trl.DPOTrainer, trl.KTOTrainer, trl.SFTTrainer, trl.RewardTrainer)
    theirs = {name for kind in kinds for name in dir(kind)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            yield node.attr
        if isinstance(node, ast.ClassDef):
            yield from (
                each.name
                for each in node.body
                if isinstance(each, ast.FunctionDef) and each.name.startswith("_") and each.name in theirs
                and not each.name.startswith("__")
            )  # fmt: skip


def own(tree: ast.AST) -> set[str]:
    """Private names that a file of ours defines: functions, methods, and attributes that it sets on `self`."""
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {node.attr} if isinstance(node.value, ast.Name) and node.value.id == "self" else set()
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def test_there_are_no_others() -> None:
    files = [file for part in PARTS for file in (PACKAGE / part).rglob("*.py")]
    assert len(files) > 40
    used: set[str] = set()
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = set(private(tree))
        used |= names
        unknown = names - MEMBERS - own(tree)
        assert not unknown, f"{file.relative_to(PACKAGE)}: {sorted(unknown)} is missing in trl_internals.py"
    text = "".join(file.read_text(encoding="utf-8") for file in files if file.name != "trl_internals.py")
    assert {name for name in MEMBERS if name not in used and name not in text} == set(), "in the table, and not used"
