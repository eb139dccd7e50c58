"""Local files first, then the cache, then the network, then one message."""

import io
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from edu_align.data.download import TIMEOUT
from edu_align.data.sources import bridge
from edu_align.data.sources.load import source_files
from edu_align.utils.errors import UserError

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were asked for; every download answers with one row."""
    addresses: list[str] = []

    def answer(url: str, timeout: float) -> Any:
        assert timeout == TIMEOUT <= 15
        addresses.append(url)
        return io.BytesIO(b"[{}]")

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    return addresses


def test_local_root_wins(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source_files("bridge", FIXTURES, tmp_path) == [FIXTURES / "bridge/train.json"]
    monkeypatch.setenv("EDU_ALIGN_DATA", str(FIXTURES))
    assert source_files("mathdial", None, tmp_path) == [FIXTURES / "mathdial/test.jsonl"]
    assert asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_stands_in_where_the_folder_has_none_of_its_name(asked: list[str], tmp_path: Path) -> None:
    """MathDial's training part: under its own name, or where it was put together again."""
    again, own = tmp_path / "mathdial_train/mathdial_shape.jsonl", tmp_path / "mathdial/train.jsonl"
    for file in (again, tmp_path / "mathdial/test.jsonl", own):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert source_files("mathdial", tmp_path, tmp_path) == [own, tmp_path / "mathdial/test.jsonl"]
    own.unlink()
    assert source_files("mathdial", tmp_path, tmp_path) == [again, tmp_path / "mathdial/test.jsonl"]
    (tmp_path / "mathdial/test.jsonl").unlink()
    assert source_files("mathdial", tmp_path, tmp_path) == [again]
    assert asked == []


def test_download_once_with_its_hash(asked: list[str], tmp_path: Path) -> None:
    files = source_files("bridge", None, tmp_path)
    assert [file.name for file in files] == ["train.json", "validation.json", "test.json"]
    assert all(bridge.SOURCE.revision in url for url in asked)
    assert source_files("bridge", None, tmp_path) == files
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [("content", "changed since it was downloaded"), ("record", ""), ("binary record", ""), ("folder", "")],
)
def test_a_damaged_download_is_refused(damage: str, message: str, asked: list[str], tmp_path: Path) -> None:
    file = source_files("bridge", None, tmp_path)[0]
    record = file.with_name(f"{file.name}.sha256")
    if damage == "content":
        file.write_text("[]")
    elif damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        record.write_bytes(b"0" if damage == "record" else b"\xff\xfe\x00")
    with pytest.raises(UserError, match=rf"train\.json.*{message}"):
        source_files("bridge", None, tmp_path)


@pytest.mark.parametrize("error", [urllib.error.URLError("no route"), TimeoutError("slow"), ConnectionError("reset")])
def test_no_network_names_both_ways_out(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> Any:
        raise error

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    with pytest.raises(UserError, match=r"(?s)'mrbench'.*data_root.*EDU_ALIGN_DATA.*mrbench/devset\.json.*network"):
        source_files("mrbench", tmp_path, tmp_path)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
