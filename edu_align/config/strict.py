"""Everything that is wrong with a command line and the YAML files it names, found together and before Hydra composes.

Hydra stops at the first error and knows no near misses; this reads the same input, lists every problem, and leaves the
composing itself to Hydra.
"""

from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from edu_align.config.choices import Choices, all_layers, choose
from edu_align.config.draft import Draft, assign, draft
from edu_align.config.files import Search
from edu_align.config.keys import every_key, opened_by
from edu_align.config.overrides import Change, read_all
from edu_align.config.schema import GROUP_SCHEMAS, Config
from edu_align.config.sweeps import (
    MOST_COMBINATIONS,
    asks_for_sweep,
    group_combinations,
    no_end,
    not_swept,
    sweeper_params,
)
from edu_align.config.validate import problems as rule_problems
from edu_align.secrets import problems_of_secrets
from edu_align.utils.suggest import did_you_mean, listed

MOST_FAILING = 8  # combinations of swept options whose problems are listed: a thousand options answer as fast as two


def check(texts: list[str], search: Search, multirun: bool = False, primary: str = "config") -> list[str]:
    """Problems of the overrides `texts` on the config `primary`, each a sentence or two; empty where all is well."""
    if search.read(primary) is None:
        names = search.options(".")
        return [f"There is no config `{primary}`.{did_you_mean(primary, names)} Configs: {listed(names)}."]
    changes, found = read_all(texts, search.options)
    words = (text.lstrip("+~").partition("=") for text in texts)
    found += problems_of_secrets({key: value for key, _, value in words})
    search.add(next((change.values[0] for change in changes if change.key == "hydra.searchpath"), None), primary)
    base = all_layers(_choose(search, primary, [change for change in changes if not change.for_hydra]), primary)
    multirun = multirun or asks_for_sweep(changes, base)
    if multirun:
        given = {change.key for change in changes}
        swept, wrong = read_all(sweeper_params(base), search.options)
        changes = [change for change in swept if change.key not in given] + changes
        found += [*wrong, *no_end(changes, base)]
    else:
        found += [not_swept(change) for change in changes if change.sweep]
    changes, wrong = _for_us(changes, search)
    found += wrong
    failing = 0
    for combination in islice(group_combinations(changes, search), MOST_COMBINATIONS):
        if failing == MOST_FAILING:
            found.append("Further combinations of the swept options were not looked at: mend these first.")
            break
        wrong = _check_one(combination, search, primary)
        found += wrong
        failing += bool(wrong)
    return list(dict.fromkeys([*search.problems, *found]))


def _check_one(changes: list[Change], search: Search, primary: str) -> list[str]:
    """Problems with one option for each group; the swept values of other keys are all tried."""
    choices = _choose(search, primary, changes)
    groups = [change for change in changes if search.options(change.key)]
    plain = [change for change in changes if change not in groups]
    made = draft(all_layers(choices, primary), choices.shown())
    fitting = [(change, _fitting(made, change)) for change in plain]
    found = [
        *choices.problems,
        *(text for change in groups for text in _sign_problems(change, choices)),
        *made.problems,
    ]
    if search.unreadable:
        return found
    unset = {group for group in GROUP_SCHEMAS if found and not made.choices.get(group)}
    tried = [(change, values) for change, values in fitting if values]
    for values in islice(product(*(values for _, values in tried)), MOST_COMBINATIONS):
        for (change, _), value in zip(tried, values, strict=True):
            assign(made, change.key, value, sign="++")
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


def _for_us(changes: list[Change], search: Search) -> tuple[list[Change], list[str]]:
    """The changes that are for edu_align, and problems of those that name a group or root key that is not there."""
    kept, found = [], []
    groups, roots = search.groups(), [name for name in Config.__dataclass_fields__ if name not in GROUP_SCHEMAS]
    for change in changes:
        if change.for_hydra:
            continue
        if change.package is not None or ("/" in change.key and change.key not in groups):
            name = change.text.lstrip("+~").partition("=")[0]
            found.append(f"`{name}` is not a group.{did_you_mean(change.key, groups)} Groups: {listed(groups)}.")
        elif "." not in change.key and change.key not in (*groups, *roots):
            every = f" Groups: {listed(groups)}. Root keys: {', '.join(roots)}."
            hint = did_you_mean(change.key, [*groups, *roots, *every_key()])
            found.append(f"`{change.key}` is not a key.{hint or every}")
        else:
            kept.append(change)
    return kept, found


def _choose(search: Search, primary: str, changes: list[Change]) -> Choices:
    """Follow the defaults lists with the groups that `changes` set; of several values the first counts."""
    given: dict[str, list[str]] = {}
    for change in changes:
        if search.options(change.key) and change.values:
            value = None if change.sign == "~" else change.values[0]
            options = value if isinstance(value, list) else [] if value is None else [value]
            given[change.key] = [str(option) for option in options]
    return choose(search, primary, given)


def _sign_problems(change: Change, choices: Choices) -> Iterator[str]:
    """A group of the defaults list takes no `+` and is not deleted; any other one needs a `+`."""
    if change.sign == "~" and change.key in GROUP_SCHEMAS:
        options = choices.search.options(change.key)
        yield f"`~{change.key}`: every config has an option of {change.key}. Choose one: {listed(options)}."
    elif change.sign == "~" and not isinstance(change.values[0], str | None):
        yield f"`{change.text}`: no option has that name. Write ~{change.key}, or leave it out."
    elif change.sign != "~" and None in change.values:
        yield f"`{change.text}`: null is not an option. Leave {change.key} out to have none."
    elif change.sign in ("+", "++") and change.key in choices.met:
        yield f"`{change.text}`: the group is there already. Drop the `{change.sign}`."
    elif change.sign == "" and change.key not in choices.met:
        yield f"`{change.text}`: the group is not in the defaults list. Put a `+` before it: `+{change.text}`."
