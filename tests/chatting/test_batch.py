"""Files of replies: whatever is in a batch and wherever a start was stopped, the same rows."""

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.chatting import model
from edu_align.chatting.batch import settings_path
from edu_align.generate import main
from tests.chatting.conftest import TALKATIVE, Here, json_rows

ASKED = ["2 + 3?", "Why is 7 x 8 = 56? I counted on my fingers and found 54.", "Hi", "What is a half of a half?", "3?"]
Generate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps({"id": f"q{i}", "prompt": text}) + "\n" for i, text in enumerate(ASKED)))
    return path


@pytest.fixture
def generate(here: Here, talker: str, asked: Path, outputs: Path) -> Generate:
    """`generate(output, "generation.temperature=1")`: the program on a tiny tutor; replies of 12 tokens."""

    def run(output: Path, *more: str) -> tuple[int, str, str]:
        words = [f"input={asked}", f"output={output}", f"outputs_root={outputs}", "generation.max_new_tokens=12"]
        return here(main, f"run={talker}", *words, *more)

    return run


def refusal(generate: Generate, output: Path, *more: str) -> str:
    code, _, err = generate(output, *more)
    assert code == 2
    return err


def test_rows_and_settings(generate: Generate, tmp_path: Path) -> None:
    output = tmp_path / "new" / "replies.jsonl"
    code, out, _ = generate(output)
    assert code == 0
    assert f"5 replies written to {output}" in out
    assert [(row["id"], row["prompt"], type(row["reply"])) for row in json_rows(output)] == [
        (f"q{i}", [{"role": "user", "content": text}], str) for i, text in enumerate(ASKED)
    ]
    settings = json.loads(settings_path(output).read_text())
    assert (settings["run"], settings["generation"]["max_new_tokens"]) == ("talker", 12)
    assert settings["base_model"].startswith("folder:model:")


def test_greedy_replies_do_not_depend_on_the_batch(generate: Generate, tmp_path: Path) -> None:
    together, alone = tmp_path / "together.jsonl", tmp_path / "alone.jsonl"
    generate(together, "hardware.eval_batch_size=5", TALKATIVE)
    generate(alone, "hardware.eval_batch_size=1", TALKATIVE)
    assert together.read_bytes() == alone.read_bytes()
    assert len({row["reply"] for row in json_rows(alone)}) > 2


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
    found = []
    for number, seed in enumerate((0, 0, 1)):
        generate(tmp_path / f"{number}.jsonl", "generation.temperature=1.0", f"seed={seed}")
        found.append((tmp_path / f"{number}.jsonl").read_bytes())
    assert found[0] == found[1] != found[2]


REFUSES = "{% if 'half' in messages[-1]['content'] %}{{ raise_exception('no halves') }}{% endif %}"


@pytest.mark.cases("B1")
def test_a_prompt_that_the_template_refuses_has_no_reply(
    generate: Generate, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = model.load

    def refusing(*given: Any) -> list[Any]:
        models = load(*given)
        models[0].tokenizer.chat_template = REFUSES + models[0].tokenizer.chat_template
        return models

    monkeypatch.setattr(model, "load", refusing)
    output = tmp_path / "replies.jsonl"
    code, out, _ = generate(output)
    assert code == 0
    assert "edu_align: row q3 has no reply: the chat template" in out
    assert ["no halves" in row.get("error", "") for row in json_rows(output)] == [False, False, False, True, False]
    assert [row["reply"] is None for row in json_rows(output)] == [False, False, False, True, False]
    asked.write_text(json.dumps({"id": "q3", "prompt": ASKED[3]}))
    err = refusal(generate, tmp_path / "none.jsonl")
    assert "record q3: " in err
    assert "no halves" in err
    assert "model.chat_template=zephyr" in err


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
    assert json_rows(output)[-1]["id"] == "new"


def test_two_processes_do_not_write_one_file(generate: Generate, tmp_path: Path) -> None:
    output = tmp_path / "replies.jsonl"
    with output.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another process is writing to it" in refusal(generate, output)


def test_long_dialogues_lose_turns_and_too_long_ones_have_no_reply(generate: Generate, asked: Path) -> None:
    roles, contents = ["user", "assistant"] * 3, ["x" * 600] * 4 + ["y", "z"]
    turns = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
    given = [{"id": "talk", "messages": turns}, {"id": "long", "prompt": "x" * 2100}]
    asked.write_text("".join(json.dumps(row) + "\n" for row in given))
    output = asked.with_name("replies.jsonl")
    code, out, _ = generate(output)
    first, second = json_rows(output)
    assert (code, first["dropped_turns"], first["reference_reply"], second["reply"]) == (0, 2, "z", None)
    assert isinstance(first["reply"], str)
    assert "tokens" in second["error"]
    assert "row long has no reply" in out


def test_a_base_model_without_a_run(here: Here, asked: Path, tmp_path: Path) -> None:
    words = [f"input={asked}", f"output={tmp_path / 'base.jsonl'}", "hardware=cpu", "generation.max_new_tokens=4"]
    code, _, err = here(main, "model=tiny", *words)
    assert code == 0, err
    assert len(json_rows(tmp_path / "base.jsonl")) == 5
    settings = json.loads(settings_path(tmp_path / "base.jsonl").read_text())
    assert (settings["run"], settings["model"]) == (None, "tiny")
