"""`edu-align <command> ...`, which is `python -m edu_align.<command> ...`; alone it lists the commands.

Each command keeps its own module, whose `main` gets the rest of the words. Nothing else is imported before.
"""

import sys
from importlib import import_module

from edu_align.utils.errors import UserError
from edu_align.utils.program import program
from edu_align.utils.words import did_you_mean, listed

COMMANDS = {
    "train": "SFT or DPO of one run, a chain of runs (experiment=tutor), or a sweep",
    "plan": "memory, tokens and time of what train would do, before anything is loaded",
    "preview": "a few training records as tokens, with the trained ones marked",
    "rounds": "a tutor learns from its own replies, round after round",
    "crossfit": "one training setting, measured on every question by a model that never saw it",
    "chat": "talk to a run, beside its base with --compare, in a browser with --web",
    "generate": "answer a file of prompts",
    "evaluate": "measure runs, or any model, with the whole suite",
    "report": "runs side by side, or a sweep, as a page",
    "export": "a merged model that other programs load, and a GGUF for Ollama",
    "sweep": "train every combination of several values, or a preset: sweep beta_lr",
    "tutorbench": "MathTutorBench's tasks, beside the base and trivial rules",
    "harness": "lm-eval's gsm8k on what a run did not train on",
    "reproduce": "SFT, DPO, evaluation and report, held against the kept results",
    "verify": "is everything under outputs/ whole?",
    "doctor": "what this machine has, what it lacks, and what to do about it",
}
OWN = {"completion": "completion of a shell: completion bash, completion zsh"}
PREVIEWED = 3  # records, where `preview=` does not say how many


@program
def main() -> None:
    name, *rest = sys.argv[1:] or ["--help"]
    if name in COMMANDS and rest != ["--version"]:
        _hand_over(name, rest)
    elif name in ("-h", "--help", "help"):
        print(listing())
    elif "--version" in (name, *rest):
        from edu_align.runs.environment import versions

        print(versions())
    elif name == "completion":
        from edu_align.config.completion import answer

        answer(rest, tuple({**COMMANDS, **OWN}), _help_of)
    else:
        every = {**COMMANDS, **OWN}
        if "=" in name:
            raise UserError(f"`{name}` is no command. Did you mean `edu-align train {' '.join(sys.argv[1:])}`?")
        raise UserError(f"`{name}` is no command.{did_you_mean(name, every)} Commands: {listed(every)}.")


def _help_of(name: str) -> str:
    return str(getattr(import_module(f"edu_align.{name}"), "HELP", "")) if name in COMMANDS else ""


def listing() -> str:
    """All commands, one line each."""
    lines = [f"  {name:<12}{told}" for name, told in {**COMMANDS, **OWN}.items()]
    return "\n".join(
        [
            "edu_align: edu-align <command> [key=value ...] [flags], or python -m edu_align.<command>",
            "",
            *lines,
            "",
            "edu-align <command> --help explains one; edu-align --version names the versions in use.",
        ]
    )


def _hand_over(name: str, rest: list[str]) -> None:
    """Go on as `python -m edu_align.<command>` does."""
    command, words = as_typed(name, rest)
    module = import_module(f"edu_align.{command}")
    sys.argv = [str(module.__file__), *words]
    module.main()


def as_typed(name: str, rest: list[str]) -> tuple[str, list[str]]:
    """The module and the words that a command stands for: `preview` and `sweep` are ways to call `train`."""
    asks_help = bool({"-h", "--help"} & set(rest))
    if name == "preview":
        given = any(word.startswith("preview=") for word in rest)
        more = ["preview"] if asks_help and len(rest) == 1 else [] if asks_help or given else [f"preview={PREVIEWED}"]
        return "train", [*more, *rest]
    if name == "sweep":
        named = bool(rest) and not asks_help and "=" not in rest[0] and not rest[0].startswith(("-", "~"))
        words = [f"sweep={rest[0]}", *rest[1:]] if named else rest
        if asks_help or not rest:
            return "train", [*(["sweep"] if len(rest) < 2 else []), *(words or ["--help"])]
        preset = any(word.startswith("sweep=") for word in words)
        return "train", words if preset or {"-m", "--multirun"} & set(words) else ["-m", *words]
    return name, rest


if __name__ == "__main__":
    main()
