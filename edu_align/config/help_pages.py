"""What `--help <name>` prints of a group, an option or a key; made from the comments in conf/ and from the schema."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from edu_align.config.bounds import enumerations, said_range
from edu_align.config.comments import choices, description, entries, groups, header, is_global, options
from edu_align.config.help import WIDTH, wrapped
from edu_align.config.keys import branches, expected, is_open, opened_by, owners, root_leaves, stated, typed_keys
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.utils.errors import UserError
from edu_align.utils.words import did_you_mean, listed

MOST_VALUES = 4  # different values of a key among the options of a group that one line names


def explained(word: str, folders: list[Path]) -> str:
    """The page of a group (`trainer`), an option (`trainer=dpo`) or a key (`trainer.beta`). Errors: none of them."""
    name, _, value = word.lstrip("+~").partition("=")
    every = root_leaves({})
    if value and (files := options(folders, name)) and "." not in name:
        if value not in files:
            hint = did_you_mean(value, files, f"{name}=")
            raise UserError(f"`{name}={value}` is not an option.{hint} Options of {name}: {listed(files)}.")
        lines = _option(name, files[value], folders)
    elif name in branches(every) or options(folders, name):
        lines = _group(name, folders)
    elif name in typed_keys() or opened_by(name):
        lines = _key(name if name in typed_keys() else str(opened_by(name)), folders)
    else:
        raise UserError(_unknown(name, folders, [*branches(every), *typed_keys()]))
    return "\n".join(lines) + "\n"


def _unknown(name: str, folders: list[Path], known: list[str]) -> str:
    """What an unknown name probably meant."""
    every = groups(folders)
    having = [group for group in every if name in options(folders, group)]
    if having:
        return f"`{name}` is an option of {listed(having)}. Did you mean `{having[0]}={name}`?"
    if name.startswith("hydra"):
        return f"`{name}` belongs to Hydra. --hydra-help explains its keys."
    hint = did_you_mean(name, [*every, *known]) or f" Groups: {listed(every)}; --help alone names all root keys."
    return f"`{name}` is no group, option or key.{hint}"


def _group(name: str, folders: list[Path]) -> list[str]:
    """A group, a part of the root config such as `evaluation`, or both: `sweep` has presets and keys."""
    group = name.partition(".")[0]
    default, told = choices(folders[0] / "config.yaml").get(group, ("", ""))
    said = [told.partition(":")[0]] if group == name else []
    lines = wrapped(f"{name}: ", ". ".join(filter(None, [*said, _said(name, folders)])))
    files = options(folders, name)
    if files:
        lines += ["", f"Options ({name}=<option>):"]
    width = max(map(len, files), default=0) + 3
    for option, path in files.items():
        lines += wrapped(f"  {option + '*' * (option == default):<{width}}", description(path))
    keys = [key for key in typed_keys() if key.startswith(f"{name}.")]
    values = _values(group, folders)
    if keys:
        lines += ["", f"Keys, with their values in {group}={default}:" if values else "Keys, with their defaults:"]
    root = _root(folders)
    for key in keys:
        having = values.get(key, {})
        value = having.get(default, next(iter(having.values()), root[key][0] if key in root else ""))
        lines += wrapped(f"  {key}=", value + _note(key, default, having))
    ask = f"{keys[0]} explains one key" if keys else f"{name}={next(iter(files))} explains one"
    return [*lines, "", f"--help {ask}."]


def _note(key: str, default: str, values: dict[str, str]) -> str:
    """Behind a key's value: which options have it, or give it another value."""
    if values and default not in values:
        return f"    ({listed(owners(key)) or 'in ' + listed(values)})"
    others = {option: value for option, value in values.items() if value != values.get(default)}
    if 0 < len(others) < MOST_VALUES:
        return f"    ({', '.join(f'{option}: {value}' for option, value in others.items())})"
    return f"    (another in {len(others)} options)" if others else ""


def _option(group: str, path: Path, folders: list[Path]) -> list[str]:
    """Every key of a file with its value and what is said of it; what a defaults list chooses before them."""
    prefix = "" if is_global(path) else group.replace("/", ".") + "."
    head, chosen = " ".join(header(path)), choices(path)
    lines = [*wrapped(f"{group}={path.stem}: ", head), str(path), ""]
    for name, (option, comment) in chosen.items():
        lines += [f"{name}={option}", *_indented(comment)]
    for entry in entries(path):
        if entry.value is not None:
            comment = entry.comment if entry.comment != head else ""
            said = comment or _said(f"{prefix}{entry.key}", folders, chosen)
            lines += [f"{prefix}{entry.key}={entry.value}", *_indented(said)]
    return lines


def _said(key: str, folders: list[Path], chosen: Mapping[str, tuple[str, str]] | None = None) -> str:
    """What is said of a key: at the root, else in the option of its group that is `chosen`."""
    for entry in entries(folders[0] / "config.yaml"):
        if entry.key == key:
            return entry.comment
    return next(iter(_comments(key, folders, chosen)), "")


def _key(key: str, folders: list[Path]) -> list[str]:
    """One key: what it is for, what it takes, its value in each option, and what else the schema says of it."""
    kind, group = typed_keys()[key], key.partition(".")[0]
    root = _root(folders).get(key)
    lines = [f"{key}=<{_taken(key, kind)}>"]
    for said in [root[1]] if root else _comments(key, folders):
        lines += ["", *_indented(said)]
    facts = []
    if said := said_range(key):
        facts.append(("must be", said))
    if words := enumerations().get(key):
        facts.append(("one of", listed(words)))
    values = _values(group, folders).get(key, {})
    if root is not None:
        facts.append(("default", root[0]))
    for value in dict.fromkeys(values.values()):
        having = [option for option, each in values.items() if each == value]
        facts.append((value, f"{group}={listed(having)}"))
    if owned := owners(key):
        facts.append(("belongs to", listed(owned)))
    if is_open(kind):
        facts.append(("write", f"{key}={{name: value}}, or +{key}.name=value"))
    outside = stated("outside_run_id")
    computes = key not in outside and group not in outside
    facts.append(("run's id", "another value is another run" if computes else "no part of it: the run is the same"))
    if decided := stated("trl").get(key):
        facts.append(("of TRL's", " ".join(decided)))
    lines.append("")
    for name, text in facts:
        lines += wrapped(f"  {name:<12}", text)
    return lines


def _taken(key: str, kind: Any) -> str:
    if key in enumerations() and str in (kind, *get_args(kind)):
        return "words" if kind == list[str] else "word"
    return expected(kind)


def _root(folders: list[Path]) -> dict[str, tuple[str, str]]:
    """`{key: (value, comment)}` of config.yaml."""
    found = entries(folders[0] / "config.yaml")
    return {entry.key: (entry.value, entry.comment) for entry in found if entry.value is not None}


def _values(group: str, folders: list[Path]) -> dict[str, dict[str, str]]:
    """`{key: {option: value}}` of the files of a group whose keys are its own."""
    found: dict[str, dict[str, str]] = {}
    for option, path in options(folders, group).items() if group in GROUP_SCHEMAS else ():
        for entry in entries(path):
            if entry.value is not None:
                found.setdefault(f"{group}.{entry.key}", {})[option] = entry.value
    return found


def _comments(key: str, folders: list[Path], chosen: Mapping[str, tuple[str, str]] | None = None) -> Iterator[str]:
    """What the options of a key's group say of it, each text once, that of the `chosen` one first, or the default."""
    group, _, rest = key.partition(".")
    every = {**choices(folders[0] / "config.yaml"), **(chosen or {})}
    first = every.get(group, ("", ""))[0]
    files = options(folders, group)
    ordered = [path for option, path in files.items() if option == first] + [*files.values()]
    said = (entry.comment for path in ordered for entry in entries(path) if entry.key == rest)
    yield from dict.fromkeys(filter(None, said))


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False)
