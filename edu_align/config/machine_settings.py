"""A machine's own settings: `~/.config/edu_align/config.yaml` ($XDG_CONFIG_HOME is respected).

Any key of the command line, nested or dotted. They stand above conf/ and below the command line: `train` and `plan`
take all of them, other commands where things lie and the groups that they can set. An option that is chosen on the
command line takes the place of the file's, with the file's keys of that group.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edu_align.utils.distributed import is_first
from edu_align.utils.errors import UserError
from edu_align.utils.secrets import redacted
from edu_align.utils.words import did_you_mean, value_word

USED = "EDU_ALIGN_MACHINE_SETTINGS"  # what was taken, for run.json, in this process and in those that it starts
PLACES = ("outputs_root", "data_root")  # taken by every command that has them
OF_TRAINING = ("hardware.per_device_batch_size",)  # tied to a training run's batch, so other commands leave it


def _groups() -> tuple[str, ...]:
    """Groups with options."""
    from edu_align.config.schema import GROUP_SCHEMAS

    return (*GROUP_SCHEMAS, "experiment", "sweep")


def settings_file() -> Path:
    """Where the file lies, or would."""
    asked = os.environ.get("XDG_CONFIG_HOME", "")
    folder = asked if os.path.isabs(asked) else os.path.expanduser("~/.config")
    return Path(folder) / "edu_align" / "config.yaml"


def settings() -> dict[str, Any]:
    """`{dotted key: value}` of the file; empty where there is none. Errors: it cannot be read, what is no key."""
    file = settings_file()
    if not os.path.lexists(file):
        return {}
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{file}: cannot be read as YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: must hold `key: value` lines, got {content!r}.")
    found: dict[str, Any] = {}
    problems = [f"{file}: {problem}" for problem in _flatten(content, "", found)]
    if problems:
        raise UserError("\n".join(problems))
    return found


def beside(words: Iterable[str]) -> dict[str, Any]:
    """What a command line of these keys, or `group=option` words, leaves of the file's settings."""
    given = {word.partition("=")[0].lstrip("+~"): word.partition("=")[2] for word in words}
    found = settings()
    if not found:
        return {}
    other = [group for group in _groups() if group in given and group in found and found[group] != given[group]]
    return {key: value for key, value in found.items() if key not in given and key.partition(".")[0] not in other}


def as_word(key: str, value: Any) -> str:
    """`key=value` as it is typed."""
    return f"{key}={value_word(value)}"


def for_command(arguments: Sequence[str], own: Sequence[str], groups: Sequence[str]) -> list[str]:
    """The words of a command other than `train`, behind those of the file that it takes: PLACES that are its `own`
    keys, and all of `groups`. What a finished run is, its model and its data, is not set by a machine.
    """
    if not os.path.lexists(settings_file()):
        return [*arguments]
    taken = (*(key for key in PLACES if key in own), *(group for group in groups if group not in ("model", "dataset")))
    found = {key: value for key, value in beside(arguments).items() if key.partition(".")[0] in taken}
    found = {key: value for key, value in found.items() if key not in OF_TRAINING}
    use(found)
    return [*(as_word(key, value) for key, value in found.items()), *arguments]


def use(found: Mapping[str, Any]) -> None:
    """Say which settings of the file are taken, and keep them for `used`; "" of any before where there are none."""
    os.environ.pop(USED, None)
    if found:
        file = str(settings_file())
        os.environ[USED] = json.dumps({"file": file, "keys": dict(found)})
        if is_first():
            words = " ".join(as_word(key, value) for key, value in found.items())
            print(redacted(f"edu_align: settings of this machine, from {file}: {words}"), file=sys.stderr, flush=True)


def used() -> dict[str, Any]:
    """`{"file": ..., "keys": {...}}` of the settings that this command took; empty where it took none."""
    found: dict[str, Any] = json.loads(os.environ.get(USED) or "{}")
    return found


def blamed(message: str) -> str:
    """A message with the file's name before each line that is about one of the settings taken."""
    taken = used()
    starts = tuple(f"`{key}{end}" for key in taken.get("keys", {}) for end in ("`", "="))
    lines = [
        line.replace("`", f"{taken['file']}: `", 1) if line.lstrip(" -").startswith(starts) else line
        for line in (message.split("\n") if starts else [])
    ]
    return "\n".join(lines) or message


def _flatten(node: Mapping[Any, Any], prefix: str, found: dict[str, Any]) -> Iterable[str]:
    """Put each key with its value into `found`; a problem for each that is no key, or stands there twice."""
    from edu_align.config.keys import opened_by, typed_keys

    known, groups = typed_keys(), _groups()
    for name, value in node.items():
        key = f"{prefix}{name}"
        holds = key in groups or any(each.startswith(f"{key}.") for each in known) or key.split("/")[0] == "hydra"
        if isinstance(value, dict) and holds and "/" not in key:
            yield from _flatten(value, f"{key}.", found)
        elif key in found:
            yield f"`{key}` stands there twice. Write it once."
        elif key in known or opened_by(key) or key in groups or key.startswith(("hydra.", "hydra/")):
            found[key] = _off(key, value)
        else:
            yield f"`{key}` is not a key.{did_you_mean(key, [*known, *groups])}"


def _off(key: str, value: Any) -> Any:
    """A bare off or on, which YAML reads as false or true, as the word that an option or a key has."""
    from edu_align.config.bounds import enumerations

    if isinstance(value, bool) and (key in _groups() or {"on", "off"} & set(enumerations().get(key, ()))):
        return "on" if value else "off"
    return value
