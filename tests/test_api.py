"""The Python door does what the commands do, raises what its caller can mend, and imports nothing early."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edu_align.api import Run, UserError, chat, compose, evaluate, train
from edu_align.config.machine_settings import settings_file
from edu_align.config.schema import Config, DPOTrainerConfig
from edu_align.records import Message
from tests.conftest import TINY


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [*TINY, f"outputs_root={tmp_path_factory.mktemp('door')}", "data_root=null"]


@pytest.fixture(scope="module")
def run(words: list[str]) -> Run:
    return train(["trainer=dpo", *words, "run_name=door"])


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = "[name for name in ('torch', 'transformers', 'trl', 'hydra', 'omegaconf', 'numpy') if name in sys.modules]"
    code = f"import sys, edu_align.api; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_config_is_typed() -> None:
    config = compose(["trainer=dpo", "trainer.beta=0.3", "model=tiny", "hardware=cpu"])
    assert isinstance(config, Config)
    assert isinstance(config.trainer, DPOTrainerConfig)
    assert (config.trainer.beta, config.model.name) == (0.3, "tiny")


def test_options_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "gentle.yaml").write_text("defaults: [dpo, _self_]\nbeta: 0.7\n")
    config = compose(["trainer=gentle"], [tmp_path])
    assert isinstance(config.trainer, DPOTrainerConfig)
    assert config.trainer.beta == 0.7


def test_a_machines_own_settings_stand_below_the_words() -> None:
    file = settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("trainer: {beta: 0.25, max_length: 640}\n")
    try:
        trainer: Any = compose(["trainer=dpo", "trainer.max_length=320"]).trainer
        assert (trainer.beta, trainer.max_length) == (0.25, 320)
    finally:
        file.unlink()


def test_a_run_has_metrics_samples_and_its_folder(run: Run, words: list[str], capsys: Any) -> None:
    stored = json.loads((run.path / "run.json").read_text())
    assert run.metrics == stored["metrics"]
    assert run.metrics["train/steps"] == 3
    assert {row["when"] for row in run.samples} == {"before", "after"}
    assert run.id == stored["id"]
    speeds = stored["measuring"]
    assert speeds.keys() == {"suite_seconds", "generation_tokens_per_second", "scoring_replies_per_second"}
    assert all(value > 0 for value in speeds.values())
    capsys.readouterr()
    again = train(["trainer=dpo", *words, "run_name=door"])
    assert (again.path, again.record) == (run.path, stored)
    assert "measuring" not in capsys.readouterr().out


def test_it_is_measured_as_by_the_command(run: Run, capsys: Any) -> None:
    quick = ["evaluation.max_groups=2", "evaluation.metrics=[pair_accuracy_own]"]
    rows = evaluate(run, quick)
    assert {row["label"] for row in rows} == {"base", "DPO"}
    assert rows == evaluate(run.path, [*quick, f"outputs_root={run.path.parents[1]}"])
    assert rows == evaluate([run], quick)
    listed = json.loads((run.path / "evaluation" / "test.json").read_text())
    assert listed["files"].keys() == {"base", "DPO"}
    assert listed["suite_seconds"] is None  # all was found again
    with pytest.raises(UserError, match="1 run not measured:\n  - nowhere: "):
        evaluate([run, "nowhere"], quick)


def test_it_answers_as_the_engine_does(run: Run) -> None:
    from edu_align.chatting.model import load
    from edu_align.chatting.source import run_source
    from edu_align.models.answers import replies

    few = ["generation.max_new_tokens=6", "generation.temperature=0", "hardware.dtype=float32"]
    question = "Is 1/2 + 1/3 = 2/5?"
    settings = {word.partition("=")[0]: word.partition("=")[2] for word in few}
    model = load([run_source(str(run.path), settings, str(run.path.parents[1]))])[0]
    with model.activated() as loaded:
        (expected,) = replies(loaded, model.tokenizer, [model.prompt([Message("user", question)])[0]], model.settings)
    assert chat(run, question, few) == expected
    assert chat(run, [{"role": "user", "content": question}], few) == expected
    before = chat(run, [{"role": "user", "content": question}], few, base=True)
    assert isinstance(before, str)
    drawn = [*few[:1], "generation.temperature=1.0", "seed=3"]
    assert chat(run, question, drawn) == chat(run, question, drawn)  # the seed is set anew


def test_the_page_about_it_runs(words: list[str], monkeypatch: Any, capsys: Any) -> None:
    """Every block of docs/python.md, with the tiny model in the place of its own."""
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    code = "\n".join(blocks)
    places = [word for word in words if word.startswith("outputs_root=")]
    few = ["evaluation.metrics=[pair_accuracy_own]", "evaluation.max_groups=2", *places]
    quick = ["generation.max_new_tokens=3", *places]
    for old, new in (
        ('"model=smollm2"', "*WORDS"),
        ('["evaluation.max_groups=50"]', "FEW"),
        ('"I think 1/2 + 1/3 is 2/5. Is that right?"', '"I think 1/2 + 1/3 is 2/5. Is that right?", QUICK'),
        ('["generation.temperature=0"]', '["generation.temperature=0", *QUICK]'),
    ):
        assert old in code
        code = code.replace(old, new)
    exec(code, {"WORDS": words, "FEW": few, "QUICK": quick})
    said = capsys.readouterr().out
    assert "before " in said
    assert re.search(r"^door_dpo \S+ \S+ \S+ \d+ \{|^DPO \S+ \S+ \S+ \d+ \{", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "`messages` must end with the user's, which is answered, and there is none"),
        ([{"role": "assistant", "content": "Hello."}], "the last is the assistant's"),
        ([{"role": "teacher", "content": "Hello."}], "message 1 must be"),
        ([{"role": "user", "content": "a"}, {"role": "user"}], "message 2 must be"),
        ([{"role": "user", "content": None}], "message 1 must be"),
        (["Hello."], "message 1 must be"),
        ("  ", "message 1 must be"),
    ],
)
def test_messages_of_another_form_are_named(messages: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        chat("never looked for", messages)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: train(["trainer.learning_rate=-1"]), r"`trainer\.learning_rate` must be > 0"),
        (lambda: train(["trainer.bata=1"]), r"trainer\.bata.*trainer\.beta"),
        (lambda: train(["sweep=beta_lr"]), r"`sweep=beta_lr` belongs to the command.*train sweep=beta_lr"),
        (lambda: train(["-m", "seed=1,2"]), r"`-m` belongs to the command"),
        (lambda: train(["preview=2"]), r"`preview` shows data and trains nothing"),
        (lambda: train("trainer=dpo"), r"`words` is a list with a text for each word, got 'trainer=dpo'"),
        (lambda: evaluate([]), r"`runs` is empty"),
        (lambda: evaluate("x", ["model=tiny"]), r"`model=tiny`: what is measured is the first argument"),
        (lambda: evaluate("x", ["seed=1"]), r"`seed=1` cannot be set here"),
        (lambda: evaluate("nowhere"), r"`run=nowhere`: no run\.json"),
        (lambda: chat("nowhere", "Hello?"), r"`run=nowhere`: no run\.json"),
        (lambda: chat("nowhere", "Hello?", ["web=true"]), r"`web=true` cannot be set here"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_user_error(call: Any, said: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        call()


def test_ctrl_c_is_a_keyboard_interrupt_and_the_run_goes_on(words: list[str], monkeypatch: Any) -> None:
    """Never an exit: a notebook's kernel lives on."""
    from edu_align.training import callbacks

    def stop(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    mine = ["trainer=sft", *words, "run_name=stopped"]
    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Recorder, "on_step_end", stop, raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(mine)
    run = train(mine)
    assert run.record["state"] == "finished"
    assert len(run.record["attempts"]) == 1
