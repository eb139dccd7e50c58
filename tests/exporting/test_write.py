"""An export that is there already is looked at before that is said."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align.exporting.write import is_exported
from edu_align.runs.seal import export_files, seal
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json


def emptied(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.cases("D7")
@pytest.mark.parametrize("damage", [emptied, Path.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "gguf/a.gguf"])
def test_a_damaged_export_is_made_again(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    (tmp_path / "gguf").mkdir()
    for file in ("model.safetensors", "gguf/a.gguf"):
        (tmp_path / file).write_text("weights")
    write_json(tmp_path / "export.json", {"settings": {"run": "a"}, "files": seal(tmp_path, export_files(tmp_path))})
    assert is_exported(tmp_path, {"run": "a"}, overwrite=False)
    damage(tmp_path / name)
    assert not is_exported(tmp_path, {"run": "a"}, overwrite=False)


@pytest.mark.cases("D18")
@pytest.mark.parametrize("content", ["[]", "{", '{"settings": 3}'])
def test_a_broken_record_is_one_message(tmp_path: Path, content: str) -> None:
    (tmp_path / "export.json").write_text(content)
    with pytest.raises(UserError, match=r"export\.json cannot be read"):
        is_exported(tmp_path, {"run": "a"}, overwrite=False)
