"""The experiments that repeat public works: they compose, and say what their READMEs say; slow: they run."""

import os
import re
import subprocess
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from edu_align.config.comments import conf_dir
from edu_align.config.compose import compose
from edu_align.config.text import meant
from edu_align.runs.folder import read_record
from edu_align.utils.jsonl import read_rows
from tests.children import program
from tests.composing import composed as unchecked
from tests.config.test_readme_commands import split, words_of

ROOT = Path(__file__).resolve().parents[2]
# Each recipe and the folder that explains it.
FOLDERS = {
    "zephyr_agentinstruct": "zephyr_agentinstruct",
    "mistral_puffin_t4": "mistral_puffin_t4",
    "llama2_stack_sft": "llama2_stack",
    "llama2_stack_dpo": "llama2_stack",
    "zephyr_beta_sft_qlora": "zephyr_beta",
    "zephyr_beta_dpo_qlora": "zephyr_beta",
    "tutor_sft": "tutor_recipe",
    "tutor_dpo": "tutor_recipe",
}
CHAINS = {
    "tutor": ["tutor_sft", "tutor_dpo"],
    "tutor_cpu": ["tutor_sft_cpu", "tutor_dpo_cpu"],
    "mrbench_sft_dpo": ["reproduce_sft", "mrbench_dpo"],
}
REPRODUCE = ["reproduce_sft", "reproduce_dpo"]
# On real data, with no public work beside it, and the folder that explains it.
OURS = {"mrbench_dpo": "mrbench_dpo", "tutor_05b_sft": "tutor_05b", "tutor_05b_dpo": "tutor_05b"}
SMALL = [f"{name}_cpu" for name in FOLDERS]
EVERY = [*REPRODUCE, *OURS, *FOLDERS, *SMALL, *CHAINS]
LIMIT = 180  # seconds that a CPU-sized variant may take
# What the CPU-sized variant of a recipe keeps: how it learns, from which kind of data, and what is trained.
KEPT = ("algorithm", "learning_rate", "lr_scheduler", "warmup_ratio", "weight_decay", "max_grad_norm", "args")
KEPT_WHERE_PRESENT = ("beta", "loss_type", "label_smoothing", "long_conversations")


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU-sized variants name their sample rows relative to the repository's root."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)


def head(name: str) -> list[str]:
    return (conf_dir() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[:2]


def table(name: str) -> dict[str, str]:
    """`{key: our value as written}` of the settings table of one experiment in its README."""
    page = (ROOT / "experiments" / FOLDERS[name] / "README.md").read_text(encoding="utf-8")
    part = page.partition(f"## Settings of `{name}`\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \| `([^`|]*)` \|", part, re.MULTILINE))


@cache
def experiment(name: str) -> Any:
    """Its config, which is read-only: composed once for all tests."""
    return compose([f"experiment={name}"])


def own_keys(name: str) -> set[str]:
    """Dotted keys that an experiment's file sets, with `<group>.name` for each group that it chooses."""
    content = yaml.safe_load((conf_dir() / "experiment" / f"{name}.yaml").read_text(encoding="utf-8"))
    groups = [word.removeprefix("override /") for line in content.pop("defaults") for word in line if line != "_self_"]
    found = {"trainer.algorithm" if group == "trainer" else f"{group}.name" for group in groups}

    def walk(node: dict[str, Any], prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            else:
                found.add(prefix + key)

    walk(content, "")
    return found


def test_these_are_all_experiments() -> None:
    assert sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml")) == sorted(EVERY)
    assert len(EVERY) == 24
    index = (ROOT / "experiments" / "README.md").read_text(encoding="utf-8")
    for folder in {*FOLDERS.values(), *OURS.values()}:
        assert f"({folder}/README.md)" in index


@pytest.mark.parametrize("name", EVERY)
def test_an_experiment_composes_and_so_does_the_command_that_it_opens_with(name: str, tmp_path: Path) -> None:
    package, command = head(name)
    assert package == "# @package _global_"
    overrides, multirun = split(words_of(command.removeprefix("# python "), tmp_path))
    assert overrides[0] == f"experiment={name}"
    assert not multirun
    bare = experiment(name)
    full = compose(overrides)
    assert [bare.trainer, bare.dataset] == [full.trainer, full.dataset]
    assert list(bare.chain) == CHAINS.get(name, [])


@pytest.mark.parametrize("name", FOLDERS)
def test_the_settings_are_the_ones_in_the_readme(name: str) -> None:
    composed, told = experiment(name), table(name)
    for key, text in told.items():
        expected = OmegaConf.to_container(OmegaConf.create(f"value: {text}"))["value"]  # type: ignore[index, call-overload]
        value = OmegaConf.select(composed, key)
        value = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        assert value == meant(key, expected), f"{key}: the README says {text}, the experiment has {value}"
    untold = own_keys(name) - set(told)
    assert not untold, f"not in the README's table: {sorted(untold)}"


@pytest.mark.parametrize("name", FOLDERS)
def test_the_inference_command_of_the_readme_has_the_experiments_settings(name: str) -> None:
    page = (ROOT / "experiments" / FOLDERS[name] / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (command,) = re.findall(r"python -m edu_align\.generate [^\n]*", page)
    told = dict(re.findall(r"generation\.(\w+)=(\S+)", command))
    composed = experiment(name).generation
    assert {key: float(value) for key, value in told.items()} == {key: composed[key] for key in told}
    assert {f"generation.{key}" for key in told} == {key for key in own_keys(name) if key.startswith("generation.")}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_small_variant_learns_in_the_same_way(name: str) -> None:
    full, small = experiment(name), experiment(f"{name}_cpu")
    for key in (*KEPT, *(key for key in KEPT_WHERE_PRESENT if key in full.trainer)):
        assert small.trainer[key] == full.trainer[key], key
    assert small.dataset.sources == full.dataset.sources
    assert small.adapter == full.adapter
    assert small.tracking == full.tracking
    assert (small.model.name, small.hardware.name, small.hardware.quantization) == ("smollm2", "cpu", "none")
    assert small.data_root == f"experiments/{FOLDERS[name]}/samples"
    assert small.trainer.max_steps <= 4


@pytest.mark.parametrize("name", [*FOLDERS, *SMALL])
def test_model_hardware_and_tracking_stay_the_users_choice(name: str) -> None:
    chosen = ["model=tiny", "hardware=cpu", "hardware.quantization=none", "tracking=off"]
    composed = compose([f"experiment={name}", *chosen])
    assert (composed.model.name, composed.hardware.name, composed.tracking.name) == ("tiny", "cpu", "off")


@pytest.mark.parametrize("name", ["tutor_sft", "tutor_dpo"])
@pytest.mark.parametrize("model", ["smollm2", "zephyr", "mistral", "llama2"])
def test_the_tutor_recipe_composes_for_every_model_and_preset(name: str, model: str) -> None:
    for preset in sorted(path.stem for path in (conf_dir() / "hardware").glob("*.yaml")):
        made = unchecked(f"experiment={name}", f"model={model}", f"hardware={preset}")
        assert (made.model.name, made.hardware.name) == (model, preset)


def test_dpo_of_the_tutor_recipe_trains_on_pairs_of_three_points() -> None:
    dpo = experiment("tutor_dpo").dataset
    assert (list(dpo.sources), dpo.training_margin, dpo.margin) == (["mrbench", "bridge"], 3.0, 2.0)


def test_the_tutor_recipe_without_data_is_one_error(tmp_path: Path) -> None:
    closed = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}  # nobody listens there
    done = run("experiment=tutor_sft", "model=tiny", f"outputs_root={tmp_path}", environment=closed)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("edu_align: error:") == 1
    assert "`data_root`" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def run(*overrides: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return program("edu_align.train", *overrides, cwd=ROOT, env={**os.environ, **(environment or {})})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outputs folder in which the bundled model lies dequantized already: that is paid for once, not by a run."""
    from edu_align.models.locate import BUNDLED_PACKAGE, locate

    if find_spec(BUNDLED_PACKAGE) is None:  # it is never imported: only its weights are installed
        pytest.skip(f"the package {BUNDLED_PACKAGE} is not installed")
    outputs = tmp_path_factory.mktemp("outputs")
    model: Any = OmegaConf.to_object(compose(["model=smollm2"]))
    locate(model.model, outputs, 0)
    return outputs


def check(folder: Path) -> dict[str, Any]:
    """run.json of a finished run that has trained four steps, measured before and after, and kept its samples."""
    record = read_record(folder)
    assert record["state"] == "finished"
    assert record["metrics"]["train/steps"] == 4
    lines = read_rows(folder / "metrics.jsonl")
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 4
    assert all(loss == loss and loss > 0 for loss in losses)
    if record["trainer"] == "dpo":
        assert {"rewards/chosen", "rewards/rejected", "rewards/margins"} <= {key for line in lines for key in line}
        assert "eval/pair_accuracy_implicit" in record["metrics"]
    else:
        assert record["metrics"]["eval/human_turn_nll"] > 0
    assert {"before", "after"} <= {row["when"] for row in read_rows(folder / "samples.jsonl")}
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    return record


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_small_variant_runs_end_to_end(name: str, prepared: Path) -> None:
    began = time.monotonic()
    done = run(f"experiment={name}", f"outputs_root={prepared}", f"run_name={name}", "tracking.mode=offline")
    assert done.returncode == 0, done.stderr[-3000:]
    assert time.monotonic() - began < LIMIT
    check(prepared / "runs" / name)


@pytest.mark.slow
def test_the_small_chain_runs_end_to_end(prepared: Path) -> None:
    began = time.monotonic()
    done = run("experiment=tutor_cpu", f"outputs_root={prepared}", "run_name=chain", "tracking.mode=offline")
    assert done.returncode == 0, done.stderr[-3000:]
    assert time.monotonic() - began < LIMIT
    sft, dpo = (check(prepared / "runs" / f"chain-{name}") for name in CHAINS["tutor_cpu"])
    assert (sft["trainer"], dpo["trainer"]) == ("sft", "dpo")
    assert dpo["init_from"].endswith("chain-tutor_sft_cpu")
