"""Every problem of a command line and of the files that it names, before Hydra composes them."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product
from typing import Any

from omegaconf import OmegaConf

from edu_align.config.arguments import key_of
from edu_align.config.keys import every_key, opened_by
from edu_align.config.precheck.draft import Draft, assign, draft
from edu_align.config.precheck.files import Files
from edu_align.config.precheck.overrides import Change, read_all
from edu_align.config.rules import problems as rule_problems
from edu_align.config.schema import GROUP_SCHEMAS, Config
from edu_align.utils.secrets import problems_of_secrets
from edu_align.utils.suggest import did_you_mean, listed

MOST_COMBINATIONS = 64  # of a sweep whose cross-key rules are checked up front; every job is checked again as it starts
MOST_FAILING = 8  # combinations of swept options whose problems are listed: a thousand options answer as fast as two


def check(texts: list[str], files: Files, multirun: bool = False, primary: str = "config") -> list[str]:
    """Problems of the overrides `texts` on the config `primary`, each a sentence or two; empty where all is well."""
    if files.load_config(primary) is None:
        names = files.get_group_options(".")
        return [f"There is no config `{primary}`.{did_you_mean(primary, names)} Configs: {listed(names)}."]
    changes, found = read_all(texts, files)
    found += problems_of_secrets({key_of(text): text.partition("=")[2] for text in texts})
    of_hydra = {change.key: change.values[0] for change in changes if change.for_hydra and change.values}
    files.add(of_hydra.get("hydra.searchpath"))
    base = draft(files, primary, [change for change in changes if not change.for_hydra])
    if multirun or of_hydra.get("hydra.mode", base.hydra.get("mode")) == "MULTIRUN":
        given = {change.key for change in changes}
        params = OmegaConf.select(base.hydra, "sweeper.params") or {}
        swept, wrong = read_all([f"{key}={value}" for key, value in params.items()], files)
        changes = [change for change in swept if change.key not in given] + changes
        sweep: Any = OmegaConf.to_container(base.root.sweep)
        found += [*wrong, *_without_end(changes, sweep["sampler"])]
    else:
        found += [
            f"`{change.text}` gives several values. Add -m to run each of them, or write {change.key}=[a,b] for a list."
            for change in changes
            if change.sweep
        ]
    changes, wrong = _for_us(changes, files)
    found += wrong
    one_by_one = [
        [replace(change, values=(value,)) for value in change.values]
        if change.sweep and files.get_group_options(change.key)
        else [change]
        for change in changes
    ]
    failing = 0
    for combination in islice(product(*one_by_one), MOST_COMBINATIONS):
        if failing == MOST_FAILING:
            found.append("Further combinations of the swept options were not looked at: mend these first.")
            break
        wrong = _check_one(list(combination), files, primary)
        found += wrong
        failing += bool(wrong)
    return list(dict.fromkeys([*files.problems, *found]))


def _check_one(changes: list[Change], files: Files, primary: str) -> list[str]:
    """Problems with one option for each group; the swept values of other keys are all tried."""
    made = draft(files, primary, changes)
    if not made.known:
        return made.problems
    fitting = [(change.key, _fitting(made, change)) for change in changes if not files.get_group_options(change.key)]
    found = made.problems
    if files.problems:
        return found  # what a broken file leaves out would seem to have no value
    unset = {group for group in GROUP_SCHEMAS if found and not made.options.get(group)}
    tried = [(key, values) for key, values in fitting if values]
    for values in islice(product(*(values for _, values in tried)), MOST_COMBINATIONS):
        for (key, _), value in zip(tried, values, strict=True):
            assign(made, key, value, sign="++")
        found += rule_problems(made.root, skip=made.bad | unset)
    return found


def _fitting(made: Draft, change: Change) -> list[Any]:
    """Values of one override that its key can take, out of all that are swept; the others become problems."""
    there = change.key in made.known or opened_by(change.key) is not None
    tried = change.values if there else change.values[:1]  # no value fits a key that is not there
    good = [value for value in tried if assign(made, change.key, value, sign=change.sign)]
    if good:
        made.bad.discard(change.key)
    return good


def _for_us(changes: list[Change], files: Files) -> tuple[list[Change], list[str]]:
    """The changes that are for edu_align, and problems of those that name a group or root key that is not there."""
    kept, found = [], []
    groups, roots = files.groups(), [name for name in Config.__dataclass_fields__ if name not in GROUP_SCHEMAS]
    for change in changes:
        if change.for_hydra:
            continue
        if change.package is not None or ("/" in change.key and change.key not in groups):
            found.append(files.no_group(key_of(change.text), change.key))
        elif "." not in change.key and change.key not in (*groups, *roots):
            every = f" Groups: {listed(groups)}. Root keys: {', '.join(roots)}."
            hint = did_you_mean(change.key, [*groups, *roots, *every_key()])
            found.append(f"`{change.key}` is not a key.{hint or every}")
        else:
            kept.append(change)
    return kept, found


def _without_end(changes: list[Change], sampler: Any) -> Iterator[str]:
    """A problem for every interval in a grid, which would have to try all of its values."""
    given = [change.values[0] for change in changes if change.key == "sweep.sampler" and change.values]
    for change in changes:
        if change.endless and [sampler, *given][-1] == "grid" and not change.for_hydra:
            yield (
                f"`{change.text}` has no end of values, and sweep.sampler=grid tries all. "
                "List them (0.1,0.2), write range(...), or set sweep.sampler=random or tpe."
            )
