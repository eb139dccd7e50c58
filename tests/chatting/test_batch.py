"""Files of replies: whatever is in a batch and wherever a start was stopped, the same rows."""

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.chatting.batch import settings_path
from edu_align.generate import main
from tests.chatting.conftest import TALKATIVE

ASKED = ["2 + 3?", "Why is 7 x 8 = 56? I counted on my fingers and found 54.", "Hi", "What is a half of a half?", "3?"]
Generate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps({"id": f"q{i}", "prompt": text}) + "\n" for i, text in enumerate(ASKED)))
    return path


@pytest.fixture
def generate(here: Callable[..., Any], talker: str, asked: Path, outputs: Path) -> Generate:
    """`generate(output, "generation.temperature=1")`: the program on a tiny tutor; replies of 12 tokens."""

    def run(output: Path, *more: str) -> tuple[int, str, str]:
        words = [f"input={asked}", f"output={output}", f"outputs_root={outputs}", "generation.max_new_tokens=12"]
        return here(main, f"run={talker}", *words, *more)

    return run


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def refusal(generate: Generate, output: Path, *more: str) -> str:
    code, _, err = generate(output, *more)
    assert code == 2
    return err


def test_rows_and_settings(generate: Generate, tmp_path: Path) -> None:
    output = tmp_path / "new" / "replies.jsonl"
    code, out, _ = generate(output)
    assert code == 0
    assert f"5 replies written to {output}" in out
    found = rows(output)
    assert [row["id"] for row in found] == [f"q{i}" for i in range(5)]
    assert [row["prompt"] for row in found] == [[{"role": "user", "content": text}] for text in ASKED]
    assert all(isinstance(row["reply"], str) for row in found)
    settings = json.loads(settings_path(output).read_text())
    assert settings["run"] == "talker"
    assert settings["base_model"].startswith("folder:model:")
    assert settings["generation"]["max_new_tokens"] == 12


def test_greedy_replies_do_not_depend_on_the_batch(generate: Generate, tmp_path: Path) -> None:
    together, alone = tmp_path / "together.jsonl", tmp_path / "alone.jsonl"
    generate(together, "hardware.eval_batch_size=5", TALKATIVE)
    generate(alone, "hardware.eval_batch_size=1", TALKATIVE)
    assert together.read_bytes() == alone.read_bytes()
    assert len({row["reply"] for row in rows(alone)}) > 2


@pytest.mark.parametrize("drawn", [[], ["generation.temperature=1.0", "generation.top_p=0.9", "seed=3"]])
@pytest.mark.parametrize("kept", [1, 4])
def test_a_stopped_start_goes_on(generate: Generate, tmp_path: Path, drawn: list[str], kept: int) -> None:
    whole, stopped = tmp_path / "whole.jsonl", tmp_path / "stopped.jsonl"
    batch = "hardware.eval_batch_size=2"
    assert generate(whole, batch, *drawn)[0] == 0
    lines = whole.read_bytes().splitlines(keepends=True)
    generate(stopped, batch, *drawn)
    stopped.write_bytes(b"".join(lines[:kept]) + lines[kept][:15])
    code, out, _ = generate(stopped, batch, *drawn)
    assert code == 0
    assert "a half-written row at the end" in out
    assert f"going on in {stopped}: {kept} of 5 rows are there" in out
    assert stopped.read_bytes() == whole.read_bytes()
    assert "0 replies written" in generate(stopped, batch, *drawn)[1]
    assert stopped.read_bytes() == whole.read_bytes()


def test_the_seed_decides_what_is_drawn(generate: Generate, tmp_path: Path) -> None:
    found = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        generate(tmp_path / f"{name}.jsonl", "generation.temperature=1.0", f"seed={seed}")
        found[name] = (tmp_path / f"{name}.jsonl").read_bytes()
    assert found["a"] == found["b"] != found["c"]


def test_another_run_of_it_is_refused(generate: Generate, asked: Path, tmp_path: Path) -> None:
    output = tmp_path / "replies.jsonl"
    generate(output)
    assert "was made with other settings: generation was" in refusal(generate, output, TALKATIVE)
    asked.write_text(asked.read_text().replace("Hi", "Hello"))
    assert "row 3 answers another prompt under the id 'q2'" in refusal(generate, output)
    settings_path(output).unlink()
    assert "is there already, without replies.jsonl.settings.json" in refusal(generate, output)


def test_new_prompts_are_added(generate: Generate, asked: Path, tmp_path: Path) -> None:
    output = tmp_path / "replies.jsonl"
    generate(output)
    before = output.read_bytes()
    asked.write_text(asked.read_text() + json.dumps({"id": "new", "prompt": "And now?"}) + "\n")
    assert "1 replies written" in generate(output)[1]
    assert output.read_bytes().startswith(before)
    assert rows(output)[-1]["id"] == "new"


def test_two_processes_do_not_write_one_file(generate: Generate, tmp_path: Path) -> None:
    output = tmp_path / "replies.jsonl"
    with output.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another process is writing to it" in refusal(generate, output)


def test_long_dialogues_lose_turns_and_too_long_ones_have_no_reply(
    generate: Generate, asked: Path, tmp_path: Path
) -> None:
    turns = [{"role": role, "content": "x" * 600} for _ in range(2) for role in ("user", "assistant")]
    dialogue = {
        "id": "talk",
        "messages": [*turns, {"role": "user", "content": "y"}, {"role": "assistant", "content": "z"}],
    }
    asked.write_text("".join(json.dumps(row) + "\n" for row in (dialogue, {"id": "long", "prompt": "x" * 2100})))
    code, out, _ = generate(tmp_path / "replies.jsonl")
    first, second = rows(tmp_path / "replies.jsonl")
    assert code == 0
    assert (first["dropped_turns"], first["reference_reply"]) == (2, "z")
    assert isinstance(first["reply"], str)
    assert second["reply"] is None
    assert "tokens" in second["error"]
    assert "row long has no reply" in out


def test_a_base_model_without_a_run(here: Callable[..., Any], asked: Path, tmp_path: Path) -> None:
    words = [f"input={asked}", f"output={tmp_path / 'base.jsonl'}", "hardware=cpu", "generation.max_new_tokens=4"]
    code, _, err = here(main, "model=tiny", *words)
    assert code == 0, err
    assert len(rows(tmp_path / "base.jsonl")) == 5
    settings = json.loads(settings_path(tmp_path / "base.jsonl").read_text())
    assert (settings["run"], settings["model"]) == (None, "tiny")
