"""conf/ and the schemas say the same, and every key is explained."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from edu_align.config.comments import conf_dir
from edu_align.config.compose import compose
from edu_align.config.keys import base_schema, leaves
from edu_align.config.precheck.draft import draft
from edu_align.config.precheck.files import Files
from edu_align.config.precheck.overrides import read_all
from edu_align.config.schema import GROUP_SCHEMAS, Config, DPOTrainerConfig

CONF = conf_dir()
FILES = {
    group: sorted((CONF / group).glob("*.yaml"))
    for group in ("model", "dataset", "trainer", "hardware", "adapter", "tracking")
}
OPTIONS = [(group, path.stem) for group, paths in FILES.items() for path in paths]


def test_every_group_has_the_options_that_the_design_names() -> None:
    assert {group: [path.stem for path in paths] for group, paths in FILES.items()} == {
        "model": [
            "gemma3_1b", "gemma3_270m", "gemma3_4b", "llama2", "llama3_1_8b", "llama3_2_1b", "llama3_2_3b", "mistral",
            "phi4_mini", "qwen2_5_0_5b", "qwen2_5_1_5b", "qwen2_5_7b", "qwen3_0_6b", "qwen3_1_7b", "qwen3_4b",
            "smollm2", "smollm2_1_7b", "smollm2_360m", "smollm3_3b", "tiny", "zephyr",
        ],
        "dataset": [
            "agentinstruct", "bridge", "cogtutorbugs", "convolearn", "edu_tutor", "gsm8k_socratic", "local", "mae",
            "mathchat", "mathdial", "mathdial_bridge", "mrbench", "mrbench_bridge", "oatutor", "puffin",
            "semeval2013", "stack_exchange", "stepverify", "ultrachat", "ultrafeedback",
        ],
        "trainer": ["dpo", "grpo", "kto", "reward", "sft"],
        "hardware": ["a100", "auto", "cpu", "h100", "h200", "t4"],
        "adapter": ["dora", "full", "lora", "pissa", "rslora"],
        "tracking": ["off", "wandb"],
    }  # fmt: skip
    assert set(FILES) == set(GROUP_SCHEMAS)


ROUNDS = max(len(paths) for paths in FILES.values())


@pytest.mark.parametrize("number", range(ROUNDS))
def test_every_option_composes(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text("{}\n", encoding="utf-8")
    chosen = {group: paths[number % len(paths)].stem for group, paths in FILES.items()}
    needed = ["hardware.quantization=none"] if chosen["adapter"] in ("full", "dora", "pissa") else []
    if chosen["dataset"] == "local":
        needed.append("dataset.path=rows.jsonl")
    elif chosen["trainer"] != "sft":
        needed.append("dataset.sources=[mrbench]")
    composed = compose([*(f"{group}={option}" for group, option in chosen.items()), *needed])
    for group, option in chosen.items():
        kind = "lora" if option in ("rslora", "dora", "pissa") else option  # LoRA with options of PEFT
        assert composed[group]["algorithm" if group == "trainer" else "name"] == kind
    assert isinstance(OmegaConf.to_object(composed), Config)


@pytest.mark.parametrize(("group", "option"), [*OPTIONS, ("", "config")])
def test_the_yaml_has_every_key_of_its_schema_with_a_comment(group: str, option: str) -> None:
    path = CONF / group / f"{option}.yaml"
    schema = GROUP_SCHEMAS[group].get(f"{option}_schema", base_schema(group)) if group else Config
    expected = {key for key in leaves(schema) if group or key.partition(".")[0] not in GROUP_SCHEMAS}
    found = {re.sub(r"^(template_args|args)\..*", r"\1", key) for key in _keys(path) if not key.startswith("hydra.")}
    if group == "model" and "architecture.hidden_size" not in found:  # its sizes are its config.json's
        expected = {"name", "path", "revision", "chat_template", "template_args"}
    assert found == expected
    assert uncommented(path) == []


def test_experiments_open_with_their_package_and_command() -> None:
    experiments = sorted((CONF / "experiment").glob("*.yaml"))
    assert len(experiments) >= 2
    for path in experiments:
        first, second = path.read_text(encoding="utf-8").splitlines()[:2]
        assert first == "# @package _global_"
        assert second.startswith("# python -m edu_align.train ")
        assert f"experiment={path.stem}" in second


EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["trainer=dpo", "model=zephyr", "hardware=t4", "tracking=off"],
        *(pytest.param([f"experiment={name}"], marks=pytest.mark.slow) for name in EXPERIMENTS),
        ["experiment=reproduce_dpo", "trainer=sft", "model=tiny"],
    ],
    ids=" ".join,
)
def test_the_check_reads_the_files_as_hydra_composes_them(overrides: list[str]) -> None:
    files = Files(CONF, [])
    ours = draft(files, "config", read_all(overrides, files)[0])
    assert ours.problems == []
    OmegaConf.resolve(ours.root)
    assert OmegaConf.to_container(ours.root) == OmegaConf.to_container(compose(overrides))


def test_compose_gives_a_resolved_read_only_typed_config() -> None:
    words = ["trainer=dpo", "trainer.beta=0.3", "outputs_root=out", "run_name=${outputs_root}-a", "tracking=off"]
    composed = compose(words)
    assert composed.run_name == "out-a"
    assert composed.tracking.name == "off"  # a word, though YAML 1.1 reads it as false
    with pytest.raises(Exception, match="read-only"):
        composed.seed = 1
    typed = OmegaConf.to_object(composed)
    assert isinstance(typed, Config)
    assert isinstance(typed.trainer, DPOTrainerConfig)
    assert typed.trainer.beta == 0.3


def _keys(path: Path) -> set[str]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content.pop("defaults")
    return set(_flat(content, ""))


def _flat(node: dict[str, object], prefix: str) -> Iterator[str]:
    for key, value in node.items():
        yield from _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [prefix + key]


def uncommented(path: Path) -> list[str]:
    """Keys with a value that have no comment directly above and none behind them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lacking = []
    for number, line in enumerate(lines):
        key, _, value = line.strip().partition(": ")
        is_key = value and not line.strip().startswith(("#", "-")) and key != "defaults"
        if is_key and " #" not in line and not lines[number - 1].strip().startswith("#"):
            lacking.append(key)
    return lacking


def test_only_presets_of_sweeps_and_experiments_make_a_sweep() -> None:
    """`launch` spares Hydra the question for command lines without one."""
    for path in conf_dir().rglob("*.yaml"):
        if path.parent.name not in ("sweep", "experiment"):
            assert "mode" not in ((yaml.safe_load(path.read_text()) or {}).get("hydra") or {}), path
