"""No secret is printed or written: refused in a config, cut out of messages, and never read into a record."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edu_align.utils.secrets import found_in, is_secret_name, redacted
from tests.children import program
from tests.conftest import TINY

REPOSITORY = Path(__file__).resolve().parents[2]
PLANTED = {
    "HF_TOKEN": "Qx7planted1huggingface2token",
    "WANDB_API_KEY": "Qx7planted3wandb4key5" + "0" * 20,
    "OPENAI_API_KEY": "Qx7planted6openai7key",
    "AWS_SECRET_ACCESS_KEY": "Qx7planted8aws9secret",
}
IN_WORDS = "Qx7planted0word1secret2"
SHAPED = "hf_Qx7plantedShaped12345"


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)


def test_names_of_secrets() -> None:
    for name in ("hub_token", "trainer.args.push_to_hub_token", "HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        assert is_secret_name(name)
    for name in ("trainer.args.eos_token", "pad_token", "model.tokenizer", "max_new_tokens", "key"):
        assert not is_secret_name(name)


def test_what_is_seen_and_cut_out(planted: None) -> None:
    seen = {
        f"https://user:{IN_WORDS}@host/x": "https://***@host/x",
        f"https://{IN_WORDS}@host": "https://***@host",
        f"a {SHAPED} b": "a *** b",
        f"x={PLANTED['OPENAI_API_KEY']};": "x=***;",
        "sk-proj-abcdefghijklmnop1234": "***",
    }
    for text, expected in seen.items():
        assert found_in(text)
        assert redacted(text) == expected
    for text in ("ssh://git@github.com/a/b", "outputs/runs", "12fd25f77366fa6b3b4b768ec3050bf629380bac", "a@b.org"):
        assert found_in(text) == ""
        assert redacted(text) == text


REFUSED = (
    [f"+trainer.args.hub_token={IN_WORDS}"],
    [f"+trainer.args.push_to_hub_token={IN_WORDS}", "seeed=1"],
    [f"trainer.args.hub_token={IN_WORDS}"],
    [f"model.path=https://user:{IN_WORDS}@host/model"],
    [f"data_root=https://{IN_WORDS}@host/data"],
    [f"run_name={SHAPED}"],
    ["run_name=${oc.env:HF_TOKEN}"],
    ["dataset.system_prompt='key ${oc.env:OPENAI_API_KEY} here'"],
    [f"tracking.tags=[a,{SHAPED}]"],
    [f"model.pth={SHAPED}", f"hydra.job.name={SHAPED}"],
    [f"run_name='{SHAPED}"],
    ["--cfg", "job", "--resolve", "run_name=${oc.env:HF_TOKEN}"],
)


@pytest.mark.parametrize("words", REFUSED, ids=range(len(REFUSED)))
def test_a_config_with_a_secret_is_refused_without_it(
    words: list[str], tmp_path: Path, planted: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from edu_align import train

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", *words])
    with pytest.raises(SystemExit) as ended:
        train.main()
    out, err = capfd.readouterr()
    assert ended.value.code == 2
    assert "Qx7planted" not in out + err
    assert list(tmp_path.rglob("*")) == []
    key = next(word for word in words if "=" in word).lstrip("+").partition("=")[0]
    assert key in err
    assert "secret" in err or "cannot be read" in err


def test_a_run_with_secrets_around_it_keeps_none(tmp_path: Path) -> None:
    """A whole tracked run whose environment, git remote and netrc hold secrets: no file and no line has one of them."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    remote = f"https://user:{IN_WORDS}@host/x.git"
    subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", remote], check=True)
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password Qx7planted" + "cd" * 15 + "\n")
    (tmp_path / ".netrc").chmod(0o600)
    variables = {**os.environ, **PLANTED, "PYTHONPATH": str(REPOSITORY), "WANDB_MODE": "offline", "HOME": str(tmp_path)}
    words = [word for word in TINY if word != "tracking=off"] + ["trainer=sft", "outputs_root=out", "run_name=it"]
    words += ["tracking=wandb", "tracking.artifact=true"]
    done = program("edu_align.train", *words, cwd=tmp_path, env=variables)
    assert done.returncode == 0, done.stderr
    files = [file for file in tmp_path.rglob("*") if file.is_file() and ".git" not in file.parts]
    files.remove(tmp_path / ".netrc")
    names = {file.name for file in files}
    assert {"run.json", "config.yaml", "README.md", "metrics.jsonl", "adapter_model.safetensors"} <= names
    assert any(file.suffix == ".wandb" for file in files)
    assert [str(file) for file in files if b"Qx7planted" in file.read_bytes()] == []
    assert "Qx7planted" not in done.stdout + done.stderr


def test_the_error_of_a_failed_run_keeps_no_secret(
    go: Callable[..., object], planted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library may say what it was given: run.json does not."""
    from edu_align.training import session

    def fail(*_: object) -> None:
        raise OSError(f"403 for https://user:{IN_WORDS}@host with {PLANTED['HF_TOKEN']}")

    monkeypatch.setattr(session, "build_model", fail)
    with pytest.raises(OSError, match="403"):
        go("trainer=sft", "run_name=it", "evaluation.enabled=false")
    record = (tmp_path / "runs" / "it" / "run.json").read_text()
    assert "403 for https://***@host with ***" in record
    assert "Qx7planted" not in record
