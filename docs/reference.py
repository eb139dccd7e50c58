"""The reference of every key, from the comments in conf/ and the schema: `python docs/reference.py` writes it.

`make docs` does so first. A test holds that docs/reference.md is what this writes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edu_align.config.bounds import enumerations, said_range
from edu_align.config.comments import Entry, conf_dir, description, entries, options
from edu_align.config.keys import base_schema, expected, leaves, stated
from edu_align.config.schema import GROUP_SCHEMAS, Config

PAGE = Path(__file__).with_name("reference.md")
_HEAD = """\
# Reference of every key

Made from the comments in `conf/` and the types in `edu_align/config/schema.py` by `python docs/reference.py`. A key is
set on the command line as `key=value`, such as `trainer.beta=0.3`. A key that decides what comes out of a run is part
of the run's id: with another value it is another run. The others say how, where or how often. A list is written
`[a, b]`, a mapping `{a: b}`, nothing `null`.
"""


def lines_of(path: Path) -> dict[str, Entry]:
    """`{dotted key: its entry}` of a config file: the keys that have a value."""
    return {entry.key: entry for entry in entries(path) if entry.value is not None}


def entry(key: str, kind: Any, metadata: Mapping[str, Any], lines: Mapping[str, Entry]) -> str:
    """A key's part of the page. `lines`: option -> its line; the root's keys have one of the name ""."""
    comments: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for option, line in lines.items():
        comments.setdefault(line.comment, []).append(option)
        values.setdefault(str(line.value), []).append(option)
    most = max(comments, key=lambda comment: len(comments[comment]), default="")
    text = [most, *(f"In {', '.join(each)}: {comment}" for comment, each in comments.items() if comment != most)]
    facts = ["Takes " + expected(kind)]
    if metadata.get("bounds"):
        facts[0] += f" {metadata['bounds'][0].replace(' and ', ', ')}"
    words = metadata.get("words") or ()
    words = words() if callable(words) else words
    if words:
        facts[0] += ": " + ", ".join(f"`{word}`" for word in words)
    if len(values) == 1:
        facts.append(f"Default: `{next(iter(values))}`")
    elif values:
        facts.append("Default: " + "; ".join(f"`{value}` in {', '.join(each)}" for value, each in values.items()))
    if metadata.get("trl"):
        facts.append("Decides TRL's " + ", ".join(f"`{name}`" for name in metadata["trl"]))
    facts.append(f"{'Not part' if metadata.get('outside_run_id') else 'Part'} of a run's id")
    told = _plain(" ".join(text))
    return "\n".join([f"### `{key}`", "", told, "", *(f"- {_plain(fact)}." for fact in facts), ""])


def _plain(text: str) -> str:
    """Text in which `<name>` is no HTML; what stands in backticks stays as it is."""
    parts = text.split("`")
    return "`".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


def _metadata(schema: type, prefix: str) -> dict[str, dict[str, Any]]:
    """`{dotted key: what its field states}`, for every key below `prefix`."""
    found: dict[str, dict[str, Any]] = {}
    for what in ("bounds", "words", "trl", "outside_run_id"):
        for key, value in stated(what, schema, prefix).items():
            found.setdefault(key, {})[what] = value
    return found


def keys() -> dict[str, tuple[Any, dict[str, Any], dict[str, Entry]]]:
    """`{dotted key: (type, metadata, {option: line})}` of the whole config, in the order of the schema."""
    outside = stated("outside_run_id")
    found: dict[str, tuple[Any, dict[str, Any], dict[str, Entry]]] = {}
    root = lines_of(conf_dir() / "config.yaml")
    for key, kind in leaves(Config).items():
        group = key.partition(".")[0]
        if group not in GROUP_SCHEMAS:
            found[key] = (kind, _metadata(Config, "").get(key, {}), {"": root[key]} if key in root else {})
    for group in GROUP_SCHEMAS:
        files = {option: lines_of(path) for option, path in options([conf_dir()], group).items()}
        for schema in dict.fromkeys([base_schema(group), *GROUP_SCHEMAS[group].values()]):
            metadata = _metadata(schema, f"{group}.")
            for name, kind in leaves(schema).items():
                lines = {option: each[name] for option, each in files.items() if name in each}
                found[f"{group}.{name}"] = (kind, metadata.get(f"{group}.{name}", {}), lines)
    words = enumerations()
    for key, (_, metadata, _) in found.items():
        if key in words:
            metadata["words"] = words[key]  # of every trainer that has the key
        if metadata.get("bounds"):
            metadata["bounds"] = (said_range(key), metadata["bounds"][1])
        if any(key == name or key.startswith(f"{name}.") for name in outside):
            metadata["outside_run_id"] = True
    return found


def _table(group: str) -> str:
    """Every option of a group with the first comment of its file."""
    files = options([conf_dir()], group)
    rows = [f"| `{group}={option}` | {_plain(description(path))} |" for option, path in files.items()]
    return "\n".join(["| option | |", "|---|---|", *rows]) + "\n"


def page() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD]
    sections: dict[str, list[str]] = {}
    for key, (kind, metadata, lines) in keys().items():
        section = key.partition(".")[0] if "." in key else ""
        sections.setdefault(section, []).append(entry(key, kind, metadata, lines))
    for section in sorted(sections, key=lambda name: (name != "", name not in GROUP_SCHEMAS)):
        parts.append(f"## {section or 'Root keys'}\n")
        if section in GROUP_SCHEMAS:
            parts.append(_table(section))
        parts += sections[section]
    for group, what in (("experiment", "Complete settings"), ("sweep", "Named sweeps")):
        parts.append(f"## {what}\n\n{_table(group)}")
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
