"""What a finished run and an export left is looked at by every command that reads it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align import chat, evaluate, export, generate, harness, report, train
from edu_align.evaluation import lm_eval
from edu_align.runs.folder import read_record
from tests.chatting.conftest import Here, here  # noqa: F401

WEIGHTS, SETTINGS = "adapter/adapter_model.safetensors", "adapter/adapter_config.json"


@pytest.fixture
def copy(runs: Any, outputs: Path, tmp_path: Path) -> Path:
    """A tiny finished run in a place of this test's own."""
    target = tmp_path / "runs" / "mine"
    shutil.copytree(runs("sft").path, target, ignore=shutil.ignore_patterns("export", "lm_eval-*"))
    return target


@pytest.fixture
def readers(
    here: Here,  # noqa: F811
    copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Callable[..., tuple[int, str, str]]]:
    """Every command that opens a run, on `copy`: its exit code, stdout and stderr."""
    monkeypatch.setattr(lm_eval, "check_installed", lambda: None)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Hi"}\n')
    files = [f"input={tmp_path / 'prompts.jsonl'}", f"output={tmp_path / 'replies.jsonl'}"]
    root, run = f"outputs_root={tmp_path}", f"run={copy}"
    tiny = ["model=tiny", "hardware=cpu", "dataset.size=20", "trainer.max_steps=1", "adapter.rank=4"]
    return {
        "evaluate": lambda *more: here(evaluate.main, run, root, *more),
        "export": lambda *more: here(export.main, run, root, *more),
        "generate": lambda *more: here(generate.main, run, root, *files, *more),
        "chat": lambda *more: here(chat.main, run, root, *more, stdin="Hi\n"),
        "harness": lambda *more: here(harness.main, run, root, *more),
        "init_from": lambda *more: here(train.main, f"init_from={copy}", root, *tiny, *more),
        "report": lambda *more: here(report.main, f"runs={copy}", root, *more),
    }


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(bytes(content))


def other_alpha(file: Path) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "lora_alpha": 999}))


@pytest.mark.cases("D6")
def test_every_reader_names_what_is_not_what_training_left(copy: Path, readers: Any) -> None:
    flip(copy / WEIGHTS)
    other_alpha(copy / SETTINGS)
    for name, read in readers.items():
        code, out, err = read()
        line = err.splitlines()[-1]
        assert (name, code) == (name, 2), out + err
        assert f"{WEIGHTS} holds other bytes" in line, name
        assert f"{SETTINGS} has another size" in line, name
        assert "accept_changed=true" in line, name


@pytest.mark.cases("D6")
def test_it_can_be_accepted(copy: Path, readers: Any, tmp_path: Path) -> None:
    flip(copy / WEIGHTS)
    code, _, err = readers["generate"]("accept_changed=true")
    assert code == 0, err
    assert f"accepted as it is: {copy}: {WEIGHTS} holds other bytes" in err
    assert (tmp_path / "replies.jsonl").is_file()
    assert "`accept_changed` must be true or false" in readers["generate"]("accept_changed=perhaps")[2]


@pytest.mark.cases("D18")
@pytest.mark.parametrize("content", ["[]", "3", '{"state": "finished"}', "{", '{"state": "finished", "started": 3}'])
def test_a_record_that_is_none_is_one_message(copy: Path, readers: Any, content: str) -> None:
    (copy / "run.json").write_text(content)
    for name, read in readers.items():
        code, _, err = read()
        assert (name, code, err.count("\n")) == (name, 2, 1), err
        assert str(copy / "run.json") in err, name


@pytest.mark.cases("D18")
@pytest.mark.parametrize("content", [None, "", "a: [", "3", "trainer: 3"])
def test_a_config_that_is_gone_or_broken_is_one_message(copy: Path, readers: Any, content: str | None) -> None:
    """Also of a run of an earlier version, which was not sealed."""
    record = read_record(copy) or {}
    del record["files"]
    (copy / "run.json").write_text(json.dumps(record))
    (copy / "config.yaml").unlink() if content is None else (copy / "config.yaml").write_text(content)
    for name, read in readers.items():
        if name == "report" or (name == "init_from" and content is None):  # reads none; needs run.json and weights
            continue
        code, _, err = read()
        assert (name, code, err.count("\n")) == (name, 2, 1), err
        assert str(copy / "config.yaml") in err, name


@pytest.mark.cases("D7", "D18")
def test_an_export_is_looked_at(here: Here, copy: Path, tmp_path: Path, readers: Any) -> None:  # noqa: F811
    def again(*more: str) -> tuple[int, str, str]:
        return readers["export"]("export.gguf=f16", *more)

    folder = copy / "export"
    assert again()[0] == 0
    assert "holds this export already" in again()[1]
    gguf = next(folder.glob("gguf/*.gguf"))
    for file, damage, said in (
        (folder / "model.safetensors", lambda file: file.write_bytes(b""), "model.safetensors has another size"),
        (folder / "model.safetensors", Path.unlink, "model.safetensors is gone"),
        (gguf, flip, f"gguf/{gguf.name} holds other bytes"),
        (folder / "export.json", lambda file: file.write_text("[]"), "export.json cannot be read"),
    ):
        kept = file.read_bytes()
        damage(file)
        code, _, err = again()
        assert (code, said in err, "export.overwrite=true" in err) == (2, True, True), err
        code, _, err = readers["harness"]("of=export")
        assert (code, said in err) == (2, True), err
        file.write_bytes(kept)
    assert "holds this export already" in again()[1]
    flip(gguf)
    assert "exported to" in again("export.overwrite=true")[1]
    assert "holds this export already" in again()[1]


@pytest.mark.cases("D6")
def test_a_finished_command_looks_before_it_says_so(go: Any, capsys: Any) -> None:
    from edu_align.utils.errors import UserError

    folder = go("trainer=sft", "evaluation.enabled=false").path
    go("trainer=sft", "evaluation.enabled=false")
    assert "this run is finished already" in capsys.readouterr().out
    flip(folder / WEIGHTS)
    with pytest.raises(UserError, match=r"adapter_model.safetensors holds other bytes.*force=true"):
        go("trainer=sft", "evaluation.enabled=false")
    assert go("trainer=sft", "evaluation.enabled=false", "accept_changed=true").path == folder
    anew = go("trainer=sft", "evaluation.enabled=false", "force=true").path
    assert anew != folder
    assert go("trainer=sft", "evaluation.enabled=false").path == anew
