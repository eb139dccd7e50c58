"""What is searched: the jobs of Hydra's basic sweeper, and draws that stay inside."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from edu_align.config.comments import conf_dir
from edu_align.config.jobs_file import JobLine
from edu_align.config.metrics import direction_of
from edu_align.runs.process import is_alive, who
from edu_align.sweeps.space import dimensions, drawn, grid, of_lines, values_of, zipped
from edu_align.sweeps.state import SweepFolder, default_name, is_done, sweep_digest
from edu_align.sweeps.sweep import check_jobs
from edu_align.utils.errors import UserError

CONFIG = OmegaConf.create({"trainer": {"beta": 0.1}, "adapter": {"rank": 4}, "seed": 1, "outputs_root": "a"})


@pytest.fixture
def loader() -> Any:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.beta=0.05,0.1", "seed=1,2,3"],
        ["seed=range(1,6,2)", "trainer.beta=range(0.25,1,0.25)"],
        ["model=glob(*,exclude=[llama*,mistral])", "trainer=choice(sft,dpo)"],
        ["trainer.beta=0.1,0.2", "model=tiny", "trainer.beta=0.3,0.4", "seed=1,1"],
        ["run_name='a,b','c d'", "adapter.target_modules=[q_proj,v_proj],[all-linear]", "+trainer.args.x=1,2"],
        ["seed=sort(3,1,2)", "~tracking", "init_from=null,a"],
    ],
    ids=" ".join,
)
def test_a_grid_is_that_of_the_basic_sweeper(loader: Any, words: list[str]) -> None:
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(words)
    (expected,) = BasicSweeper.split_arguments(parsed, None)
    assert list(grid(dimensions(words, loader, CONFIG))) == expected


def test_values_are_what_was_swept(loader: Any) -> None:
    space = dimensions(["seed=3", "trainer.beta=0.1,0.2", "+trainer.args.x=a,null"], loader, CONFIG)
    assert [values_of(job, space) for job in grid(space)][1] == {"trainer.beta": 0.1, "trainer.args.x": None}


def test_draws_stay_inside_and_do_not_repeat(loader: Any) -> None:
    words = ["trainer.beta=tag(log,interval(1e-3,1))", "adapter.rank=interval(2,5)", "seed=range(0,3)"]
    space = dimensions(words, loader, CONFIG)
    jobs = [values_of(job, space) for job in drawn(space, 200, 5)]
    assert len(jobs) == 200
    assert {job["adapter.rank"] for job in jobs} == {2, 3, 4, 5}
    assert {job["seed"] for job in jobs} == {0, 1, 2}
    betas = sorted(job["trainer.beta"] for job in jobs)
    assert 1e-3 <= betas[0] < 3e-3
    assert 0.01 < betas[100] < 0.1  # the middle of a logarithmic scale
    assert list(drawn(space, 50, 5)) == list(drawn(space, 200, 5))[:50]
    listed = dimensions(["seed=1,2", "adapter.rank=4,8"], loader, CONFIG)
    assert sorted(drawn(listed, 50, 5)) == sorted(grid(listed))


def test_what_cannot_be_searched(loader: Any) -> None:
    with pytest.raises(UserError, match=r"has no end of values, and sweep.sampler=grid takes all"):
        list(grid(dimensions(["trainer.beta=interval(0,1)"], loader, CONFIG)))
    with pytest.raises(UserError, match=r"must be an interval with 0 < from < to, got 0.0 and 1.0"):
        dimensions(["trainer.beta=tag(log,interval(0,1))"], loader, CONFIG)
    with pytest.raises(UserError, match="has no value in it"):
        dimensions(["model=glob(x*)"], loader, CONFIG)


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("train/loss", "minimize"), ("eval/human_turn_nll", "minimize"), ("eval/calibration-error", "minimize"),
        ("eval/pair_accuracy_balanced", "maximize"), ("train/rewards/margins", "maximize"), ("glossary", "maximize"),
    ],
)  # fmt: skip
def test_the_direction_follows_from_the_name(metric: str, direction: str) -> None:
    assert direction_of(metric) == direction
    assert direction_of(metric, "maximize") == "maximize"


def test_a_sweep_is_named_by_what_it_asks() -> None:
    swept = {"trainer.beta": "0.05,0.1"}
    name = sweep_digest(CONFIG, swept)
    assert sweep_digest(OmegaConf.merge(CONFIG, {"outputs_root": "b", "tracking": {"name": "off"}}), swept) == name
    assert sweep_digest(CONFIG, {"trainer.beta": "0.05, 0.1"}) == name
    assert sweep_digest(OmegaConf.merge(CONFIG, {"seed": 2}), swept) != name
    assert sweep_digest(CONFIG, {"trainer.beta": "0.05,0.2"}) != name
    assert default_name({"sweep": "beta_lr", "trainer": "dpo"}, name) == f"beta_lr-{name[:8]}"
    assert default_name({"sweep": None, "trainer": "dpo", "dataset": "bridge"}, name) == f"dpo-bridge-{name[:8]}"


def test_a_finished_job_needs_its_run(tmp_path: Path) -> None:
    job = {"state": "finished", "run": "a", "objective": 1.0}
    assert not is_done(job, tmp_path)
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"state": "finished", "started": "2026-01-02"}', encoding="utf-8")
    assert is_done(job, tmp_path)
    (run / "run.json").write_text('{"state": "running"}', encoding="utf-8")
    assert not is_done(job, tmp_path)
    assert is_done({"state": "pruned", "run": None}, tmp_path)
    assert not is_done({"state": "failed", "run": "a"}, tmp_path)


def test_a_job_is_alive_while_its_process_is(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    job = folder.add(3, ["seed=1"], {"seed": 1}) | who() | {"state": "running"}
    path = folder.job_path(3)
    assert is_alive(path, job)
    assert not is_alive(path, job | {"ticks": 1})  # the id of another process by now
    assert not is_alive(path, job | {"began": 1.0, "ticks": None})  # as an earlier version wrote it
    assert not is_alive(path, job | {"state": "finished"})
    assert not is_alive(path, job | {"pid": 2**22 + 1})
    for there in ({"host": "elsewhere", "machine": "elsewhere"}, {"host": "elsewhere", "machine": None}):
        os.utime(path)
        assert is_alive(path, job | there)
        os.utime(path, (0, 0))
        assert not is_alive(path, job | there)


@pytest.mark.cases("range()")
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("range(0.1,0.5,0.1)", ["0.1", "0.2", "0.3", "0.4"]),
        ("sort(range(0.1,0.5,0.1),reverse=true)", ["0.4", "0.3", "0.2", "0.1"]),
        ("range(0,0.7,0.1)", ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]),
        ("range(1e-4,4e-4,1e-4)", ["0.0001", "0.0002", "0.0003"]),
        ("range(1,0.7,-0.1)", ["1.0", "0.9", "0.8"]),
        ("range(3)", ["0", "1", "2"]),
        ("range(5,1,-2)", ["5", "3"]),
    ],
)
def test_a_range_has_the_digits_that_were_written_and_not_its_end(
    loader: Any, written: str, expected: list[str]
) -> None:
    (one,) = dimensions([f"trainer.beta={written}"], loader, CONFIG)
    assert list(one.words) == expected
    (shuffled,) = dimensions(["trainer.beta=shuffle(range(0.1,0.5,0.1))"], loader, CONFIG)
    assert sorted(shuffled.words) == ["0.1", "0.2", "0.3", "0.4"]
    for empty in ("range(1,1)", "range(0,inf)"):
        with pytest.raises(UserError, match=r"has no (value in it|end of values)"):
            dimensions([f"trainer.beta={empty}"], loader, CONFIG)


@pytest.mark.cases("++key")
@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_a_key_with_a_sign_is_the_dimension_of_the_preset(loader: Any, sign: str) -> None:
    space = dimensions(["trainer.beta=0.1,0.2", "seed=1,2", f"{sign}trainer.beta=0.5,0.6"], loader, CONFIG)
    assert [one.name for one in space] == ["trainer.beta", "seed"]
    assert [job[0] for job in grid(space)] == [f"{sign}trainer.beta={beta}" for beta in (0.5, 0.5, 0.6, 0.6)]


@pytest.mark.cases("C8")
def test_one_name_for_several_jobs_is_refused(loader: Any) -> None:
    def check(name: str | None, *words: str) -> None:
        config = OmegaConf.create({**CONFIG, "run_name": name, "init_from": None})
        check_jobs(config, [one for one in dimensions([*words], loader, config) if one.swept])

    with pytest.raises(UserError) as caught:
        check("pilot", "trainer.beta=0.1,0.2", "seed=1,2")
    assert str(caught.value).startswith("`run_name=pilot` is one name for all jobs of the sweep")
    (typed,) = shlex.split(str(caught.value).rpartition("into it: ")[2].removesuffix("."))
    assert typed == 'run_name="pilot-${seed}"'
    check("pilot-${seed}", "seed=1,2")
    check(None, "seed=1,2")
    check("pilot", "seed=1,2", "run_name=a,b")
    with pytest.raises(UserError, match="is one name"):
        check("pilot", "trainer.beta=interval(0.1,0.2)")


@pytest.mark.cases("C3")
def test_the_adapter_of_a_run_cannot_be_swept(loader: Any, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    record = {"state": "finished", "id": "a", "started": "2026-01-02", "adapter": "lora", "base_model": "b"}
    record |= {"model": "tiny", "trainer": "sft", "data": {}, "metrics": {}}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    written = "trainer: {algorithm: sft}\nadapter: {name: lora, rank: 32, alpha: 64, dropout: 0.0}\n"
    (run / "config.yaml").write_text(written, encoding="utf-8")
    config = OmegaConf.create({**CONFIG, "run_name": None, "init_from": "one", "outputs_root": str(tmp_path)})
    config.accept_changed = False
    with pytest.raises(UserError) as caught:
        check_jobs(config, [one for one in dimensions(["adapter.rank=4,8"], loader, config) if one.swept])
    assert "`adapter.rank=4,8` cannot be swept with init_from=one" in str(caught.value)
    assert "with adapter.rank=32. Drop init_from" in str(caught.value)
    check_jobs(config, [one for one in dimensions(["seed=4,8"], loader, config) if one.swept])


def test_zipped_keys_take_their_values_one_by_one(loader: Any) -> None:
    words = ["trainer.beta=0.1,0.3", "seed=1,2", "trainer=dpo", "adapter.rank=4,8"]
    space = dimensions(words, loader, CONFIG)
    together = zipped(space, ["adapter.rank", "trainer.beta"], "grid")
    jobs = list(grid(space, together))
    assert jobs[0] == ["adapter.rank=4", "trainer.beta=0.1", "seed=1", "trainer=dpo"]
    found = [tuple(values_of(job, space).values()) for job in jobs]
    assert found == [(0.1, 1, 4), (0.1, 2, 4), (0.3, 1, 8), (0.3, 2, 8)]
    assert sorted(drawn(space, 50, 5, together)) == sorted(jobs)
    with pytest.raises(UserError, match=r"names trainer, which is not swept"):
        zipped(space, ["trainer", "seed"], "grid")
    assert zipped(space, [], "tpe") is None


def test_lines_of_a_file_are_jobs_that_may_set_different_keys(loader: Any) -> None:
    lines = [JobLine(1, ("trainer.beta=0.1", "adapter.rank=4")), JobLine(4, ("+trainer.args.x=a",))]
    more, together = of_lines(lines)
    space = [*dimensions(["seed=1,2"], loader, CONFIG), *more]
    jobs = list(grid(space, together))
    assert jobs[1] == ["seed=1", "+trainer.args.x=a"]
    assert [values_of(job, space) for job in jobs] == [
        {"seed": 1, "trainer.beta": 0.1, "adapter.rank": 4}, {"seed": 1, "trainer.args.x": "a"},
        {"seed": 2, "trainer.beta": 0.1, "adapter.rank": 4}, {"seed": 2, "trainer.args.x": "a"},
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"line 2: `seed=1,2` gives several values"):
        of_lines([JobLine(2, ("seed=1,2",))])


def test_keys_of_sweep_that_came_later_leave_names_as_they_were() -> None:
    before = OmegaConf.merge(CONFIG, {"sweep": {"sampler": "grid"}})
    swept = {"trainer.beta": "0.05,0.1"}
    name = sweep_digest(before, swept)
    assert sweep_digest(OmegaConf.merge(before, {"sweep": {"zip": [], "jobs_file": None}}), swept) == name
    assert sweep_digest(OmegaConf.merge(before, {"sweep": {"zip": ["trainer.beta", "seed"]}}), swept) != name
    assert sweep_digest(before, swept, [["seed=1"]]) != sweep_digest(before, swept, [["seed=2"]])
    assert sweep_digest(OmegaConf.merge(before, {"sweep": {"sampler": "random"}}), swept) != name
