"""A reward model's export is one folder that keeps its head; what needs text is refused by one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from edu_align.exporting.reward import refuse_gguf, write_reward_export
from edu_align.exporting.subject import find_weights
from edu_align.models.reward import facts_in, read_replies
from edu_align.records import Message, Response, ResponseGroup
from edu_align.runs.finished import run_config
from edu_align.utils.errors import UserError
from tests.answers import score_replies

GROUP = ResponseGroup(
    (Message("user", "2 + 3?"),), (Response("Count on from 2.", 1.0), Response("It is 5.", 0.0)), "q", "s", "g"
)


@pytest.mark.parametrize("name", ["reward", "reward_full"])
def test_the_merged_folder_gives_the_rewards(
    runs: Callable[[str], Any], outputs: Path, bytes_tokenizer: Any, tmp_path: Path, name: str
) -> None:
    from edu_align.evaluation.suite.reward import RewardSubject
    from edu_align.evaluation.suite.subject import Weights

    run, config = run_config(runs(name).path.name, {}, str(outputs))
    output = tmp_path / "export"
    write_reward_export(find_weights(run, config), output)
    assert facts_in(output) == facts_in(run.path)
    assert json.loads((output / "config.json").read_text())["architectures"] == ["LlamaForSequenceClassification"]
    card = (output / "README.md").read_text()
    assert "none moved by more than" in card
    assert "AutoModelForSequenceClassification" in card
    assert str(tmp_path) not in card + (output / "config.json").read_text()
    model = AutoModelForSequenceClassification.from_pretrained(output)
    assert torch.is_nonzero(model.score.weight.abs().sum())
    read_replies(model, {"pooling": "mean"})
    ((found, _),) = score_replies(model, bytes_tokenizer, [GROUP], 512)
    scorer = RewardSubject("REWARD", Weights(config, run.path), 512)
    (own,) = scorer.rewards([(GROUP.prompt, [reply.text for reply in GROUP.responses])])
    assert found == pytest.approx(own, rel=1e-3)


def test_a_gguf_is_refused(runs: Callable[[str], Any]) -> None:
    run = runs("reward").folder
    refuse_gguf(run, None)
    with pytest.raises(UserError, match=r"`export\.gguf=q8_0`: run=reward is a reward model.*Drop export\.gguf"):
        refuse_gguf(run, "q8_0")


@pytest.mark.parametrize(
    "words",
    [
        ["chat"],
        ["export", "export.gguf=f16"],
        pytest.param(["generate", "input=/dev/null", "output=/tmp/none.jsonl"], marks=pytest.mark.slow),
        pytest.param(["harness", "data_root=."], marks=pytest.mark.slow),
    ],
)
def test_what_writes_text_ends_with_one_line(runs: Callable[[str], Any], outputs: Path, words: list[str]) -> None:
    command, *rest = words
    line = [sys.executable, "-m", f"edu_align.{command}", f"run={runs('reward').path.name}", f"outputs_root={outputs}"]
    done = subprocess.run([*line, *rest], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is a reward model" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
