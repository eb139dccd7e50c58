"""Folders of rounds as `edu_align.iterating` leaves them, with numbers of our own."""

from pathlib import Path
from typing import Any

from edu_align.utils.files import write_json
from edu_align.utils.jsonl import as_lines

NAMES = {
    "score": 0.4, "reward/asks_question": 0.5, "reward/leaks_answer": 0.1, "leak_rate": 0.1, "question_rate": 0.5,
    "words": 14.0, "kl": 3.0, "same_reply": 0.1, "repetition": 0.02, "empty": 0.0, "cut_off": 0.2,
}  # fmt: skip


def number(value: float, half: float = 0.1, gap: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"value": value, "low": value - half, "high": value + half, "n": 64, "groups": 40}
    if gap is not None:
        found["difference"] = number(gap, half)
    return found


def rounds_folder(
    place: Path, many: int = 3, gaps: dict[str, float] | None = None, says: str = "Why?", ended: bool = True
) -> Path:
    """`many` rounds after round 0. `gaps`: of the last round against round 0, whose intervals are 0.1 to each side."""
    folder = place / "rounds" / "rules-start-0123456789ab"
    weights = {"asks_question": 1.0, "leaks_answer": -1.0}
    asked = {"scorer": "rules", "replies": 4, "prompts": 48, "temperature": 1.0}
    record = {"run": "start", "rounds": asked, "trainer": {"algorithm": "dpo"}, "weights": weights, "notes": []}
    folder.mkdir(parents=True)
    write_json(folder / "rounds.json", record)
    for at in range(many + 1):
        inside = folder / f"round-{at}"
        inside.mkdir()
        changes = (gaps or {}) if at else {}
        numbers = {
            name: number(value + changes.get(name, 0.0), gap=changes.get(name, 0.0) if at else None)
            for name, value in NAMES.items()
        }
        content: dict[str, Any] = {"round": at, "run": f"start-{at}" if at else "start", "numbers": numbers}
        if at:
            content["samples"] = {"learned": 30, "replies": 8, "numbers": {"score": number(0.3)}}
            samples = [{"id": f"d{i}", "number": i, "text": f"{says} {i}"} for i in range(8)]
            scores = [{"id": f"d{i}", "number": i, "score": i / 8, "rewards": {}} for i in range(8)]
            (inside / "samples.jsonl").write_text(as_lines(samples), encoding="utf-8")
            (inside / "scores.jsonl").write_text(as_lines(scores), encoding="utf-8")
        rows = [
            {"id": f"corpus_{i}", "group": f"g{i}", "student": "7/2 = 7 1/2?", "reply": f"{says} ({at})" * (i != 1)}
            | {"numbers": {"score": 0.5}}
            for i in range(8)
        ]
        (inside / "validation.jsonl").write_text(as_lines(rows), encoding="utf-8")
        write_json(inside / "measured.json", content)
    baselines = {who: {name: number(value) for name, value in NAMES.items()} for who in ("people", "constant reply")}
    write_json(folder / "round-0" / "baselines.json", baselines)
    if ended:
        result = {"why": f"{many} rounds were asked for", "rounds": many, "best_round": many, "best_run": "start-3"}
        write_json(folder / "result.json", {**result, "runs": []})
    return folder
