"""A run's chat template: tried before weights load, part of its id, kept beside its weights, used by what reads it."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from edu_align.models import template_choice
from edu_align.models.chat_template import render
from edu_align.models.locate import Location
from edu_align.models.template_choice import ZEPHYR_TEMPLATE
from edu_align.models.tokenizer import (
    check_start_tokenizer,
    load_run_tokenizer,
    load_tokenizer,
    tokenizer_identity,
)
from edu_align.records import Message
from edu_align.runs.finished import run_config
from edu_align.utils.errors import UserError

PLAIN = (
    "{% for m in messages %}{% generation %}<|{{ m.role }}|>\n{{ m.content }}{% endgeneration %}</s>\n"
    "{% if loop.index > 20 %}{% break %}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
DATED = "{{ strftime_now('%d %b %Y') }}\n" + PLAIN
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}" + PLAIN
ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}" + PLAIN
)
ASK = (Message("user", "Why?"),)


@pytest.fixture
def talks(tmp_path: Path) -> str:
    """40 dialogues of two replies."""
    file = tmp_path / "talks.jsonl"
    sides = ("user", "assistant", "user", "assistant")
    texts = ("Is {0} + 1 = {1}?", "How did you count {0}?", "On my fingers.", "Show me {0} of them.")
    rows = [
        [{"role": role, "content": text.format(i, i + 1)} for role, text in zip(sides, texts, strict=True)]
        for i in range(40)
    ]
    file.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return f"dataset.path={file}"


@pytest.fixture
def own(runs: Callable[[str], Any], tmp_path: Path) -> Path:
    """A model's folder with a chat template of its own."""
    folder = tmp_path / "own"
    shutil.copytree(runs("sft_full").path / "model", folder)
    (folder / "chat_template.jinja").write_text(PLAIN)
    return folder


@pytest.fixture
def begin(go: Any, own: Path, talks: str) -> Callable[..., Any]:
    """`begin(DATED, "seed=3")`: train on `own` with this template."""
    words = [
        "dataset=local", talks, "model.weights=pretrained", f"model.path={own}", "model.tokenizer=null",
        "model.chat_template=own", "evaluation.enabled=false", "trainer.max_steps=1",
    ]  # fmt: skip

    def train(template: str | None, *more: str, root: str = "") -> Any:
        if template is not None:
            (own / "chat_template.jinja").write_text(template)
        return go("trainer=sft", *words, *more, root=root)

    return train


@pytest.mark.cases("B1")
@pytest.mark.parametrize(
    ("template", "words", "check"),
    [
        (NO_SYSTEM, "no system here", "on"),
        (NO_SYSTEM, "no system here", "off"),
        (ALTERNATING, "roles must alternate", "on"),
        ("{% for m in messages %}{{ m.content }}", "Unexpected end of template", "on"),
        ("{{ messages[0].tools.first }}" + PLAIN, "has no attribute 'tools'", "on"),
        ("{{ messages[0].content + 1 }}", "can only concatenate str", "on"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "writes nothing after a reply", "on"),
        ("{% for m in messages %}<|{{ m.role }}|>{% endfor %}", "writes nothing of a reply's text", "off"),
    ],
)
def test_a_refusal_comes_before_the_weights(
    begin: Any, own: Path, tmp_path: Path, template: str, words: str, check: str
) -> None:
    """With the template's words, a row and the ways out; by the plan, and by the rows where nothing is planned."""
    (own / "model.safetensors").write_bytes(b"not read")
    with pytest.raises(UserError, match=rf"(?s)record local:\d+: .*{words}.*model\.chat_template=zephyr") as caught:
        begin(template, "dataset.system_prompt=Be kind.", f"hardware.memory_check={check}")
    assert caught.value.exit_code == 2
    assert "dataset.system_prompt=null" in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.cases("B1")
def test_one_refused_row_is_left_out_and_counted(begin: Any, talks: str, capsys: Any) -> None:
    file = Path(talks.removeprefix("dataset.path="))
    odd = [{"role": "system", "content": "S"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    with file.open("a") as rows:
        rows.writelines(json.dumps({"messages": [*odd[:2], {**odd[2], "content": f"b{i}"}]}) + "\n" for i in range(9))
    done = begin(NO_SYSTEM, "dataset.max_train_records=null")
    said = capsys.readouterr().out
    ((read,),) = (re.findall(r"training on (\d+) conversations", said),)
    ((left_out,),) = (re.findall(r"(\d+) conversations are left out; the first: record local:4\d: .*no system", said),)
    assert int(left_out) > 0
    assert done.record["data"]["train_examples"] == int(read) - int(left_out)


@pytest.mark.cases("B2", "B6", "B7")
def test_template_and_date_are_part_of_the_run(
    begin: Any, own: Path, typed: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Day(date):
        @classmethod
        def today(cls) -> date:
            return date(2026, 2, day)

    monkeypatch.setattr(template_choice, "date", Day)
    monkeypatch.setattr("edu_align.training.run.date", Day)
    day = 3
    first = begin(DATED)
    assert first.record["template_date"] == "2026-02-03"
    assert "template_date: '2026-02-03'" in (first.path / "config.yaml").read_text()
    day = 4
    again = begin(DATED)
    assert again.path == first.path, "the same command finds what it made yesterday"
    assert "finished already" in capsys.readouterr().out
    other = begin(DATED, "force=true")
    assert other.record["id"] != first.record["id"]
    assert other.record["template_date"] == "2026-02-04"
    assert begin(None, "model.template_date=2026-02-03").path == first.path

    # its base's template changes: the run keeps its own
    (own / "chat_template.jinja").write_text(ZEPHYR_TEMPLATE)
    model = typed("trainer=sft", f"model.path={own}", "model.tokenizer=null", "model.chat_template=own").model
    model.weights, model.template_date = "pretrained", first.record["template_date"]
    chat = load_run_tokenizer(model, own, first.path)
    assert render(chat, ASK, True) == "03 Feb 2026\n<|user|>\nWhy?</s>\n<|assistant|>\n"
    assert (first.path / "adapter" / "chat_template.jinja").read_text() == DATED, "saved as it is"
    config = run_config(str(first.path), {}, None)[1]
    assert render(load_tokenizer(config.model, own), ASK) == "03 Feb 2026\n<|user|>\nWhy?</s>\n", "its base alike"
    with pytest.raises(
        UserError, match=r"`init_from=.*another chat template.*model\.chat_template=.*chat_template\.jinja"
    ):
        begin(None, f"init_from={first.path}")
    model.chat_template = f"{first.path}/adapter/chat_template.jinja"
    check_start_tokenizer("init_from", first.path, load_tokenizer(model, own))


@pytest.mark.cases("B6")
def test_another_template_or_tokenizer_is_another_run_and_is_refused_by_readers(
    begin: Any, own: Path, typed: Any
) -> None:
    asked = PLAIN + "{% if add_generation_prompt and think %}<think>{% endif %}"
    first = begin(asked, "model.template_args={think: true}")
    assert "template_date" not in first.record
    model = typed("trainer=sft", f"model.path={own}", "model.tokenizer=null", "model.chat_template=own").model
    assert render(load_run_tokenizer(model, own, first.path), ASK, True).endswith("<think>")

    def text() -> dict[str, str]:
        return tokenizer_identity(model, Location(own, "folder:own:x"))

    plain = text()
    model.template_args = {"think": True}
    assert text() == first.record["text"] != plain
    (own / "chat_template.jinja").write_text(asked + " ")
    assert text().keys() == plain.keys()
    assert text()["chat template"] != first.record["text"]["chat template"]
    rules = json.loads((own / "tokenizer.json").read_text())
    rules["pre_tokenizer"]["add_prefix_space"] = True
    (own / "tokenizer.json").write_text(json.dumps(rules))
    assert text()["tokenizer"] != plain["tokenizer"]
    with pytest.raises(UserError, match="reads text in another way than when that run was trained"):
        load_run_tokenizer(model, own, first.path)
