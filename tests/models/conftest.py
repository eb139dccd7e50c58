"""Model folders of the kinds that people have, tiny and made in a moment."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
Own = Callable[..., Path]


@pytest.fixture(scope="session")
def saved_model(random_model: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a random model of two layers, written once."""

    @cache
    def save(kind: str) -> Path:
        folder = tmp_path_factory.mktemp("saved") / kind
        random_model(kind).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def own(saved_model: Callable[[str], Path], tmp_path: Path) -> Own:
    """`own(template=CHATML, tokenizer={"eos_token": None}, generation={...}, add=["<|im_end|>"], kind="qwen2")`.

    A random model of two layers and a byte tokenizer: `template` is its chat template, `add` are special tokens more,
    `tokenizer` and `generation` change the files tokenizer_config.json and generation_config.json, `rules` is called
    with what tokenizer.json holds.
    """

    def build(
        template: str | None = None,
        add: tuple[str, ...] = (),
        tokenizer: dict[str, Any] | None = None,
        generation: dict[str, Any] | str | None = None,
        rules: Callable[[dict[str, Any]], None] | None = None,
        kind: str = "llama",
        name: str = "own",
    ) -> Path:
        from edu_align.models.tokenizer import byte_tokenizer

        folder = tmp_path / name
        shutil.copytree(saved_model(kind), folder)
        fast = byte_tokenizer()
        fast.add_special_tokens({"additional_special_tokens": list(add)} if add else {})
        fast.chat_template = template
        fast.save_pretrained(folder)
        _change(folder / "tokenizer_config.json", lambda content: content.update(tokenizer or {}))
        if rules is not None:
            _change(folder / "tokenizer.json", rules)
        if isinstance(generation, str):
            (folder / "generation_config.json").write_text(generation)
        elif generation is not None:
            (folder / "generation_config.json").write_text(json.dumps(generation))
        return folder

    return build


def _change(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def config_for(typed: Callable[..., Any]) -> Callable[..., Any]:
    """`config_for(folder, chat_template="zephyr")`: the tests' config with the model in the folder."""
    from edu_align.config.schema import ModelConfig

    return lambda folder, **keys: replace(
        typed("trainer=sft"), model=ModelConfig(**{"name": Path(folder).name, "path": str(folder), **keys})
    )
