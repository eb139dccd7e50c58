"""Modelfiles: Ollama's template writes what the chat template writes."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template

from edu_align.config.schema import GenerationConfig
from edu_align.exporting.ollama import Format, Turn, context_of, examples, find_format, modelfile, write_modelfile
from edu_align.models.template_choice import ZEPHYR_TEMPLATE
from edu_align.models.tokenizer import byte_tokenizer
from tests.exporting.conftest import CHATML, LLAMA_2, MISTRAL

TEMPLATES = {"chatml": CHATML, "zephyr": ZEPHYR_TEMPLATE, "llama2": LLAMA_2, "mistral": MISTRAL}
ACTION = re.compile(r"\{\{-\s*(.*?)\s*-\}\}", re.DOTALL)
AS_JINJA = {
    "$first := true": "set own = namespace(first=true)", "range .Messages": "for turn in turns",
    'if eq .Role "user"': "if turn.role == 'user'", 'else if eq .Role "assistant"': "elif turn.role == 'assistant'",
    "if $first": "if own.first", "$first = false": "set own.first = false", "if $.System": "if system",
    "else": "else", "$.System": "{{ system }}", ".Content": "{{ turn.content }}",
}  # fmt: skip
GO = r"""
package main

import (
	"encoding/json"
	"os"
	"text/template"
)

func main() {
	var each []struct {
		Template, System string
		Messages         []struct{ Role, Content string }
	}
	json.NewDecoder(os.Stdin).Decode(&each)
	for _, one := range each {
		template.Must(template.New("").Parse(one.Template)).Execute(os.Stdout, one)
		os.Stdout.WriteString("\x00")
	}
}
"""


def tokenizer(template: str) -> Any:
    found = byte_tokenizer()
    found.chat_template = template
    return found


def learned(template: str) -> Format:
    found = find_format(tokenizer(template))
    assert found is not None
    return found


def execute(template: str, turns: list[Turn]) -> str:
    """What Go's text/template writes, by way of Jinja. Text between the actions must be blank."""
    pieces = ACTION.split(template)
    assert not "".join(pieces[::2]).strip()
    written, ends = [], []
    for action in pieces[1::2]:
        if action.startswith(("if ", "range ")):
            ends.append("endif" if action.startswith("if ") else "endfor")
        said = ends.pop() if action == "end" else AS_JINJA.get(action)
        written.append(json.loads(action) if said is None else f"{{% {said} %}}" if said[0] != "{" else said)
    assert not ends
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    return Template("".join(written), keep_trailing_newline=True).render(system=system, turns=turns)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_go_template_writes_what_the_chat_template_writes(name: str) -> None:
    chat, found = tokenizer(TEMPLATES[name]), learned(TEMPLATES[name])
    dialogues = examples(found.with_system is not None)
    assert len(dialogues) == (3 if name == "mistral" else 6)
    for turns in dialogues:
        expected = chat.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        assert execute(found.go_template(), turns) == expected


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
def test_go_itself_writes_it_too(tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text(GO)
    asked, expected = [], []
    for template in TEMPLATES.values():
        chat, found = tokenizer(template), learned(template)
        for turns in examples(found.with_system is not None):
            system = next((turn["content"] for turn in turns if turn["role"] == "system"), "")
            messages = [{"Role": turn["role"], "Content": turn["content"]} for turn in turns]
            asked.append({"Template": found.go_template(), "System": system, "Messages": messages})
            expected.append(chat.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    command = ["go", "run", str(tmp_path / "main.go")]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True)
    assert done.stdout.split("\0") == [*expected, ""]


def test_the_texts_of_a_template() -> None:
    assert learned(LLAMA_2) == Format(
        opening="<s>[INST] ",
        with_system=("<s>[INST] <<SYS>>\n", "\n<</SYS>>\n\n"),
        user=("<s>[INST] ", " [/INST]"),
        assistant=(" ", " </s>"),
        reply="",
    )
    assert learned(CHATML).opening == "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\n"
    assert learned(MISTRAL).with_system is None


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ loop.index }}: {{ m['content'] }}\n{% endfor %}",
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] | upper }}\n{% endfor %}",
        "{% for m in messages %}{% if loop.last %}{{ m['role'] }}: {{ m['content'] }}\n{% endif %}{% endfor %}",
        "{{ raise_exception('no') }}",
        "{% if messages | length > 3 %}{{ raise_exception('too long') }}{% endif %}" + CHATML,
        "{{ strftime_now('%Y') }}" + CHATML,
    ],
)
def test_a_template_that_does_more_is_not_guessed_at(template: str) -> None:
    assert find_format(tokenizer(template)) is None


def test_modelfile() -> None:
    settings = GenerationConfig(max_new_tokens=99, temperature=0.7, top_p=0.95, top_k=50, repetition_penalty=1.1)
    text = modelfile("tutor-f16.gguf", learned(ZEPHYR_TEMPLATE), ["</s>"], settings, 'Say """hi""".\nAsk back.', 4096)
    assert text.startswith('FROM ./tutor-f16.gguf\n\nTEMPLATE """{{- $first := true -}}\n')
    assert text.split('"""')[3] == 'Say "" "hi"" ".\nAsk back.'
    assert text.endswith(
        'PARAMETER stop "</s>"\nPARAMETER temperature 0.7\nPARAMETER top_p 0.95\nPARAMETER top_k 50\n'
        "PARAMETER repeat_penalty 1.1\nPARAMETER num_predict 99\nPARAMETER num_ctx 4096\n"
    )
    assert text.count('"""') == 4


def test_modelfile_without_a_template_and_a_system_prompt(tmp_path: Path) -> None:
    odd = tokenizer("{% for m in messages %}{{ loop.index }}{{ m['content'] }}{% endfor %}")
    assert write_modelfile(tmp_path / "x.gguf", odd, [2], GenerationConfig(), None, 2048) is None
    text = (tmp_path / "Modelfile").read_text()
    assert not {"TEMPLATE", "SYSTEM"} & set(text.split())
    assert 'PARAMETER stop "</s>"\n' in text


def test_the_end_of_a_turn_is_a_stop_too() -> None:
    text = modelfile("x.gguf", learned(CHATML), ["</s>"], GenerationConfig(), None, 2048)
    assert re.findall(r"PARAMETER stop (.*)", text) == ['"</s>"', '"<|im_end|>"']


def test_the_context_is_the_trained_one_within_the_models() -> None:
    assert [context_of(32768, trained) for trained in (512, 8192, 65536)] == [4096, 8192, 32768]
    assert context_of(2048, 512) == 2048
