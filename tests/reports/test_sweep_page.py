"""The page, the Markdown and the CSV: what stands in them, and that nothing from outside can break them."""

import csv
import io
import random
import re
from pathlib import Path
from typing import Any

import pytest

from edu_align.reports.html import curves as shared
from edu_align.reports.html.charts import Axis, axis_over
from edu_align.reports.sweep import charts, findings
from edu_align.reports.sweep.importance import MIN_JOBS, importance
from edu_align.reports.sweep.reading import Job, Sweep, read_sweep
from edu_align.reports.sweep.table import settings
from edu_align.reports.sweep.write import MARKDOWN_ROWS, write_report
from tests.reports.pages import Page, check_self_contained
from tests.reports.sweep_builders import METRIC, grid_sweep, job_file, sweep_file

SEEDED = {"trainer.beta": [0.05, 0.3], "seed": [1, 2, 3]}


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def made_up(objectives: list[float | None], values: list[dict[str, Any]], direction: str = "maximize") -> Sweep:
    pairs = enumerate(zip(objectives, values, strict=True))
    jobs = [Job(number, [], value, "finished", objective=objective) for number, (objective, value) in pairs]
    keys = list(dict.fromkeys(key for value in values for key in value))
    return Sweep("made-up", Path("."), keys, jobs, "x", direction, total=len(jobs))


def test_the_three_files_name_the_best_and_how_to_go_on_and_the_page_loads_nothing(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path)
    best = read_sweep(folder).ranked()[0]
    page = write_report(folder).read_text(encoding="utf-8")
    check_self_contained(page, scripts=1)
    entry, beta = best.entries[METRIC], best.values["trainer.beta"]
    for text in (Page(page).text, (folder / "report.md").read_text(encoding="utf-8")):
        interval = f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"
        assert f"{interval}, n 120 (12 groups)" in " ".join(text.split()).replace("**", "")
        for words in (
            f"python -m edu_align.chat run={best.run}", "6 jobs: 6 finished", "before training 0.3", "longer 0.",
            f"python -m edu_align.train model=tiny trainer=dpo trainer.beta={beta}",
            "python -m edu_align.train -m trainer=dpo model=tiny",
        ):  # fmt: skip
            assert words in text
    assert {path.name for path in folder.iterdir()} == {"jobs", "report.html", "report.md", "results.csv", "sweep.json"}


def test_the_csv_has_every_job_and_every_number(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path)
    job_file(folder, 6, {"trainer.beta": 0.9}, "failed", error='ValueError: "a", b\nline two')
    write_report(folder)
    rows = list(csv.DictReader(io.StringIO((folder / "results.csv").read_text(encoding="utf-8"))))
    assert [row["job"] for row in rows] == [str(number) for number in range(7)]
    for row, job in zip(rows, read_sweep(folder).jobs, strict=True):
        assert row["state"] == job.state
        assert {name: float(row[name]) for name in job.metrics} == job.metrics
        for name, entry in job.entries.items():
            parts = [float(row[f"{name}.{part}"]) for part in ("low", "high", "n", "groups")]
            assert parts == [entry["low"], entry["high"], entry["n"], entry["clusters"]]
    assert rows[6]["error"] == 'ValueError: "a", b\nline two'
    assert (rows[6][METRIC], rows[6]["trainer.learning_rate"]) == ("", "")


def test_nothing_from_outside_becomes_markup_or_breaks_a_table(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>|$x$ & \"'\n![a](http://a.b)"
    folder = tmp_path / "sweeps" / "evil"
    grid_sweep(tmp_path, "evil", {"dataset.path": [evil, "b"], "trainer.<i>": [1, 2]}, reach=lambda _: 0.6)
    job_file(folder, 4, {"dataset.path": evil, "trainer.<i>": 1}, "failed", error=evil)
    plain = page_of(grid_sweep(tmp_path / "b", "plain", {"dataset.path": ["a", "b"], "trainer.i": [1, 2]}))
    page = page_of(folder)
    assert page.open == []
    assert page.tags.count("script") == plain.tags.count("script") == 1
    assert "i" not in page.tags
    assert evil.replace("\n", " ") in " ".join(page.text.split("\n"))
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in markdown.replace("```", "").split("## Jobs")[1]
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_two_hundred_jobs_show_the_first_ten_and_hold_all(tmp_path: Path) -> None:
    grid = {"trainer.beta": [i / 100 for i in range(10)], "trainer.learning_rate": [i * 1e-5 for i in range(20)]}
    folder = grid_sweep(tmp_path, "big", grid, steps=2)
    text = write_report(folder).read_text(encoding="utf-8")
    first, rest = text.split("<details>")
    assert "The first 10 of 200 jobs" in first
    assert first[first.index('id="jobs"') :].count("<tr>") == 11
    assert rest.split("</details>")[0].count("<tr>") == 201
    assert "164 of 200 runs are left out" in text
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    assert markdown.count("\n| ") == 2 + MARKDOWN_ROWS
    assert "150 more jobs are in results.csv" in markdown
    assert len((folder / "results.csv").read_text().splitlines()) == 201


def caveats(folder: Path) -> str:
    return " ".join(findings.caveats(read_sweep(folder)))


def test_the_best_of_many_is_said_to_be_optimistic(tmp_path: Path) -> None:
    optimistic = "chosen on the test split, so its value and interval are optimistic"
    for split, said in (("test", optimistic), ("validation", "evaluation.split=test")):
        found = caveats(grid_sweep(tmp_path / split, split=split))
        assert all(words in found for words in ("The best of 6", said, "Every setting has one seed"))


def test_what_failed_and_what_is_not_done_is_said(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path, objective="train/loss", direction="minimize", total=9)
    job_file(folder, 6, {"trainer.beta": 0.9}, "failed", error="x")
    job_file(folder, 7, {"trainer.beta": 0.9}, "finished", objective=float("nan"))
    found = caveats(folder)
    assert "1 failed: these jobs are in no comparison" in found
    assert "1 of 9 jobs are not done yet" in found
    assert "1 finished without a finite train/loss" in found
    assert "a number from training" in found


def test_intervals_that_reach_the_best_are_counted(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path)
    best, *others = read_sweep(folder).ranked()
    near = sum(job.entries[METRIC]["high"] >= best.objective for job in others)
    assert near >= 1
    assert f"The intervals of {near} of the 5 other jobs reach the best value" in caveats(folder)


def test_seeds_are_grouped_with_mean_and_spread(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path, "seeds", SEEDED)
    job_file(folder, 5, {"trainer.beta": 0.3, "seed": 3}, "failed", error="x")
    sweep = read_sweep(folder)
    best, other = settings(sweep)
    assert best.values == {"trainer.beta": 0.3}
    assert (best.count, len(best.jobs), other.count) == (2, 3, 3)
    reached = [job.objective for job in sweep.jobs[3:5]]
    assert best.mean == pytest.approx(sum(reached) / 2)
    assert best.spread == pytest.approx(abs(reached[0] - reached[1]) / 2**0.5)
    text = " ".join(page_of(folder).text.split())
    said = f"Best setting over seeds: trainer.beta=0.3: mean {best.mean:.4g}"
    assert all(words in text for words in ("Settings over their seeds", "2 of 3", said))
    assert settings(read_sweep(grid_sweep(tmp_path / "b"))) == []


def test_a_heat_map_needs_exactly_two_keys(tmp_path: Path) -> None:
    two = read_sweep(grid_sweep(tmp_path))
    found = charts.heat_map(two)
    cells = dict(cell for _, row in found.rows for cell in row)
    assert set(cells) == {f"{job.objective:.4g}" for job in two.jobs}
    assert cells[f"{two.ranked()[0].objective:.4g}"] == 1
    assert "stronger is better (more)" in found.caption
    one = {"trainer.beta": [0.1, 0.2]}
    for grid in (one, {**one, "trainer.learning_rate": [1e-4, 2e-4], "adapter.rank": [4, 8]}):
        assert charts.heat_map(read_sweep(grid_sweep(tmp_path, str(len(grid)), grid))) is None


def test_a_heat_map_averages_seeds_and_names_what_is_missing(tmp_path: Path) -> None:
    folder = grid_sweep(tmp_path, "seeds", {**SEEDED, "adapter.rank": [4, 8]})
    sweep = read_sweep(folder)
    same = [job.objective for job in sweep.jobs if (job.values["trainer.beta"], job.values["adapter.rank"]) == (0.3, 8)]
    job_file(folder, 12, {"trainer.beta": 0.9, "adapter.rank": 4, "seed": 1}, "failed")
    found = charts.heat_map(read_sweep(folder))
    assert (found.heads, [name for name, _ in found.rows]) == (["0.05", "0.3", "0.9"], ["4", "8"])
    assert found.rows[1][1][1][0] == f"{sum(same) / len(same):.4g}"
    assert found.rows[0][1][2] == ("failed", None)
    assert "means over seeds" in found.caption


def test_every_key_with_several_values_is_shown(tmp_path: Path) -> None:
    grid = {"trainer.beta": [0.05, 0.3], "trainer.loss_type": ["sigmoid", "ipo"], "adapter.rank": [4]}
    sweep = read_sweep(grid_sweep(tmp_path, "mixed", grid))
    beta, loss = charts.key_values(sweep)
    assert [(each.key, [row[0] for row in each.rows]) for each in (beta, loss)] == [
        ("trainer.beta", ["0.05", "0.3"]), ("trainer.loss_type", ["sigmoid", "ipo"]),
    ]  # fmt: skip
    dots = [dot for _, _, track in beta.rows for dot in track.dots]
    assert sorted(value for value, _, _ in dots) == sorted(job.objective for job in sweep.jobs)
    (best,) = [value for value, style, _ in dots if style == charts.BEST]
    assert best == sweep.ranked()[0].objective


def test_many_values_become_points_with_a_fitting_axis() -> None:
    values = [{"lr": 10 ** (-5 + at / 8), "beta": at / 40} for at in range(24)]
    sweep = made_up([at / 24 for at in range(24)], values)
    assert charts.heat_map(sweep) is None
    panels = {each.key: each.panel for each in charts.key_values(sweep)}
    assert [len(panel.marks) for panel in panels.values()] == [24, 24]
    assert panels["lr"].x.log
    assert [text for _, text in panels["lr"].x.ticks] == ["1e-05", "0.0001", "0.001", "0.01"]
    assert [text for _, text in panels["beta"].x.ticks] == ["0", "0.2", "0.4", "0.6"]


def test_axes_have_few_round_ticks_on_them() -> None:
    for low, high in ((0.0, 1.0), (0.0, 30.0), (-0.0531, 0.0742), (1.2344, 1.2351), (0.0, 12345.0), (-7e-9, 2e-9)):
        ticks = Axis("", low, high).ticks
        assert 2 <= len(ticks) <= 6
        assert all(-1e-9 <= place <= 1 + 1e-9 for place, _ in ticks)
        assert len({text for _, text in ticks}) == len(ticks)
    assert axis_over("", [float("nan"), 3.0]).ticks
    assert axis_over("", []).ticks


def test_learning_curves_are_limited_and_the_best_are_named(tmp_path: Path) -> None:
    grid = {"trainer.beta": [i / 20 for i in range(8)], "seed": [1, 2, 3, 4, 5]}
    sweep = read_sweep(grid_sweep(tmp_path, "many", grid, steps=3))
    picture = charts.learning_curves(sweep)
    assert [len(panel.marks) for panel in picture.panels] == [charts.MOST_CURVES] * 2
    assert picture.legend[0][1].startswith(f"{sweep.ranked()[0].number}: beta=")
    assert "4 of 40 runs are left out" in picture.caption
    steps, values = shared.series([{"step": at, "loss": 1 / (at + 1)} for at in range(5000)], "loss")
    assert (len(steps), steps[0], steps[-1], values[0]) == (shared.POINTS, 0, 4999, 1.0)
    assert charts.learning_curves(read_sweep(grid_sweep(tmp_path, "short", {"seed": [1, 2]}, steps=1))) is None


def test_importance_finds_the_key_that_matters_and_not_the_other() -> None:
    values = [{"a": at % 5, "b": at % 7, "c": at} for at in range(70)]
    effects = importance(made_up([value["a"] + 0.001 * at for at, value in enumerate(values)], values))
    found = {effect.key: effect for effect in effects}
    assert set(found) == {"a", "b", "c"}
    assert effects[0].key == "a"
    assert found["a"].share > 0.95 > 0.05 > found["b"].share
    assert found["a"].chance < 0.01 < 0.2 < found["b"].chance


def test_importance_is_not_claimed_of_noise_nor_moved_by_one_that_diverged() -> None:
    draw = random.Random(0)
    hits = 0
    for _ in range(20):
        values = [{"a": draw.randrange(4)} for _ in range(MIN_JOBS)]
        (effect,) = importance(made_up([draw.random() for _ in values], values))
        hits += effect.chance < 0.05
    assert hits <= 4
    values, reached = [{"a": at % 2} for at in range(40)], [at % 2 + at / 1000 for at in range(40)]
    calm, wild = (importance(made_up([*reached[:-1], last], values)) for last in (reached[-1], 1e9))
    assert calm[0].share == pytest.approx(wild[0].share)


def test_importance_says_how_many_jobs_it_takes(tmp_path: Path) -> None:
    few = read_sweep(grid_sweep(tmp_path))
    assert f"It takes {MIN_JOBS} finished jobs" in charts.key_caption(few)
    assert {each.said for each in charts.key_values(few)} == {""}
    grid = {"adapter.rank": [1, 2, 3, 4, 5], "trainer.beta": [0.05, 0.1, 0.2, 0.3]}
    enough = read_sweep(grid_sweep(tmp_path, "enough", grid, sampler="tpe"))
    assert charts.key_values(enough)[0].key == "trainer.beta"
    assert "accounts for 0." in charts.key_values(enough)[0].said
    assert "Kruskal-Wallis" in charts.key_caption(enough)
    assert "TPE tried the better values more often" in charts.key_caption(enough)


def test_the_command_to_train_again_is_one_run_and_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "s"
    words = ["-m", "trainer=dpo", "trainer.beta=0.1,0.2", "sweep=beta", "hydra/launcher=joblib", "sweep.trials=3"]
    sweep_file(folder, ["trainer.beta"], 1, command=[*words, "outputs_root=my outputs", "run_name=x"])
    job_file(folder, 0, {"trainer.beta": 0.1}, "finished", objective=1.0, overrides=["trainer.beta=0.1", "+a={b: 1}"])
    sweep = read_sweep(folder)
    wanted = "trainer=dpo 'outputs_root=my outputs' trainer.beta=0.1 '+a={b: 1}' force=true"
    assert findings.retrain_command(sweep, sweep.jobs[0]) == f"python -m edu_align.train {wanted}"


def test_the_sweeps_command_is_one_that_can_be_typed(tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "s"
    for command, wanted in (
        (["/x/edu_align/train.py", "-m", "a=1,2"], "python -m edu_align.train -m a=1,2"),
        (["-m", "a=b c"], "python -m edu_align.train -m 'a=b c'"),
        (["python", "-m", "edu_align.train", "-m"], "python -m edu_align.train -m"),
        ([], ""),
    ):
        sweep_file(folder, ["a"], 1, command=command)
        assert findings.sweep_command(read_sweep(folder)) == wanted


def test_no_split_is_claimed_of_a_run_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "s"
    sweep_file(folder, ["trainer.beta"], 2)
    for number in range(2):
        job_file(folder, number, {"trainer.beta": number}, "finished", objective=0.5 + number, run="gone")
    found = caveats(folder)
    assert "chosen on the split that is reported, so its value is optimistic" in found
    assert "validation" not in found
