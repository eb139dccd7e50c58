"""What the card of a reward model says of its use: how another program loads it, head and all, and scores a reply."""

from edu_align.config.schema import Config, RewardTrainerConfig
from edu_align.models.content import name_and_content
from edu_align.models.locate import Location, published
from edu_align.utils.words import in_shell

PLAIN_BASES = ("hub", "folder")  # that AutoModelForSequenceClassification reads as they lie there


def use_of_reward_run(config: Config, location: Location, run: str) -> list[str]:
    """Markdown lines: how PEFT or transformers load it and score a reply, and edu_align itself. `run` is what commands
    call it.
    """
    lora = config.adapter.name == "lora"
    if lora and name_and_content(location.identity)[0].partition(":")[0] not in PLAIN_BASES:
        lines = ["No other program reads its base as edu_align does: export it first (below), into one folder."]
    else:
        loads = _with_peft(location) if lora else whole("model")
        what = "PEFT" if lora else "transformers"
        lines = [f"With {what}, from any folder:", "", *scoring(config, loads)]
    named, page = in_shell(f"run={run}"), in_shell(f"runs={run}")
    return [
        *lines, "", "With edu_align, where its `outputs/` is:", "", "```bash",
        f"python -m edu_align.evaluate {named}  # how well it orders replies",
        f"python -m edu_align.evaluate run=<run> {in_shell(f'reward={run}')}  # what it thinks of a tutor's replies",
        f"python -m edu_align.export {named}  # one folder, the head kept",
        f"python -m edu_align.report {page}  # then the page, reports/{run}/report.html",
        "```",
    ]  # fmt: skip


def scoring(config: Config, loads: list[str]) -> list[str]:
    """A Python block that loads by the lines `loads`, and scores one reply as the run was trained to."""
    assert isinstance(config.trainer, RewardTrainerConfig)
    last = config.trainer.pooling == "last"
    # A prompt that the template opens ends where the reply's own tokens begin.
    pooled = "hidden[0, -1]" if last else 'hidden[0, opened["input_ids"].size(1) :].mean(0)'
    decoder = "model.get_base_model().base_model" if any("PeftModel" in line for line in loads) else "model.base_model"
    return [
        "```python",
        "import torch",
        *loads,
        "",
        'question = [{"role": "user", "content": "I added 3/4 and 1/4 and got 4/8. Is that right?"}]',
        'reply = [{"role": "assistant", "content": "How many quarters do you have in all?"}]',
        'how = {"return_tensors": "pt", "return_dict": True}',
        "opened = tokenizer.apply_chat_template(question, add_generation_prompt=True, **how)",
        "text = tokenizer.apply_chat_template(question + reply, tokenize=False).rstrip()",
        'asked = tokenizer(text, add_special_tokens=False, return_tensors="pt")',
        "with torch.no_grad():",
        f"    hidden = {decoder}(**asked, use_cache=False).last_hidden_state",
        f"    print(float(model.score({pooled})))",
        "```",
    ]


def _with_peft(location: Location) -> list[str]:
    """Lines that load base, adapter, head and tokenizer; no path of this machine."""
    name, revision = published(location)
    local = str(name).startswith("/")
    where = "PeftConfig.from_pretrained(folder).base_model_name_or_path" if local else f'"{name}"'
    where += f', revision="{revision}"' if revision and not local else ""
    return [
        f"from peft import {'PeftConfig, ' if local else ''}PeftModel",
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
        "",
        'folder = "adapter"  # the path to it from where you are',
        f"base = AutoModelForSequenceClassification.from_pretrained({where}, num_labels=1)",
        "model = PeftModel.from_pretrained(base, folder).eval()",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
    ]


def whole(folder: str) -> list[str]:
    """Lines that load a folder that is a whole model."""
    return [
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
        "",
        f'folder = "{folder}"  # the path to it from where you are',
        "model = AutoModelForSequenceClassification.from_pretrained(folder).eval()",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
    ]
