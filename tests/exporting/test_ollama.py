"""Modelfiles: Ollama's template writes what the chat template writes."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import GenerationConfig
from edu_align.exporting.ollama import Format, Turn, examples, find_format, modelfile, write_modelfile
from edu_align.models.tokenizer import ZEPHYR_TEMPLATE, byte_tokenizer
from tests.exporting.conftest import CHATML, LLAMA_2, MISTRAL

TEMPLATES = {"chatml": CHATML, "zephyr": ZEPHYR_TEMPLATE, "llama2": LLAMA_2, "mistral": MISTRAL}
ACTION = re.compile(r"\{\{-\s*(.*?)\s*-\}\}", re.DOTALL)
GO = """
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type dialogue struct {
	Template, System string
	Messages         []struct{ Role, Content string }
}

func main() {
	var each []dialogue
	if err := json.NewDecoder(os.Stdin).Decode(&each); err != nil {
		panic(err)
	}
	written := []string{}
	for _, one := range each {
		var text strings.Builder
		if err := template.Must(template.New("").Parse(one.Template)).Execute(&text, one); err != nil {
			panic(err)
		}
		written = append(written, text.String())
	}
	json.NewEncoder(os.Stdout).Encode(written)
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
    """What Go's text/template writes, for the actions that our templates have. Text between actions must be blank."""
    pieces = ACTION.split(template)
    assert not "".join(pieces[::2]).strip()
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    text, rest = _block(iter(pieces[1::2]), {"$.System": system, "turns": turns})
    assert rest is None
    return text


def _block(actions: Iterator[str], data: dict[str, Any], on: bool = True) -> tuple[str, str | None]:
    """The text up to the `end` or `else` that closes this block, and that action; nothing is written unless `on`."""
    text = ""
    for action in actions:
        if action == "end" or action.startswith("else"):
            return text, action
        if action.startswith("range"):
            body = []
            for each in actions:
                body.append(each)
                if _depth(body) < 0:
                    break
            for turn in data["turns"] if on else []:
                data |= {".Role": turn["role"], ".Content": turn["content"]}
                text += _block(iter(body), data)[0]
        elif action.startswith("if "):
            text += _choice(actions, action[3:], data, on)
        elif ":=" in action or " = " in action:
            name, _, value = re.split(r"\s+(:?=)\s+", action)
            if on:
                data[name] = value == "true"
        elif on:
            text += json.loads(action) if action.startswith('"') else data[action]
    return text, None


def _depth(actions: list[str]) -> int:
    return sum(word.startswith(("if ", "range")) for word in actions) - actions.count("end")


def _choice(actions: Iterator[str], condition: str, data: dict[str, Any], on: bool) -> str:
    if condition.startswith("eq "):
        _, name, value = condition.split()
        chosen = data[name] == json.loads(value)
    else:
        chosen = bool(data[condition])
    text, closing = _block(actions, data, on and chosen)
    if closing == "else":
        text += _block(actions, data, on and not chosen)[0]
    elif closing is not None and closing.startswith("else if "):
        text += _choice(actions, closing.removeprefix("else if "), data, on and not chosen)
    return text


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
    assert json.loads(done.stdout) == expected


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
    ],
)
def test_a_template_that_does_more_is_not_guessed_at(template: str) -> None:
    assert find_format(tokenizer(template)) is None


def test_modelfile() -> None:
    settings = GenerationConfig(max_new_tokens=99, temperature=0.7, top_p=0.95, top_k=50, repetition_penalty=1.1)
    text = modelfile("tutor-f16.gguf", learned(ZEPHYR_TEMPLATE), ["</s>"], settings, 'Say """hi""".\nAsk back.')
    assert text.startswith('FROM ./tutor-f16.gguf\n\nTEMPLATE """{{- $first := true -}}\n')
    assert text.split('"""')[3] == 'Say "" "hi"" ".\nAsk back.'
    assert text.endswith(
        'PARAMETER stop "</s>"\nPARAMETER temperature 0.7\nPARAMETER top_p 0.95\nPARAMETER top_k 50\n'
        "PARAMETER repeat_penalty 1.1\nPARAMETER num_predict 99\n"
    )
    assert text.count('"""') == 4


def test_modelfile_without_a_template_and_a_system_prompt(tmp_path: Path) -> None:
    odd = tokenizer("{% for m in messages %}{{ loop.index }}{{ m['content'] }}{% endfor %}")
    assert write_modelfile(tmp_path / "x.gguf", odd, [2], GenerationConfig(), None) is None
    text = (tmp_path / "Modelfile").read_text()
    assert "TEMPLATE" not in text
    assert "SYSTEM" not in text
    assert 'PARAMETER stop "</s>"\n' in text


def test_the_end_of_a_turn_is_a_stop_too() -> None:
    text = modelfile("x.gguf", learned(CHATML), ["</s>"], GenerationConfig(), None)
    assert re.findall(r"PARAMETER stop (.*)", text) == ['"</s>"', '"<|im_end|>"']
