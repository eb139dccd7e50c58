"""Uploading: asked for, checked before anything heavy, and private unless told otherwise. The hub is a stand-in."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from tests.exporting.conftest import Export, Runs

TO = "export.push_to_hub=me/my-tutor"


class StandIn:
    """The calls of huggingface_hub.HfApi that are made, and what the hub would answer."""

    endpoint = "https://huggingface.co"

    def __init__(self) -> None:
        self.repositories: dict[str, bool] = {}  # name: private
        self.uploaded: list[tuple[str, set[str]]] = []
        self.token: str | None = None
        self.down = False

    def __call__(self, token: str) -> "StandIn":
        self.token = token
        return self

    def whoami(self) -> dict[str, str]:
        if self.token == "wrong":
            raise HfHubHTTPError("401 Client Error: Unauthorized", response=answer(401))
        return {"name": "me"}

    def repo_info(self, repo_id: str) -> Any:
        if repo_id not in self.repositories:
            raise RepositoryNotFoundError("404 Client Error", response=answer(404))
        return SimpleNamespace(private=self.repositories[repo_id])

    def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.repositories.setdefault(repo_id, private)

    def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
        if self.down:
            raise OSError("the line broke\nmore")
        folder = Path(folder_path)
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        self.uploaded.append((repo_id, names))
        assert "edu_align" in commit_message


def answer(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    found = StandIn()
    monkeypatch.setattr(huggingface_hub, "HfApi", found)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_right")
    return found


@pytest.fixture
def push(export: Export, runs: Runs, tmp_path: Path) -> Export:
    runs("sft")
    return lambda *words: export("run=sft", f"output={tmp_path / 'out'}", TO, *words)


def test_the_export_is_uploaded_and_private(push: Export, hub: StandIn, tmp_path: Path) -> None:
    code, out, err = push()
    assert code == 0, err
    assert hub.repositories == {"me/my-tutor": True}
    ((name, files),) = hub.uploaded
    assert name == "me/my-tutor"
    assert {"README.md", "model.safetensors", "tokenizer.json", "config.json"} <= files
    assert out.endswith("edu_align: https://huggingface.co/me/my-tutor\n")
    card = (tmp_path / "out" / "README.md").read_text()
    assert 'from_pretrained("me/my-tutor")' in card
    assert "hf_right" not in "".join(path.read_text() for path in (tmp_path / "out").glob("*.[jm]*") if path.is_file())


def test_public_where_it_is_said(push: Export, hub: StandIn) -> None:
    assert push("export.private=false")[0] == 0
    assert hub.repositories == {"me/my-tutor": False}


def test_a_broken_upload_is_taken_up_again(push: Export, hub: StandIn, tmp_path: Path) -> None:
    hub.down = True
    code, _, err = push()
    assert code == 2
    assert "the upload failed (the line broke). The export is whole in" in err
    weights = tmp_path / "out" / "model.safetensors"
    made, hub.down = weights.stat().st_mtime_ns, False
    code, out, _ = push()
    assert (code, len(hub.uploaded), weights.stat().st_mtime_ns) == (0, 1, made)
    assert "holds this export already" in out


@pytest.mark.parametrize(
    ("token", "repositories", "message"),
    [
        (None, {}, "needs a token with the right to write, and there is none"),
        ("wrong", {}, "the hub does not answer as it should (401 Client Error: Unauthorized)"),
        ("hf_right", {"me/my-tutor": False}, "is there already and public"),
    ],
)
def test_a_hub_that_will_not_do_is_one_message_before_anything_is_made(
    push: Export, hub: StandIn, monkeypatch: Any, tmp_path: Path, token: Any, repositories: Any, message: str
) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)
    monkeypatch.setattr("edu_align.exporting.subject.locate", None)  # not even the base model is looked for
    hub.repositories = repositories
    code, out, err = push()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_message(push: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client, and nobody listening where the hub should be."""
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_right")
    real = huggingface_hub.HfApi
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda token: real(endpoint="http://127.0.0.1:9", token=token))
    code, _, err = push()
    assert (code, err.count("\n")) == (2, 1)
    assert "the hub does not answer as it should" in err
