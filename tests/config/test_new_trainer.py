"""A training method from outside: a class, an entry in the dictionary of schemas and a YAML are all that it takes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from edu_align.config.compose import compose
from edu_align.config.schema import GROUP_SCHEMAS, TrainerConfig, key, trainers

YAML = """\
defaults: [odds_schema, _self_]
learning_rate: 1e-4
epochs: 1
batch_size: 4
max_length: 256
"""


@dataclass
class OddsConfig(TrainerConfig):
    trl_config: ClassVar = ("trainer/dpo_config.py", "DPOConfig")
    reads: ClassVar = "preferences"

    algorithm: str = key("odds", words=trainers)
    odds: float = key(0.5, "> 0 and <= 1", trl="label_smoothing")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(GROUP_SCHEMAS["trainer"], "odds_schema", OddsConfig)
    (tmp_path / "trainer").mkdir()
    (tmp_path / "trainer" / "odds.yaml").write_text(YAML, encoding="utf-8")
    return tmp_path


def test_it_composes(folder: Path) -> None:
    composed = compose(["trainer=odds", "trainer.odds=0.25", "dataset=bridge"], [folder])
    assert (composed.trainer.algorithm, composed.trainer.odds) == ("odds", 0.25)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["trainer.odds=2"], "`trainer.odds` must be > 0 and <= 1, got 2.0. A common value is trainer.odds=0.5."),
        (["trainer.odd=1"], "`trainer.odd` is not a key. Did you mean `trainer.odds`?"),
        (
            ["trainer.algorithm=ods"],
            "`trainer.algorithm` must be one of sft | dpo | kto | reward | grpo | odds, got 'ods'. Did you mean `o",
        ),
        (["+trainer.args.label_smoothing=1"], "`trainer.args.label_smoothing` is set by `trainer.odds`."),
        (["dataset=mathdial"], "trainer=odds needs preferences, and mathdial (`dataset.sources`) has none."),
    ],
)
def test_its_keys_are_checked(
    problems: Callable[..., list[str]], folder: Path, overrides: list[str], expected: str
) -> None:
    (found,) = problems("trainer=odds", *overrides, folder=folder)
    assert found.startswith(expected)
