"""What a run leaves can be loaded by others, and that it can be written is known before the first step."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.models.locate import BUNDLED_FILE, BUNDLED_HOME, Location, published
from edu_align.models.trainable import try_saving
from edu_align.runs.folder import find_run
from edu_align.utils.errors import UserError
from tests.models.conftest import CHATML, Own

ENDS = ("<|im_start|>", "<|im_end|>")
SHORT = ("trainer.max_steps=1", "evaluation.enabled=false", "trainer=sft", "model=mistral")
INVALID = {"temperature": 0.6, "top_p": 0.9, "do_sample": False, "min_p": 0.1, "eos_token_id": [2, 3]}


@pytest.mark.cases("C15")
def test_an_adapter_is_loaded_from_any_folder(
    own: Own, go: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the lines of its README as they stand there; the path of the base that was typed was relative."""
    from transformers import AutoTokenizer

    base = own(CHATML, ENDS)
    run = go(*SHORT, f"model.path={os.path.relpath(base)}", "adapter.rank=2", "generation.max_new_tokens=2").path
    stated = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert Path(stated["base_model_name_or_path"]) == base
    card = (run / "adapter" / "README.md").read_text()
    assert card == (run / "README.md").read_text()
    assert "eos_token_id=[2, 261]" in card
    assert str(tmp_path) not in card
    assert run.name.startswith("sft-edu_tutor-own-")
    assert json.loads((run / "run.json").read_text())["model"] == "own"
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(run)
    loaded: dict[str, Any] = {}
    exec(code, loaded)
    assert loaded["model"].peft_config["default"].r == 2
    mine, ours = loaded["tokenizer"], AutoTokenizer.from_pretrained(base)
    assert (mine.chat_template, mine.get_vocab()) == (ours.chat_template, ours.get_vocab())
    assert find_run("run", str(run), tmp_path)  # the seal holds: reading it has changed nothing


@pytest.mark.cases("C15")
def test_a_base_is_named_as_others_load_it(tmp_path: Path) -> None:
    cached = tmp_path / "models--owner--Some-1B" / "snapshots" / ("a" * 40)
    assert published(Location(cached, "folder:x:0")) == ("owner/Some-1B", "a" * 40)
    assert published(Location(cached, "hub:owner/Some-1B@abc")) == ("owner/Some-1B", "abc")
    assert published(Location(cached, "hub:owner/Some-1B@None")) == ("owner/Some-1B", None)
    assert published(Location(tmp_path, f"bundled:{BUNDLED_FILE}"))[0] == BUNDLED_HOME
    assert published(Location(Path("a/b"), "folder:b:0")) == (str(Path.cwd() / "a" / "b"), None)
    assert published(Location(None, "random:tiny:seed0")) == (None, None)


@pytest.mark.cases("C6")
def test_settings_of_the_base_that_cannot_be_saved_lose_no_run(own: Own, go: Callable[..., Any]) -> None:
    from transformers import AutoModelForCausalLM

    base = own(CHATML, ENDS, generation=INVALID)
    content = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(content | INVALID))
    run = go(*SHORT, f"model.path={base}", "adapter=full").path
    assert AutoModelForCausalLM.from_pretrained(run / "model")
    assert 'folder = "model"' in (run / "model" / "README.md").read_text()


@pytest.mark.cases("C6")
def test_what_cannot_be_saved_is_said_before_the_first_step(
    random_model: Callable[..., Any], bytes_tokenizer: Any, own: Own, go: Callable[..., Any], monkeypatch: Any
) -> None:
    model = random_model()
    try_saving(model, bytes_tokenizer)
    model.generation_config.no_repeat_ngram_size = object()
    with pytest.raises(UserError, match=r"could not be saved in the end: generation_config\.json cannot be written"):
        try_saving(model, bytes_tokenizer)
    steps: list[int] = []
    monkeypatch.setattr("edu_align.training.session.trained_metrics", lambda trainer: steps.append(1))
    monkeypatch.setattr("transformers.LlamaConfig.save_pretrained", _refuse)
    with pytest.raises(UserError, match=r"config\.json cannot be written \(no such thing\)"):
        go(*SHORT, f"model.path={own(CHATML, ENDS)}", "adapter=full")
    assert steps == []


def _refuse(*_: Any, **__: Any) -> None:
    raise ValueError("no such thing")
