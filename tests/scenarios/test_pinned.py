"""What is downloaded is pinned by a commit; what is not says so."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from edu_align.config.schema import DatasetConfig
from edu_align.data import download as fetch
from edu_align.data import hub
from edu_align.data.download import BRANCH, GitHubSource
from edu_align.data.hub import HubSource
from edu_align.data.sources.load import SOURCES, source_files
from edu_align.data.sources.source import Query
from edu_align.models.locate import locate
from edu_align.utils.errors import UserError

CONF = Path(__file__).resolve().parents[2] / "conf"
COMMIT = re.compile(r"[0-9a-f]{40}")
UNPINNED = {"mrbench", "puffin", "stack_exchange"}  # no commit is known to hold their files


def test_every_source_but_three_is_pinned() -> None:
    revisions = {name: home.revision for name, home in SOURCES.items() if isinstance(home, GitHubSource | HubSource)}
    assert {name for name, revision in revisions.items() if not COMMIT.fullmatch(revision)} == UNPINNED
    assert {revisions[name] for name in UNPINNED} == {BRANCH}


UNKNOWN = "# Commit of the hub repository. It could not be looked up when this was written: null is the newest.\n"


def test_every_model_is_pinned_or_says_why_not() -> None:
    for file in (CONF / "model").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        said = yaml.safe_load(text)
        if said["revision"] is None:
            assert said.get("weights") == "random" or UNKNOWN in text, file
        else:
            assert COMMIT.fullmatch(said["revision"]), file


def test_a_branch_is_named_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    monkeypatch.setattr(fetch, "_download", lambda *_: b"[]")
    source_files("mrbench", None, tmp_path)
    assert "mrbench is what kaushal0494/UnifyingAITutorEvaluation's branch main held" in capsys.readouterr().out
    source_files("bridge", None, tmp_path)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(hub, "_reach", lambda *_: None)
    streamed = DatasetConfig(name="puffin", sources=["puffin"], streaming=True)
    SOURCES["puffin"].open("puffin", Query("conversation", streamed, None, tmp_path, 0))
    assert "puffin is what LDJnr/Puffin's branch main holds today" in capsys.readouterr().out


def test_nothing_is_said_of_a_download_that_failed(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    monkeypatch.setattr(fetch.urllib.request, "urlopen", unreachable)
    with pytest.raises(UserError, match="cannot be downloaded"):
        source_files("mrbench", None, tmp_path)
    assert capsys.readouterr().out == ""


def test_a_model_without_a_revision_is_named(typed: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    model = typed("trainer=sft").model
    model.weights, model.path, model.revision = "pretrained", "someone/no-such-model", None
    with pytest.raises(UserError, match="hub is out of reach"):
        locate(model, tmp_path, 0)
    assert "`model.revision` is not set: someone/no-such-model is what its branch main holds" in capsys.readouterr().out
