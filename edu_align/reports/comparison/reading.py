"""Runs and what the suite stored of them, as models that can be compared; reads files only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.run import BASE, IN_RUN
from edu_align.evaluation.suite.store import FOLDER, READS, read_result
from edu_align.reports import SPLITS
from edu_align.reports.comparison.models import Comparison, Model
from edu_align.reports.comparison.numbers import numbers_of
from edu_align.reports.html.page import shown_path
from edu_align.runs.folder import StoredRun, read_record
from edu_align.utils.errors import UserError
from edu_align.utils.files import read_json
from edu_align.utils.jsonl import read_rows

SEED, SAMPLES, CONFIDENCE = 42, 2000, 0.95


@dataclass(frozen=True)
class Link:
    """One model in the chain of a run, base first. `run` made it: None for the base and where the folder is gone."""

    key: str
    files: dict[str, Path]
    run: StoredRun | None


def read_comparison(runs: Sequence[StoredRun], outputs: Path, split: str | None = None) -> Comparison:
    """The runs, what each started from, and the base models, with all numbers that were measured on one split.

    `split` None takes the only one, or test where all runs have both. Errors (UserError): a run that is not evaluated,
    runs on different splits, with other settings or other items, and a result that is listed and gone.
    """
    split = _split(runs, split)
    chains, notes = [], dict[str, None]()
    for run in runs:
        listed = read_json(run.path / IN_RUN / f"{split}.json") or {}
        notes.update(dict.fromkeys(str(note) for note in listed.get("notes") or []))
        chains.append(_chain(run, listed.get("files") or {}, split))
    models = _models(chains)
    _check_settings(chains, models)
    numbers, tests = numbers_of(models, SEED, SAMPLES, CONFIDENCE)
    reads, others = _reads(outputs, [model.key for model in models]) if split == "test" else ({}, 0)
    return Comparison(
        name=" and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs",
        split=split,
        models=tuple(models),
        numbers=tuple(numbers),
        confidence=CONFIDENCE,
        samples=SAMPLES,
        seed=SEED,
        tests=tests,
        notes=tuple(notes),
        reads={model.label: reads.get(model.key, 0) for model in models},
        others=others,
    )


def _split(runs: Sequence[StoredRun], wanted: str | None) -> str:
    """The split to compare on. Errors name the runs that were not measured on it, and how to measure them."""
    has = {run.name: [split for split in SPLITS if (run.path / IN_RUN / f"{split}.json").is_file()] for run in runs}
    without = [run for run in runs if not has[run.name]]
    if without:
        commands = "; ".join(_evaluate(run, wanted or "test") for run in without)
        raise UserError(f"`runs`: {', '.join(r.name for r in without)}: not evaluated yet. First: {commands}")
    for split in (wanted,) if wanted else SPLITS:
        lacking = [run for run in runs if split not in has[run.name]]
        if not lacking:
            return split
    splits_of_runs = "; ".join(f"{name} on {' and '.join(splits)}" for name, splits in has.items())
    lacking = [run for run in runs if (wanted or has[runs[0].name][0]) not in has[run.name]]
    what = f"`split={wanted}`: not all runs were" if wanted else "`runs`: they cannot be compared, being"
    raise UserError(
        f"{what} measured on {'it' if wanted else 'different splits'}: {splits_of_runs}. First: "
        f"{'; '.join(_evaluate(run, wanted or has[runs[0].name][0]) for run in lacking)}"
    )


def _evaluate(run: StoredRun, split: str) -> str:
    return f"python -m edu_align.evaluate run={shown_path(run.path)} evaluation.split={split}"


def _chain(run: StoredRun, files: Mapping[str, Mapping[str, str]], split: str) -> list[Link]:
    """The base, the runs that `run` went on from, the oldest first, and `run` itself."""
    folders: list[StoredRun | None] = [run]
    while folders[0] is not None and folders[0].record.get("init_from"):
        folders.insert(0, _start(Path(folders[0].record["init_from"])))
    made = [None, *folders]
    if BASE not in files or len(files) != len(made):
        raise UserError(
            f"{run.path / IN_RUN / f'{split}.json'} lists {', '.join(files) or 'no model'}, but the run has "
            f"{len(made)} models from the base on. Evaluate it again: {_evaluate(run, split)}"
        )
    links = []
    for (label, listed), folder in zip(files.items(), made, strict=True):
        paths = {metric: (run.path / relative).resolve() for metric, relative in listed.items()}
        gone = [str(path) for path in paths.values() if not path.is_file()]
        if gone or not paths:
            what = f"{gone[0]} is gone" if gone else f"{label} has no result"
            raise UserError(f"`runs`: {run.name}: {what}. Evaluate it again: {_evaluate(run, split)}")
        links.append(Link(next(iter(paths.values())).parents[1].name, paths, folder))
    return links


def _start(folder: Path) -> StoredRun | None:
    """The run that another started from, None where it is gone. Errors: its run.json cannot be read."""
    record = read_record(folder)
    return None if record is None else StoredRun(folder, record)


def _models(chains: Sequence[Sequence[Link]]) -> list[Model]:
    """Every model once, the bases first; labels are base, SFT and DPO as far as those are unique, else run names.

    The first run that was asked for is what the others asked for are compared with.
    """
    bases = dict.fromkeys(chain[0].key for chain in chains)
    links = {link.key: link for chain in chains for link in (chain[0], *chain[1:])}
    first, asked = chains[0][-1].key, [chain[-1].key for chain in chains[1:]]
    before_first = {link.key for link in chains[0]}  # the first run is compared with these already
    kinds = {
        key: str(link.run.record.get("trainer", key)).upper() if link.run else key
        for key, link in links.items()
        if key not in bases
    }
    labels = {key: BASE if len(bases) == 1 else f"{BASE} {key}" for key in bases}
    for key, kind in kinds.items():
        run = links[key].run
        labels[key] = kind if list(kinds.values()).count(kind) == 1 else (run.name if run else key)
    models: dict[str, Model] = {}
    for key in [*bases, *kinds]:
        chain = next(chain for chain in chains if key in [link.key for link in chain])
        at = [link.key for link in chain].index(key)
        run = links[key].run
        models[key] = Model(
            label=labels[key],
            key=key,
            results={metric: read_result(path) for metric, path in links[key].files.items()},
            base=labels[chain[0].key],
            sft=labels[chain[at - 1].key] if at > 1 else None,
            run=run.path if run else None,
            record=run.record if run else {},
            rival=labels[first] if key in asked and key not in before_first else None,
        )
    return list(models.values())


def _check_settings(chains: Sequence[Sequence[Link]], models: Sequence[Model]) -> None:
    """Errors: results of one metric that were measured with other settings or on other records."""
    labels = {model.key: model.label for model in models}
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for chain in chains:
        for link in chain:
            for metric, path in link.files.items():
                mine = _key(path)
                label, known = first.setdefault(metric, (labels[link.key], mine))
                differing = [name for name in mine if mine[name] != known.get(name)]
                if differing:
                    changed = ", ".join(f"{name} {known.get(name)} against {mine[name]}" for name in differing)
                    raise UserError(
                        f"{metric} was measured differently for {label} and {labels[link.key]} ({path.name}): "
                        f"{changed}. Such numbers cannot be compared. Evaluate the runs again with the same data and "
                        "settings, or leave one out."
                    )


def _key(path: Path) -> dict[str, Any]:
    """The settings and the fingerprints of the data that a stored result depends on."""
    key = json.loads(path.read_text(encoding="utf-8")).get("key") or {}
    data = {f"data {part}": str(digest)[:12] for part, digest in (key.get("data") or {}).items()}
    return {**(key.get("settings") or {}), **data}


def _reads(outputs: Path, keys: Sequence[str]) -> tuple[dict[str, int], int]:
    """How often each model was measured on the test split, and how many other models of `outputs` were."""
    found = {}
    for file in (outputs / FOLDER).glob(f"*/{READS}"):
        found[file.parent.name] = len(read_rows(file, skip_damaged=True))
    return found, len(set(found) - set(keys))
