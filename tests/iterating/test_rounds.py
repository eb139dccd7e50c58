"""Rounds from end to end: every stage is there once, a killed command goes on with the same bytes, and what is said of
the rounds is what was measured.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edu_align.config.arguments import parse
from edu_align.data.datamodule import trained_groups
from edu_align.iterating import loop
from edu_align.iterating.loop import Ending, ending
from edu_align.iterating.plan import GROUPS, OWN, Plan, read_plan
from edu_align.iterating.tutor import reply_seed
from edu_align.iterating.work import run_rounds
from edu_align.runs.folder import find_run
from edu_align.utils.errors import UserError
from edu_align.utils.jsonl import as_lines, read_rows
from tests.iterating.conftest import SMALL
from tests.killing import in_child, outcome

Make = Callable[..., Plan]


def files_of(folder: Path) -> dict[str, bytes]:
    """All that rounds have left, by path."""
    files = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def done(runs: Callable[[str], Any], outputs: Path) -> Path:
    """The folder of two rounds of the tiny model."""
    runs("sft")
    words = [f"run={outputs / 'runs' / 'sft'}", f"outputs_root={outputs}", *SMALL]
    return run_rounds(read_plan(parse(words, OWN, groups=GROUPS)))[0]


def test_each_round_starts_from_the_one_before(done: Path, outputs: Path) -> None:
    result = json.loads((done / "result.json").read_bytes())
    assert result["runs"] == ["sft", f"{done.name}-1", f"{done.name}-2"]
    assert result["best_run"] in result["runs"]
    starts = [find_run("run", name, outputs).record["init_from"] for name in result["runs"][1:]]
    assert [Path(start).name for start in starts] == result["runs"][:2]
    stages = {path.name for path in (done / "round-2").iterdir()}
    assert stages == {"samples.jsonl", "scores.jsonl", "pairs.jsonl", "validation.jsonl", "measured.json"}


def test_replies_have_their_seeds_and_are_learned_from_training_dialogues_alone(done: Path, outputs: Path) -> None:
    start = find_run("run", "sft", outputs)
    trained = trained_groups([start.path])
    for number in (1, 2):
        rows = read_rows(done / f"round-{number}" / "samples.jsonl")
        assert len(rows) == 4 * 3
        assert [row["seed"] for row in rows] == [reply_seed(42, f"round {number}", r["id"], r["number"]) for r in rows]
        assert {row["group"] for row in read_rows(done / f"round-{number}" / "pairs.jsonl")} <= trained
    validation = read_rows(done / "round-0" / "validation.jsonl")
    assert trained.isdisjoint(row["group"] for row in validation)
    held = json.loads((start.path / "split.json").read_bytes())["records"]
    assert {row["id"].split(" reply ")[0] for row in validation} <= {*held["validation"]}


def test_numbers_have_n_and_intervals_and_are_paired_with_round_0(done: Path) -> None:
    first, last = (json.loads((done / f"round-{n}" / "measured.json").read_bytes()) for n in (0, 2))
    rows = [read_rows(done / f"round-{n}" / "validation.jsonl") for n in (0, 2)]
    for name in ("score", "kl", "question_rate", "words", "reward/human_length"):
        values = [[row["numbers"][name] for row in each] for each in rows]
        number = last["numbers"][name]
        assert (number["n"], number["value"]) == (4, pytest.approx(sum(values[1]) / 4))
        assert number["difference"]["value"] == pytest.approx(sum(values[1]) / 4 - sum(values[0]) / 4)
        assert "difference" not in first["numbers"][name]
    kl = [row["logp"] - row["base_logp"] for row in rows[1]]
    assert [row["numbers"]["kl"] for row in rows[1]] == kl
    assert any(kl)
    assert last["samples"]["replies"] == 12
    assert set(json.loads((done / "round-0" / "baselines.json").read_bytes())) == {"people", "constant reply"}


def test_the_same_command_does_nothing_twice(
    done: Path, plan: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(done)
    monkeypatch.setattr(loop, "Tutor", lambda *args: pytest.fail("a finished stage was done again"))
    assert run_rounds(plan())[0] == done
    assert files_of(done) == before
    out = capsys.readouterr().out
    assert "round 2" in out
    assert "a gap whose interval holds 0 is none that was shown" in out


@contextmanager
def killed_before(number: int) -> Iterator[None]:
    """Inside the block a process kills itself where it would name the file number `number` (from 0) of the rounds."""
    original = Path.replace
    left = [number]

    def armed(self: Path, target: Any) -> Path:
        if "/rounds/" in str(target):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
        return original(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", armed)
        yield


def test_a_killed_command_goes_on_with_the_same_bytes(done: Path, plan: Make, outputs: Path) -> None:
    """Killed before a file is named: in the samples of round 2, then in its measurement."""
    expected, run = files_of(done), outcome(outputs / "runs" / f"{done.name}-2")
    for before in (0, 3):
        shutil.rmtree(done / "round-2")
        shutil.rmtree(outputs / "runs" / f"{done.name}-2")
        with killed_before(1 + before):  # rounds.json comes first
            assert in_child(lambda: run_rounds(plan())) == -signal.SIGKILL
        assert not (done / "round-2" / "measured.json").exists()
        run_rounds(plan())
        assert files_of(done) == expected
        assert outcome(outputs / "runs" / f"{done.name}-2") == run


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        ([0.1], 1, None),
        ([0.1, 0.2, 0.3], 1, None),
        ([0.1, 0.2, 0.3, 0.2], 1, Ending("1 round in a row brought no better validation", 2)),
        ([0.3, 0.3], 1, Ending("1 round in a row brought no better validation", 0)),
        ([0.1, 0.05, 0.04], 2, Ending("2 rounds in a row brought no better validation", 0)),
        ([0.1, 0.2, 0.3, 0.4], 1, Ending("3 rounds were asked for", 3)),
    ],
)
def test_rounds_end_where_the_validation_does_not_improve(
    values: list[float | None], patience: int, expected: Ending | None
) -> None:
    assert ending(values, 3, patience) == expected


def test_votes_are_learned_once_and_more_of_them_go_on(plan: Make, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "votes.jsonl"

    def vote(number: int, left: int) -> dict[str, Any]:
        texts = [f"Look at {number} again. Why?", f"It is {number}."]
        responses = [{"text": text, "score": int(place == left), "author": "a"} for place, text in enumerate(texts)]
        prompt = [{"role": "user", "content": f"Is {number} + 1 equal to {number + 3}?"}]
        return {"vote": "left", "prompt": prompt, "responses": responses, "unranked": []}

    file.write_text(as_lines(vote(number, 0) for number in range(12)), encoding="utf-8")
    words = ("scorer=votes", "rounds.rewards={}", f"rounds.votes={file}", "rounds.patience=9")
    folder, end = run_rounds(plan(*words))
    assert end.why.startswith("every vote in ")
    first = read_rows(folder / "round-1" / "pairs.jsonl")
    assert 0 < len(first) < 12
    measured = json.loads((folder / "round-1" / "measured.json").read_bytes())
    assert "votes_agreement" in measured["numbers"]
    assert "score" not in measured["numbers"]
    with file.open("a", encoding="utf-8") as more:
        more.write(as_lines(vote(number, 1) for number in range(20, 26)))
    again, end = run_rounds(plan(*words))
    assert (again, end.why) == (folder, "2 rounds were asked for")
    second = read_rows(folder / "round-2" / "pairs.jsonl")
    assert second
    assert {row["id"] for row in first}.isdisjoint(row["id"] for row in second)


def test_kto_learns_labels(plan: Make) -> None:
    folder, _ = run_rounds(plan("rounds=1", "trainer=kto", "rounds.pairs=all"))
    labels = {row["label"] for row in read_rows(folder / "round-1" / "pairs.jsonl")}
    assert labels == {True, False}
    assert (folder / "round-1" / "measured.json").is_file()


def test_a_damaged_stage_is_one_message(done: Path, plan: Make) -> None:
    samples = done / "round-1" / "samples.jsonl"
    whole = samples.read_bytes()
    try:
        samples.write_bytes(whole[:-20] + b"\n")
        with pytest.raises(UserError, match=r"samples\.jsonl is damaged .* Remove it: the same command makes it again"):
            loop.rows_in(samples)
    finally:
        samples.write_bytes(whole)


def test_a_reward_model_scores_a_round(plan: Make, runs: Callable[[str], Any]) -> None:
    runs("reward")
    words = ("scorer=reward", "rounds.rewards={}", "rounds.reward_run=reward", "rounds=1", "rounds.margin=1e-6")
    folder, _ = run_rounds(plan(*words))
    scores = read_rows(folder / "round-1" / "scores.jsonl")
    assert {*scores[0]["rewards"]} == {"reward_model"}
    assert [row["score"] for row in scores] == [row["rewards"]["reward_model"] for row in scores]
    assert read_rows(folder / "round-1" / "pairs.jsonl")


def test_a_judge_scores_a_round(plan: Make) -> None:
    pytest.importorskip("openai", reason="the extra `judge` (package openai) is not installed")
    from tests.evaluation.judge.server import Judge, Reply, opinion, shown

    def likes_short(body: Any, _: int) -> Reply:
        first, second = shown(body)
        return Reply(opinion(body, "tie" if len(first) == len(second) else "AB"[len(second) < len(first)]))

    server = Judge(likes_short)
    try:
        where = (f"evaluation.judge={server.url}", "evaluation.judge_model=m")
        folder, _ = run_rounds(plan("scorer=judge", "rounds.rewards={}", "rounds=1", *where))
    finally:
        server.close()
    scores = read_rows(folder / "round-1" / "scores.jsonl")
    assert {row["score"] for row in scores} <= {0.0, 0.5, 1.0}
    assert server.bodies


@pytest.mark.slow
def test_twenty_kills_change_no_byte(done: Path, plan: Make, outputs: Path) -> None:
    """At moments drawn by a seed, over three rounds that were cut off again and again."""
    words = ("rounds=3", "trainer.max_steps=4")
    began = time.monotonic()
    folder, _ = run_rounds(plan(*words))
    whole = time.monotonic() - began
    names = [f"{folder.name}-{number}" for number in (1, 2, 3)]
    expected, trained = files_of(folder), [outcome(outputs / "runs" / name) for name in names]
    random, hits, stages = Random(20), 0, []
    while hits < 20:
        if (folder / "result.json").exists():
            shutil.rmtree(folder)
            for name in names:
                shutil.rmtree(outputs / "runs" / name)
        code = in_child(lambda: run_rounds(plan(*words)), random.uniform(0.1, 0.6) * whole)
        assert code in (0, -signal.SIGKILL)
        if code:
            hits += 1
            stages.append(len(files_of(folder)) if folder.exists() else 0)
        else:
            assert files_of(folder) == expected
    run_rounds(plan(*words))
    assert files_of(folder) == expected
    assert [outcome(outputs / "runs" / name) for name in names] == trained
    print(f"files there at each kill: {stages}")
    assert len(set(stages)) >= 5
