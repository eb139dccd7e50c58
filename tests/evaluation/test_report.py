import json

import pytest

from edu_align.errors import UserError
from edu_align.evaluation.compare import compare_models
from edu_align.evaluation.preference import ScoredGroup, evaluate_preferences
from edu_align.evaluation.report import Stage, write_report
from edu_align.evaluation.stages import read_evaluation, read_run

from .builders import PROMPT, write_run
from .test_preference import many

TURNS = [{"role": message.role, "content": message.content} for message in PROMPT]


def sample(when, reply, more=""):
    return {
        "when": when,
        "prompt": [*TURNS, {"role": "user", "content": more}],
        "reply": reply,
        "reference_reply": "What is 12 | 3?",
    }


def stages(tmp_path):
    sft = write_run(
        tmp_path / "runs" / "sft",
        [{"step": step, "loss": 3 / step, "learning_rate": 1e-4, "eval_loss": None} for step in range(1, 40)]
        + [{"step": step, "eval_loss": 3.2 / step} for step in (10, 20, 30)],
    )
    dpo = write_run(
        tmp_path / "runs" / "dpo",
        [
            {
                "step": step,
                "loss": 0.69 / step**0.3,
                "rewards/margins": step / 20,
                "rewards/accuracies": min(1.0, 0.5 + step / 60),
            }
            for step in range(1, 31)
        ],
        [
            sample("before", "The answer is 36."),
            sample("after", "What did you\nadd?"),
            sample("before", "", "And 2 days?"),
        ],
    )
    before, middle, after = many(0.0), many(0.5), many(0.9)
    after = [ScoredGroup(item.group, item.logp, item.tokens, old.logp) for item, old in zip(after, before, strict=True)]
    results = [evaluate_preferences(items, 2.0, seed=0, samples=300) for items in (before, middle, after)]
    results[2]["differences"] = {"base": compare_models(after, before, 2.0, seed=0, samples=300)}
    return [Stage("base", None, results[0]), Stage("SFT", sft, results[1]), Stage("DPO", dpo, results[2])]


def test_report_of_three_stages(tmp_path, capsys):
    made = stages(tmp_path)
    path = write_report(tmp_path / "report", made)
    report = path.read_text()
    entry = made[2].evaluation["pair_accuracy_logp"]
    value = f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"
    row = next(line for line in report.splitlines() if line.startswith("| pair_accuracy_logp"))
    assert value in row
    assert f"{entry['n']} (120)" in row
    assert "chance 0.500" in row
    implicit = next(line for line in report.splitlines() if line.startswith("| pair_accuracy_implicit"))
    assert implicit.split("|")[2].strip() == "-"
    assert "- base: pair_accuracy_logp 0." in report
    assert "not shown to beat" in report
    assert "| DPO - base | pair_accuracy_logp | +0." in report
    assert "state finished, seed 42, 42 logged steps" in report
    assert "| The answer is 36. | What did you add? | What is 12 \\| 3? |" in report
    assert "| (empty) | (not kept) | What is 12" in report
    assert report.index("## Replies") < report.index("> **user**: And 2 days?") < report.index("(not kept)")
    assert "do not compare" not in report
    printed = capsys.readouterr().out
    assert value in printed
    assert "n (groups)" in printed


def test_pictures_open_and_are_not_blank(tmp_path):
    from matplotlib import image

    write_report(tmp_path / "report", stages(tmp_path))
    for name in ("curves.png", "before_after.png"):
        pixels = image.imread(tmp_path / "report" / name)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.02


def test_report_without_runs_says_what_is_missing(tmp_path):
    path = write_report(tmp_path / "report", stages(tmp_path)[:1])
    report = path.read_text()
    assert "no curve" in report
    assert "No run has kept samples." in report
    assert not (tmp_path / "report" / "curves.png").exists()


def test_stages_measured_on_other_items_are_not_to_be_compared(tmp_path):
    other = evaluate_preferences(many(0.5), 3.0, seed=0, samples=50)
    report = write_report(tmp_path / "report", [*stages(tmp_path)[:1], Stage("SFT", None, other)]).read_text()
    assert "do not compare them" in report
    row = next(line for line in report.splitlines() if line.startswith("| pair_accuracy_logp"))
    assert f" / {other['pair_accuracy_logp']['n']} (" in row


def test_one_group_has_no_interval_in_the_table(tmp_path):
    found = evaluate_preferences(many(0.5, groups=1), 2.0, seed=0, samples=50)
    report = write_report(tmp_path / "report", [Stage("base", None, found)]).read_text()
    assert "[no interval: 1 group]" in report


def test_bad_input_is_named(tmp_path):
    made = stages(tmp_path)
    with pytest.raises(UserError, match="at least 1 stage"):
        write_report(tmp_path / "report", [])
    with pytest.raises(UserError, match="different labels"):
        write_report(tmp_path / "report", [made[0], made[0]])
    with pytest.raises(UserError, match="None of the stages base has an evaluation"):
        write_report(tmp_path / "report", [Stage("base", None, {})])
    with pytest.raises(UserError, match=r"has no run\.json"):
        write_report(tmp_path / "report", [Stage("SFT", tmp_path, made[1].evaluation)])


def test_run_files_are_read_and_a_cut_line_is_named(tmp_path):
    run = write_run(tmp_path / "run", [{"step": 1, "loss": 2.0}])
    assert read_run(run).history == [{"step": 1, "loss": 2.0}]
    assert read_run(run).samples == []
    with pytest.raises(UserError, match=r"no evaluation\.json"):
        read_evaluation(run)
    (run / "evaluation.json").write_text(json.dumps({"base": {"settings": {}}}))
    assert read_evaluation(run) == {"base": {"settings": {}}}
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    with pytest.raises(UserError, match=r"metrics\.jsonl line 2 is not JSON"):
        read_run(run)


def test_a_metric_of_no_family_is_reported_without_baselines(tmp_path):
    entry = {"value": 2.5, "low": 2.4, "high": 2.6, "n": 300, "clusters": 40}
    run = write_run(tmp_path / "run", [{"step": 1, "loss": 2.0}], [])
    report = write_report(tmp_path / "report", [Stage("SFT", run, {"human_turn_nll": entry})]).read_text()
    assert "| human_turn_nll | 2.500 [2.400, 2.600] | 300 (40) | - |" in report
    assert "strongest" not in report
    assert (tmp_path / "report" / "before_after.png").stat().st_size > 5000
