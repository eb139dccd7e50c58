"""A source from outside: one file with its rows' shape and its place, and one YAML."""

import json
from pathlib import Path

import pytest

from edu_align.config import schema
from edu_align.data.sources.load import SOURCES
from tests.children import program

CONF = Path(__file__).resolve().parents[2] / "conf"
# What a user writes: a file that enters its source, then runs the command.
OUTSIDE = """
import sys
from edu_align.data.download import GitHubSource
from edu_align.data.sources.load import add_source
from edu_align.records import Message, Response, ResponseGroup

def to_group(row, record_id):
    if not row.get("question", str):
        return "no question"
    prompt = (Message("user", row.get("question", str)),)
    replies = (Response(row.get("good", str), 6.0), Response(row.get("bad", str), 0.0))
    return ResponseGroup(prompt, replies, record_id, "riddles", record_id)

add_source("riddles", GitHubSource(
    folder="riddles", repository="someone/riddles", revision="main", paths={"all.jsonl": "all.jsonl"},
    preference=to_group,
))
from edu_align.train import main
main()
"""


def test_every_source_has_a_name_and_the_views_that_the_config_knows() -> None:
    assert list(SOURCES) == list(schema.SOURCES)
    assert [name for name, source in SOURCES.items() if source.preference] == [
        name for name in schema.SOURCES if name in schema.PREFERENCE_SOURCES and name not in ("edu_tutor", "local")
    ]


@pytest.mark.parametrize("trainer", ["dpo", pytest.param("sft", marks=pytest.mark.slow)])
def test_a_source_from_outside_is_previewed_and_trained(trainer: str, tmp_path: Path) -> None:
    yaml = (CONF / "dataset/mrbench.yaml").read_text().replace("name: mrbench", "name: riddles")
    yaml = yaml.replace("sources: [mrbench]", "sources: [riddles]")
    rows = [{"question": f"What is {i} plus 3?", "good": f"Count on from {i}.", "bad": "No."} for i in range(60)]
    lines = "\n".join(map(json.dumps, [*rows, {"question": "", "good": "", "bad": ""}]))
    files = {"riddles.py": OUTSIDE, "conf/dataset/riddles.yaml": yaml, "data/riddles/all.jsonl": lines}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    words = [
        f"trainer={trainer}", "dataset=riddles", "model=tiny", "tracking=off", "hardware=cpu", "trainer.max_steps=2",
        "trainer.batch_size=4", f"data_root={tmp_path}/data", f"outputs_root={tmp_path}/outputs", "preview=2",
        "evaluation.max_groups=4", "evaluation.samples=1", "evaluation.max_new_tokens=4", "run_name=it",
    ]  # fmt: skip
    words = ["--config-dir", str(tmp_path / "conf"), *words]
    for more in ([], ["preview=0"]):
        done = program(tmp_path / "riddles.py", *words, *more)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "riddles: 60 of 61 rows kept" in done.stdout
        assert ("Count on from" in done.stdout) == (not more)
    assert json.loads((tmp_path / "outputs/runs/it/run.json").read_text())["state"] == "finished"
