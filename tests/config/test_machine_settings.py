"""A machine's own settings: below the command line, above conf/, said and recorded, and blamed where they are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from edu_align import evaluate
from edu_align.config.arguments import key_values, parse
from edu_align.config.machine_settings import USED, for_command, settings, settings_file, used
from tests.config.conftest import Here

SETTINGS = """\
hardware: t4
hardware.memory_gb: 14
tracking: off
outputs_root: "a place, with a comma"
trainer:
  save_steps: 7
  beta: 0.3
generation: {temperature: 0.5}
model.name: mine
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`write(text)`: the file of settings of a machine that is this test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv(USED, "")

    def go(text: str) -> Path:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        settings_file().write_text(text, encoding="utf-8")
        return settings_file()

    return go


def test_they_stand_above_conf_and_below_the_command_line(here: Here, write: Any) -> None:
    file = write(SETTINGS)
    code, out, err = here("--cfg", "job", "adapter=lora")
    config = yaml.safe_load(out)
    assert code == 0
    assert (config["hardware"]["name"], config["hardware"]["memory_gb"], config["tracking"]["name"]) == (
        "t4",
        14,
        "off",
    )
    assert (config["outputs_root"], config["trainer"]["save_steps"]) == ("a place, with a comma", 7)
    assert "beta" not in config["trainer"]  # it belongs to trainer=dpo
    assert err.count("\n") == 1
    assert err.startswith(f"edu_align: settings of this machine, from {file}: hardware=t4 hardware.memory_gb=14 ")
    words = ["trainer=dpo", "hardware=cpu", "outputs_root=o", "trainer.beta=0.1"]
    config = yaml.safe_load(here(*words, "--cfg", "job")[1])
    assert (config["trainer"]["beta"], config["trainer"]["save_steps"], config["outputs_root"]) == (0.1, 7, "o")
    assert (config["hardware"]["name"], config["hardware"]["memory_gb"]) == ("cpu", None)  # 14 was of the t4
    assert json.loads(json.dumps(used()["keys"])) == {
        "tracking": "off", "trainer.save_steps": 7, "generation.temperature": 0.5, "model.name": "mine",
    }  # fmt: skip


def test_without_the_file_nothing_is_said_and_nothing_taken(here: Here, write: Any) -> None:
    assert settings_file().name == "config.yaml"
    assert here("--cfg", "job")[2] == ""
    assert used() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hardwar: t4", "`hardwar` is not a key. Did you mean `hardware`?"),
        ("trainer: {bata: 1}", "`trainer.bata` is not a key. Did you mean `trainer.beta`?"),
        ("seed: 1\nseed: 2", "cannot be read as YAML: "),
        ("trainer.beta: 1\ntrainer: {beta: 2}", "`trainer.beta` stands there twice. Write it once."),
        ("[a, b]", "must hold `key: value` lines"),
        ("outputs_root: ${nowhere}", "cannot be read as YAML: "),
    ],
)
def test_a_wrong_file_is_named_by_every_command(write: Any, text: str, said: str) -> None:
    file = write(text)
    for read in (settings, lambda: parse(["run=x"], ("outputs_root",)), lambda: key_values([], ("outputs_root",), "x")):
        with pytest.raises(Exception, match=said[:10]) as caught:
            read()
        assert f"{file}: {said}" in str(caught.value)


def test_wrong_values_are_told_with_the_file(here: Here, write: Any) -> None:
    file = write("hardware: t5\nseed: -3\ndataset.size: many\n")
    code, out, err = here("trainer.max_steps=few")
    assert (code, out) == (2, "")
    for problem in ("`hardware=t5` is not an option.", "`dataset.size` must be a whole number", "`seed` must be >= 0"):
        assert f"  - {file}: {problem}" in err
    assert "  - `trainer.max_steps` must be a whole number" in err


def test_other_commands_take_places_and_the_groups_that_they_can_set(write: Any, capsys: Any) -> None:
    write(
        "hardware: cpu\noutputs_root: there\nmodel: zephyr\ndataset.system_prompt: Hi\ngeneration.top_p: 0.5\nseed: 1"
    )
    words = parse(["run=a", "hardware.threads=2"], ("outputs_root", "seed"))
    assert (words.own, words.runs) == ({"outputs_root": "there"}, ["a"])
    assert words.overrides == {"hardware": "cpu", "generation.top_p": "0.5", "hardware.threads": "2"}
    assert parse(["run=a", "outputs_root=here"], ("outputs_root",), groups=("export",)).own == {"outputs_root": "here"}
    assert key_values([], ("outputs_root",), "outputs_root") == {"outputs_root": "there"}
    assert "settings of this machine" in capsys.readouterr().err
    assert for_command(["run=a"], ("seed",), ()) == ["run=a"]


def test_evaluate_takes_them(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write("outputs_root: there\nevaluation.split: validation\n")
    given: list[Any] = []
    monkeypatch.setattr(evaluate, "evaluate", lambda *arguments: given.append(arguments))
    monkeypatch.setattr("sys.argv", ["evaluate", "run=a"])
    evaluate.main()
    assert given == [("a", {"evaluation.split": "validation"}, Path("there"))]


def test_a_preset_sweeps_what_the_file_sets(here: Here, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write("trainer.beta: 0.2\ntracking: off\n")
    asked: list[list[str]] = []
    monkeypatch.setattr("edu_align.sweeps.sweep.run_sweep", lambda *arguments: asked.append(arguments[-1]))
    assert here("sweep=beta_lr")[0] == 0
    assert asked[0][:2] == ["trainer.beta=0.05,0.1,0.3", "trainer.learning_rate=5e-5,1e-4,2e-4"]
    assert asked[0][2:] == ["tracking=off", "sweep=beta_lr"]


def test_a_run_records_what_it_took(write: Any, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    from edu_align.training import run as training

    file = write("trainer.save_steps: 7\n")
    facts: list[dict[str, Any]] = []

    def noted(composed: Any, *_: Any) -> None:
        facts.append(used())
        assert composed.trainer.save_steps == 7

    monkeypatch.setattr(training, "run", noted)
    assert here("model=tiny")[0] == 0
    assert facts == [{"file": str(file), "keys": {"trainer.save_steps": 7}}]
