"""Thousands of malformed inputs: each gives usable records or one clear error, and nothing is lost without a count."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from edu_align.config.schema import DatasetConfig
from edu_align.data import download, hub
from edu_align.data.dataset import LoadedData, load_records
from edu_align.data.pairs import training_pairs
from edu_align.models.chat_template import chat_ids, control_token_warning, control_tokens
from edu_align.models.template_choice import ZEPHYR_TEMPLATE
from edu_align.records import Conversation, Message, ResponseGroup
from edu_align.training.dpo_rows import dpo_rows, shorten_prompts
from edu_align.training.sft_rows import sft_rows
from edu_align.utils.errors import UserError
from tests.data.fuzzing import GOOD, Case, case, suffixes, written
from tests.models.test_control_tokens import bytes_with

FAST, FULL = 22, 380  # examples of each of the 20 loaders
LONGEST = 4000  # characters of a message that a person still reads
SHOWN: Counter[tuple[str, str]] = Counter()


TOKENIZER = bytes_with(ZEPHYR_TEMPLATE)


def run_case(made: Case, root: Path) -> str:
    """Load the case and prepare what comes out for training; returns what became of it."""
    shutil.rmtree(root, ignore_errors=True)
    file = made.lay(root)
    source = made.loader.partition(":")[0]
    config = DatasetConfig(
        name="fuzzed", sources=[source], path=str(file) if source == "local" else None, format=made.format,
        columns=made.columns, margin=1.0, validation_fraction=0.0, test_fraction=0.0,
    )  # fmt: skip
    try:
        data = load_records(config, root, root / "out", 0, made.view)
    except UserError as error:
        message = str(error)
        assert message.strip()
        assert len(message) <= LONGEST, message[:500]
        message.encode()
        return "left out, by reason" if "no record is left" in message else "refused"
    prepare(data)
    return "used, some left out" if data.sources[source].dropped else "used"


def prepare(data: LoadedData) -> None:
    """Everything between a file and a trainer."""
    for report in data.sources.values():
        assert report.read == report.kept + sum(report.dropped.values())
    json.dumps(data.report).encode()
    data.describe().encode()
    records = [record for part in data.splits.values() for record in part]
    control_token_warning(TOKENIZER, records).encode()
    talks = [record for record in records if isinstance(record, Conversation)]
    rows, counts = sft_rows(TOKENIZER, talks, 256, "window")
    assert counts.conversations == len(talks)
    assert all(len(row["input_ids"]) == len(row["labels"]) <= 256 for row in rows)
    for talk in talks:
        only_the_templates(talk.messages)
    pairs = training_pairs([record for record in records if isinstance(record, ResponseGroup)], 1.0, 4, 0)
    short = shorten_prompts(TOKENIZER, pairs, 128).pairs
    assert all(row["chosen_ids"] for row in dpo_rows(TOKENIZER, short, 256)[0])
    for pair in short:
        for i in (pair.chosen, pair.rejected):
            only_the_templates([*pair.group.prompt, Message("assistant", pair.group.responses[i].text)])


def only_the_templates(messages: Any) -> None:
    """Nothing that a turn says is a control token."""
    control = set(control_tokens(TOKENIZER).names.values())
    found = [i for i in chat_ids(TOKENIZER, messages) if i in control]
    assert found == [TOKENIZER.eos_token_id] * len(messages)


def fuzz(loader: str, examples: int, tmp_path: Path) -> None:
    @seed(20)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case(loader))
    def each(made: Case) -> None:
        SHOWN[loader, run_case(made, tmp_path / "root")] += 1

    each()


@pytest.fixture(autouse=True)
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loader whose file is not there asks the network, which is not what is tested here."""

    def refuse(*_: Any) -> bytes:
        raise UserError("no network")

    monkeypatch.setattr(download, "_download", refuse)
    monkeypatch.setattr(hub, "_reach", refuse)


@pytest.mark.parametrize("loader", GOOD)
def test_good_rows_are_used(loader: str, tmp_path: Path) -> None:
    view = (
        "preference"
        if loader in ("local:preference", "local:responses", "local:scores", "local:transcripts")
        else "conversation"
    )
    for suffix in suffixes(loader):
        if suffix != ".txt":
            made = Case(loader, suffix, written([GOOD[loader]], suffix), view, "auto", {})
            assert run_case(made, tmp_path / "root") == "used"


@pytest.mark.parametrize("loader", GOOD)
def test_some_malformed_inputs(loader: str, tmp_path: Path) -> None:
    fuzz(loader, FAST, tmp_path)


@pytest.mark.slow
def test_many_malformed_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SHOWN.clear()
    for loader in GOOD:
        fuzz(loader, int(os.environ.get("EDU_ALIGN_FUZZ", FULL)), tmp_path)
    outcomes = sorted({outcome for _, outcome in SHOWN})
    lines = [f"{'loader':<18}" + "".join(f"{outcome:>22}" for outcome in outcomes)]
    lines += [f"{name:<18}" + "".join(f"{SHOWN[name, outcome]:>22}" for outcome in outcomes) for name in GOOD]
    with capsys.disabled():
        print("\n" + "\n".join([*lines, f"{sum(SHOWN.values())} malformed inputs"]))
    assert sum(SHOWN.values()) >= 5000 or "EDU_ALIGN_FUZZ" in os.environ
