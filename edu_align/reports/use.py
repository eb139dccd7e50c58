"""How to use what a run leaves, for its card: the base by the name that others can load it by, then the run's own."""

import json
from pathlib import Path

from edu_align.config.schema import Config
from edu_align.models.locate import BUNDLED_FILE, Location, published
from edu_align.models.template_choice import TEMPLATE_FILE

ASK = [
    'messages = [{"role": "user", "content": "I added 3/4 and 1/4 and got 4/8. Is that right?"}]',
    "inputs = tokenizer.apply_chat_template(",
    '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
    ")",
]
SHOW = 'print(tokenizer.decode(reply[0, inputs["input_ids"].size(1) :], skip_special_tokens=True))'


def use_of_run(config: Config, location: Location, run: str, ends: list[int]) -> list[str]:
    """Markdown lines: how transformers and PEFT load it, and edu_align itself. `ends`: ids that end a reply."""
    kind = "adapter" if config.adapter.name == "lora" else "model"
    lines = [f"`{kind}/` holds what was trained. With edu_align, where the run is:", "", "```"]
    lines += [f"python -m edu_align.chat run={run}", f"python -m edu_align.export run={run}", "```"]
    if kind == "adapter" and (location.folder is None or config.model.tokenizer == "bytes"):
        return [*lines, "", "Its base or its tokenizer is edu_align's own, so export it for other programs."]
    loads = _with_peft(config, location) if kind == "adapter" else _whole()
    reply = f"reply = model.generate(**inputs, max_new_tokens={config.generation.max_new_tokens}, eos_token_id={ends})"
    lines += ["", "With other programs:", "", "```python", *loads, *ASK, reply, SHOW, "```"]
    lines += _notes(config, location) if kind == "adapter" else []
    if prompt := config.dataset.system_prompt:
        lines += ["", "It was trained with this system prompt, so put it first:", "", f"> {' '.join(prompt.split())}"]
    return lines


def _with_peft(config: Config, location: Location) -> list[str]:
    name, revision = published(location)
    where = json.dumps(name if name and not Path(name).is_absolute() else f"path/to/{config.model.name}")
    where += f', revision="{revision}"' if revision else ""
    tokenizer = where if config.model.tokenizer is None else json.dumps(config.model.tokenizer)
    return [
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'folder = "path/to/this/adapter"',
        f"base = AutoModelForCausalLM.from_pretrained({where})",
        "model = PeftModel.from_pretrained(base, folder)",
        f"tokenizer = AutoTokenizer.from_pretrained({tokenizer})",
        f'tokenizer.chat_template = open(f"{{folder}}/{TEMPLATE_FILE}", encoding="utf-8").read()',
    ]


def _whole() -> list[str]:
    return [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'folder = "path/to/this/model"',
        "model = AutoModelForCausalLM.from_pretrained(folder)",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
    ]


def _notes(config: Config, location: Location) -> list[str]:
    if location.identity.startswith("bundled:"):
        return [
            "",
            f"It was trained on the weights of {BUNDLED_FILE}; on those of the hub its replies differ a little.",
        ]
    if Path(published(location)[0] or "").is_absolute():
        return ["", f"The base is a local folder ({config.model.name}); adapter_config.json says where it was."]
    return []
