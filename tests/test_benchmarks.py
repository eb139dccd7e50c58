"""The bench command around the measurements: its table, its file, the machine's description."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import benchmarks.cli_help
import benchmarks.plan_error_7b
from benchmarks.__main__ import RESULTS, keep, main, table
from benchmarks.side_by_side import Line
from benchmarks.side_by_side import row as row_of
from edu_align.config.compose import compose
from edu_align.runs.environment import machine
from edu_align.utils.errors import UserError


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file of results lies in the current folder."""
    monkeypatch.chdir(tmp_path)


def row(name: str, ours: float) -> dict[str, object]:
    return {
        "name": name,
        "ours": ours,
        "peer": 2.0,
        "ratio": 2.0 / ours,
        "unit": "s",
        "peer_name": "it",
        "machine": "m",
    }


def test_the_table_lines_up() -> None:
    lines = table([row("a", 0.5), row("longer", 1.23456)]).splitlines()
    assert [line.split() for line in lines] == [
        ["name", "ours", "peer", "ratio", "unit", "peer_name", "machine"],
        ["a", "0.5", "2", "4", "s", "it", "m"],
        ["longer", "1.23", "2", "1.62", "s", "it", "m"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_results_of_other_benchmarks_are_kept() -> None:
    keep([row("a", 1.0), row("b", 1.0)])
    keep([row("a", 4.0)])
    assert [(line["name"], line["ours"]) for line in json.loads(RESULTS.read_text())] == [("b", 1.0), ("a", 4.0)]


def test_an_unknown_benchmark_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "nosuch"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "there is no benchmark 'nosuch'; there are busy, cli_help" in capsys.readouterr().err.replace("\n", " ")


def test_what_others_measured_is_kept_where_one_cannot_run(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(benchmarks.cli_help, "measure", lambda: [row("cli_help_seconds", 0.1)])
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    monkeypatch.setattr("sys.argv", ["benchmarks", "training_speed", "cli_help"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert "set EDU_ALIGN_DATA to the folder that holds them, got None" in said.err
    assert "cli_help_seconds" in said.out
    assert [line["name"] for line in json.loads(RESULTS.read_text())] == ["cli_help_seconds"]


def test_medians_and_ratios_say_how_much_better_ours_is() -> None:
    runs = {"ours": [{"x": 4.0}, {"x": 9.0}, {"x": 6.0}], "trl": [{"x": 2.0}, {"x": 3.0}, {"x": 30.0}]}
    assert row_of(Line("fast", "t", "x", "pairs/s"), runs, "m")["ratio"] == 2.0
    found = row_of(Line("small", "t", "x", "GiB", less=True), runs, "m")
    assert (found["ours"], found["peer"], found["ratio"], found["machine"]) == (6.0, 3.0, 0.5, "m")


@pytest.mark.parametrize("side", ["ours", "trl"])
@pytest.mark.parametrize("trainer", ["sft", "dpo", "reward"])
def test_either_side_is_timed_on_the_same_rows(side: str, trainer: str, tmp_path: Path) -> None:
    from benchmarks.trainer_process import build, timed
    from tests.conftest import TINY

    words = [*TINY, f"trainer={trainer}", "evaluation.enabled=false", "data_root=null", f"outputs_root={tmp_path}"]
    config, _, trained = build(side, words, tmp_path / "run")
    found = timed(trained, config.trainer.batch_size)
    assert found["examples_per_second"] > 0
    assert found["tokens_per_second"] > found["examples_per_second"] * 20
    assert hasattr(trained.model.get_base_model().base_model, "unpacked_forward") is (side == "ours")


def test_both_sides_of_grpo_train_on_the_same_given_replies(tmp_path: Path) -> None:
    from benchmarks.trainer_process import build, timed
    from tests.conftest import TINY

    words = [*TINY, "trainer=grpo", "trainer.num_generations=4", "trainer.beta=0", "trainer.max_steps=2"]
    words += ["trainer.rewards={human_length: 1}", "evaluation.enabled=false", "data_root=null"]
    tokens = []
    for side in ("ours", "trl"):
        config, _, trained = build(side, [*words, f"outputs_root={tmp_path}"], tmp_path / side)
        found = timed(trained, config.trainer.batch_size)
        assert found.keys() == {"examples_per_second", "peak_memory_gib"}, "its dialogues have no replies yet"
        tokens.append(trained.state.num_input_tokens_seen)
    assert tokens[0] == tokens[1] > 100


def test_the_gpu_benchmark_is_run_on_request_only() -> None:
    import torch

    import benchmarks.gpu_speed as gpu

    assert gpu.ON_REQUEST
    assert len(gpu.LINES) == 9
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="needs a CUDA GPU"):
            gpu.measure()


def test_the_machine_in_one_line() -> None:
    assert re.fullmatch(r".+, \d+ cores, \d+ GiB", machine())


def test_a_steps_time_is_told_apart_by_what_stands_above() -> None:
    from benchmarks.step_profile import shares_of

    @dataclass
    class Event:
        name: str
        self_cpu_time_total: float
        cpu_parent: "Event | None" = None

    attention = Event("autograd::engine::evaluate_function: _BlockAttentionBackward", 50_000)
    step = Event("Optimizer.step#AdamW.step", 0)
    events = [
        attention, Event("aten::bmm", 150_000, attention), Event("aten::mm", 300_000), Event("aten::mul", 100_000),
        step, Event("aten::addcdiv_", 100_000, step), Event("aten::mm", 50_000, Event("_LabelScores", 0)),
        Event("ProfilerStep*", 7),
    ]  # fmt: skip
    assert shares_of(events, 1.0) == pytest.approx(
        {
            "attention": 0.2, "head_and_loss": 0.05, "optimizer": 0.1, "matrix_products": 0.3, "element_wise": 0.1,
            "python": 0.25,
        }
    )  # fmt: skip


def test_random_weights_lie_as_those_of_a_model_from_the_hub(tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    benchmarks.plan_error_7b.save_random_model(tmp_path, "model=tiny", "model.architecture.tie_word_embeddings=false")
    assert len(list(tmp_path.glob("*.safetensors"))) == 3  # two layers, and the rest
    _, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    tensors = load_file(tmp_path / "model-1.safetensors")
    assert 0.01 < tensors["model.layers.1.mlp.up_proj.weight"].std() < 0.03
    assert tensors["model.layers.1.input_layernorm.weight"].unique() == 1


def test_a_7b_shape_is_not_drawn_where_it_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.plan_error_7b, "free_bytes", lambda folder: 2**30)
    with pytest.raises(UserError, match=r"take 16 GiB in .*, and 1.0 are free. Set TMPDIR"):
        benchmarks.plan_error_7b.measure()


def test_memory_compares_each_way_with_everything_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    import benchmarks.memory as memory

    assert memory.ON_REQUEST
    monkeypatch.delenv(memory.DATA, raising=False)
    with pytest.raises(UserError, match=memory.DATA):
        memory.measure()
    monkeypatch.setenv(memory.DATA, ".")
    monkeypatch.setenv("EDU_ALIGN_WAYS", "selective nothing")
    with pytest.raises(UserError, match="EDU_ALIGN_WAYS must name some of"):
        memory.measure()
    monkeypatch.setenv("EDU_ALIGN_WAYS", "selective")
    taken = {tuple(memory.PEER): 10.0, tuple(memory.WAYS["selective"]): 6.0}
    monkeypatch.setattr(
        memory, "found", lambda words, folder: dict.fromkeys(("peak_memory_gib", "runtime"), taken[tuple(words)])
    )
    rows = {row["name"]: row["ratio"] for row in memory.measure()}
    assert rows == {"memory_selective": 0.6, "memory_time_selective": 0.6}
    for words in [memory.PEER, *memory.WAYS.values()]:
        assert compose([*memory.BASE, *words]).hardware.adapted_copies in ("on", "off")
