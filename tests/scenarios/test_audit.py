"""`make audit`: how licences are read, and that the packages of this environment have none that bind."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("licence", "binding"),
    [
        ("MIT", False), ("Apache-2.0 OR GPL-3.0-or-later", False), ("LGPL-2.1", False), ("GPL-3.0-only", True),
        ("GNU General Public License v3 (GPLv3)", True), ("AGPL-3.0", True), ("not told", False),
        ("GNU Lesser General Public License v3", False),
    ],
)  # fmt: skip
def test_licences_that_bind(audit: Any, licence: str, binding: bool) -> None:
    assert audit.binds(licence) is binding


def test_the_packages_here(audit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.licences() == []
    out = capsys.readouterr().out
    assert "torch " in out
    assert "transformers " in out
    assert "packages, " in out


def test_what_was_not_checked_is_said(audit: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pip_audit", None)
    monkeypatch.setattr(audit, "find_spec", lambda name: None)
    assert audit.vulnerabilities() == 0
    assert "not checked, pip-audit is not installed" in capsys.readouterr().out
