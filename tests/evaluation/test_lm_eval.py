"""GSM8K for lm-evaluation-harness: which questions, in which form, and the real harness where it is installed."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from edu_align.data.questions import problem_key
from edu_align.data.readers import Row, read_rows
from edu_align.evaluation import lm_eval
from edu_align.evaluation.lm_eval import Plan, Task, keys, model_arguments, question_of, unseen, write_arguments
from edu_align.harness import main
from edu_align.runs.folder import RunFolder
from edu_align.utils.errors import UserError
from tests.chatting.conftest import Here, here  # noqa: F401 - a fixture
from tests.conftest import Compose

Runs = Callable[[str], Any]

FIXTURES = Path(__file__).parents[1] / "data" / "fixtures"
installed = find_spec("lm_eval") is not None


@pytest.fixture(scope="module")
def measured(train: Callable[..., Any], runs: Runs) -> str:
    """Name of a tiny run whose adapter lies on a base in a folder."""
    base = ["model.weights=pretrained", f"model.path={runs('sft_full').path / 'model'}"]
    train("trainer=sft", "run_name=measured", "evaluation.enabled=false", *base)
    return "measured"


def test_a_socratic_row_becomes_one_of_the_main_form() -> None:
    answer = "How many? ** 3*4=<<3*4=12>>12 nuts.\nLeft? ** 12-2=<<12-2=10>>10.\n#### 10"
    plain = {"question": "Nuts?", "answer": "3*4=<<3*4=12>>12 nuts.\n12-2=<<12-2=10>>10.\n#### 10"}
    assert question_of(Row({"question": "Nuts?", "answer": answer}, "f", 1)) == plain
    assert question_of(Row(plain, "f", 1)) == plain


def test_questions_that_training_saw_are_left_out() -> None:
    rows = read_rows(FIXTURES / "gsm8k" / "test_socratic.jsonl")
    asked = [row.get("question", str) for row in rows]
    every, none = unseen(str(FIXTURES), set())
    assert {row["question"] for row in every} == set(asked)
    assert none == 0
    assert [row["question"] for row in every] != asked  # by hash, so that the first ones are a random part
    assert "**" not in "".join(row["answer"] for row in every)
    by_problem = {problem_key(asked[0].upper()), "problem:another"}
    by_history = {key for key in keys(asked[1]) if key.startswith("text:")}
    kept, left_out = unseen(str(FIXTURES), by_problem | by_history)
    assert left_out == 2
    assert {row["question"] for row in kept} == set(asked[2:])
    with pytest.raises(UserError, match=f"training has seen all {len(asked)} questions"):
        unseen(str(FIXTURES), {problem_key(question) for question in asked})


def test_where_the_questions_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDU_ALIGN_DATA", raising=False)
    with pytest.raises(UserError, match=r"`data_root` is not set, and gsm8k/test\.jsonl or test_socratic\.jsonl"):
        unseen(None, ())
    with pytest.raises(UserError, match=r"has no gsm8k/test\.jsonl or test_socratic\.jsonl"):
        unseen(str(tmp_path), ())
    monkeypatch.setenv("EDU_ALIGN_DATA", str(FIXTURES))
    assert unseen(None, ())[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["run=none"], "the package lm-eval is not installed here. Run: pip install",
                     marks=pytest.mark.skipif(installed, reason="lm-eval is installed")),
        (["run=a", "of=adapter"], "`of` must be one of tutor | base | export, got 'adapter'."),
        (["run=a", "limit=0"], "`limit` must be a whole number from 1 to"),
        (["run=a", "chat=maybe"], "`chat` must be true or false, got 'maybe'."),
        (["run=a", "limits=4"], "`limits=4` cannot be set here. Did you mean `limit`?"),
    ],
)  # fmt: skip
def test_what_is_refused(here: Here, words: list[str], message: str) -> None:  # noqa: F811
    code, _, err = here(main, *words)
    assert (code, err.startswith(f"edu_align: error: {message}")) == (2, True), err


def test_help_says_what_is_needed(here: Here) -> None:  # noqa: F811
    code, out, _ = here(main)
    assert code == 0
    assert 'pip install "edu_align[lm-eval]"' in out


def test_which_folders_are_loaded(runs: Runs, typed: Compose, measured: str, outputs: Path) -> None:
    for of, message in (
        ("tutor", r"tiny has random weights, which lie in no folder\."),
        ("export", r".* is not there\. Run: python -m edu_align\.export run=sft"),
    ):
        with pytest.raises(UserError, match=f"`of={of}`: {message}"):
            model_arguments(runs("sft").folder, typed("trainer=sft"), of)
    full = runs("sft_full").folder
    base = {"pretrained": str(full.path / "model")}
    config = typed("trainer=sft", "model.weights=pretrained", f"model.path={base['pretrained']}")
    on_it = RunFolder(outputs / "runs" / measured, json.loads((outputs / "runs" / measured / "run.json").read_text()))
    assert model_arguments(on_it, config, "tutor") == {**base, "peft": str(on_it.path / "adapter")}
    assert model_arguments(on_it, config, "base") == base
    assert model_arguments(full, typed("trainer=sft", "adapter=full"), "tutor") == base


def test_arguments_and_result(tmp_path: Path) -> None:
    task = Task(tmp_path / "task", 1303, 16)
    file = write_arguments(task, {"pretrained": "base", "peft": "a"}, Plan(20, 2, 4, False), tmp_path)
    content = yaml.safe_load(file.read_text())
    assert content["model_args"] == {"pretrained": "base", "peft": "a"}
    assert (content["limit"], content["num_fewshot"], content["apply_chat_template"]) == (20, 2, False)
    measured = {"exact_match,strict-match": 0.25, "exact_match_stderr,strict-match": 0.1, "alias": "gsm8k"}
    result = {"results": {"gsm8k_unseen": measured}, "n-samples": {"gsm8k_unseen": {"original": 1303, "effective": 20}}}
    assert lm_eval.lines_of(result, task, "run") == [
        "run: 20 of 1303 questions of GSM8K's test set; 16 more were left out, because the run, or one that it starts "
        "from, was trained on them",
        "  exact match, strict-match: 0.2500, standard error 0.1000",
    ]


@pytest.mark.cases("C12")
def test_a_chat_is_read_as_training_read_it(tmp_path: Path) -> None:
    """A tokenizer that begins every text with a token adds none to what the template wrote; a plain text it does."""
    task, model = Task(tmp_path / "task", 1303, 16), {"pretrained": "base"}
    chat = yaml.safe_load(write_arguments(task, model, Plan(None, 5, 8, True), tmp_path).read_text())
    assert chat["model_args"] == {"pretrained": "base", "add_bos_token": False}
    assert "limit" not in chat
    plain = yaml.safe_load(write_arguments(task, model, Plan(None, 5, 8, False), tmp_path).read_text())
    assert plain["model_args"] == model


@pytest.mark.slow
@pytest.mark.skipif(not installed, reason='lm-eval is not installed: pip install "edu_align[lm-eval]"')
@pytest.mark.parametrize("of", ["tutor", "export"])
def test_the_real_harness(here: Here, measured: str, outputs: Path, tmp_path: Path, of: str) -> None:  # noqa: F811
    from edu_align.export import main as export

    if of == "export":
        assert here(export, f"run={measured}", f"outputs_root={outputs}")[0] == 0
    words = [f"run={measured}", f"outputs_root={outputs}", f"output={tmp_path}", f"data_root={FIXTURES}", f"of={of}"]
    code, out, err = here(main, *words, "limit=3", "few_shot=0")
    assert code == 0, err
    assert f"{measured} ({of}): 3 of 10 questions of GSM8K's test set; 0 more were left out" in out
    assert "exact match, strict-match: " in out
    (samples,) = tmp_path.rglob("samples_gsm8k_unseen_*.jsonl")
    first = [json.loads(line)["doc"]["question"] for line in samples.read_text().splitlines()]
    assert {row["question"] for row in unseen(str(FIXTURES), ())[0][:3]} == set(first)
