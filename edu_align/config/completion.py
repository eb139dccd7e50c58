"""Completion of `edu-align` in bash and zsh: the scripts, and what they ask for at each Tab.

Everything is read from the schema and the names of the config files: no torch, no Hydra, none of its internal names.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from edu_align.utils.errors import UserError
from edu_align.utils.words import did_you_mean, listed

# The word that is being typed goes last; a line that ends with = or . or / is not finished. One line :files means
# that a path belongs here.
BASH = """\
# bash completion of edu-align: put this line into ~/.bashrc
#   eval "$(edu-align completion bash)"
_edu_align() {
    local words word found
    read -ra words <<< "${COMP_LINE:0:COMP_POINT}"
    [[ "${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]] && words+=("")
    word="${words[${#words[@]}-1]}"
    found="$("${words[0]}" completion words "${words[@]:1}" 2>/dev/null)"
    COMPREPLY=()
    if [[ "$found" == ":files" ]]; then
        compopt -o default
        return
    fi
    local cut=""
    [[ "$COMP_WORDBREAKS" == *=* && "$word" == *=* ]] && cut="${word%"${word##*=}"}"
    while IFS= read -r each; do
        [[ -n "$each" ]] && COMPREPLY+=("${each#"$cut"}")
    done <<< "$found"
    [[ "$found" == *[=./] ]] && compopt -o nospace
}
complete -F _edu_align edu-align
"""
ZSH = """\
#compdef edu-align
# zsh completion of edu-align: put this line into ~/.zshrc, behind compinit
#   eval "$(edu-align completion zsh)"
_edu_align() {
    local -a found open whole
    found=("${(@f)$("${words[1]}" completion words "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
    if [[ "${found[1]}" == ":files" ]]; then
        compset -P '*='
        _files
        return
    fi
    open=(${(M)found:#*[=./]})
    whole=(${found:#*[=./]})
    (( ${#open} )) && compadd -S '' -- $open
    (( ${#whole} )) && compadd -- $whole
}
if [[ "${funcstack[1]}" == "_edu_align" ]]; then
    _edu_align "$@"
else
    compdef _edu_align edu-align
fi
"""
SHELLS = {"bash": BASH, "zsh": ZSH}
WORDS = "words"  # what the scripts ask with
FLAGS = ("--help", "--version", "--cfg", "--info", "--multirun", "--config-dir", "--package", "--resolve")
SHOWN = {"--cfg": ("job", "hydra", "all"), "--info": ("defaults", "defaults-tree", "searchpath", "config", "plugins")}
LIKE_TRAIN = ("train", "plan", "preview", "sweep", "crossfit", "reproduce")
RUN_KEYS = ("run", "init_from", "runs")
PATHS = (
    "dataset.path", "model.path", "data_root", "outputs_root", "input", "output", "votes", "adapter",
    "export.converter", "model.chat_template", "model.tokenizer",
)  # fmt: skip
_IN_HELP = re.compile(r"^  (--[a-z-]+|[a-z_]+(?:\.[a-z_]+)?)(?=[ ,])", re.MULTILINE)


def answer(arguments: Sequence[str], commands: Sequence[str], help_of: Callable[[str], str]) -> None:
    """Print a shell's script, or what may stand where the line ends. Errors: no shell that is known.

    `help_of` gives the text of a command's --help, which names the keys of those that are unlike `train`.
    """
    if arguments[:1] == [WORDS]:
        print("\n".join(candidates(list(arguments[1:]), commands, help_of)))
        return
    shell = arguments[0] if len(arguments) == 1 else ""
    if shell not in SHELLS:
        hint = did_you_mean(shell, SHELLS) if shell else ""
        raise UserError(f"Give one shell: edu-align completion {listed(SHELLS)}, got {' '.join(arguments)!r}.{hint}")
    print(SHELLS[shell], end="")


def candidates(words: list[str], commands: Sequence[str], help_of: Callable[[str], str]) -> list[str]:
    """What the last of `words` (those behind `edu-align`) may become, whole words each."""
    if len(words) < 2:
        return [name for name in commands if name.startswith("".join(words))]
    name, *before, word = words
    if name == "completion":
        return [shell for shell in SHELLS if shell.startswith(word) and not before]
    last = before[-1] if before else ""
    if last in SHOWN:
        return [each for each in SHOWN[last] if each.startswith(word)]
    if last == "--config-dir":
        return [":files"]
    key, equals, _ = word.partition("=")
    if equals:
        found = [f"{key}={value}" for value in _values(name, key.lstrip("+~"), before)]
        if not found and key in PATHS:
            return [":files"]
    else:
        found = [*(FLAGS if word.startswith("-") and name in LIKE_TRAIN else ()), *_keys(name, word, before, help_of)]
    return sorted({each for each in found if each.startswith(word)})


def _keys(name: str, word: str, before: list[str], help_of: Callable[[str], str]) -> Iterator[str]:
    """Keys of a command as far as the next dot: `trainer=`, `trainer.`, then `trainer.beta=`."""
    from edu_align.config.keys import typed_keys

    folders = _folders(before)
    asking = "--help" in before or "-h" in before
    if name not in LIKE_TRAIN:
        told = help_of(name)
        for each in _IN_HELP.findall(told):
            yield each if each.startswith("-") else f"{each}="
        open_groups = {
            *re.findall(r"^  ([a-z_]+)\.\*", told, re.MULTILINE),
            *({"hardware"} & {*_IN_HELP.findall(told)}),
        }
    else:
        from edu_align.config.comments import groups

        every = groups(folders)
        open_groups = {key.partition(".")[0] for key in typed_keys() if "." in key}
        yield from every if asking else (f"{group}=" for group in every)
        yield from (key if asking else f"{key}=" for key in typed_keys() if "." not in key)
    if "." not in word:
        yield from (f"{group}." for group in open_groups)
    else:
        keys = [key for key in typed_keys() if key.partition(".")[0] in open_groups]
        parts = [key for key in keys if key.startswith(word)]
        yield from (key if asking else f"{key}=" for key in parts)


def _values(name: str, key: str, before: list[str]) -> list[str]:
    """The words that a key may have."""
    from edu_align.config.bounds import enumerations
    from edu_align.config.comments import options
    from edu_align.config.keys import typed_keys
    from edu_align.config.schema import METRICS

    if key in RUN_KEYS:
        return _runs(before)
    if key == "sweep" and name == "report":
        return [path.parent.name for path in sorted(_outputs(before).glob("sweeps/*/sweep.json"))]
    if "." not in key and (found := options(_folders(before), key)):
        return [*found]
    if words := enumerations().get(key):
        return [*words]
    kind: Any = typed_keys().get(key)
    if kind is bool or bool in get_args(kind):
        return ["true", "false"]
    return [f"[{metric}]" for metric in METRICS] if key == "evaluation.metrics" else []


def _runs(before: list[str]) -> list[str]:
    return [path.parent.name for path in sorted(_outputs(before).glob("runs/*/run.json"))]


def _outputs(before: list[str]) -> Path:
    given = [word.partition("=")[2] for word in before if word.startswith("outputs_root=")]
    if not given:
        from edu_align.config.machine_settings import settings

        given = [str(settings().get("outputs_root", "outputs"))]
    return Path(os.path.expanduser(given[-1]))


def _folders(before: list[str]) -> list[Path]:
    """edu_align's own config folder, and those behind --config-dir."""
    from edu_align.config.comments import conf_dir, folders_after_flag

    return [conf_dir(), *folders_after_flag(before)]
