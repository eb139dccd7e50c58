"""Every problem of a command line and of the files that it names, before Hydra composes them."""

from itertools import chain, islice, product
from typing import Any

from omegaconf import OmegaConf

from edu_align.config.arguments import key_of
from edu_align.config.keys import every_key, opened_by, unknown_key
from edu_align.config.precheck.draft import Draft, assign, draft
from edu_align.config.precheck.files import Files
from edu_align.config.precheck.overrides import Change, read_all
from edu_align.config.precheck.rows import factors, sweep_keys
from edu_align.config.rules import problems as rule_problems
from edu_align.config.schema import GROUP_SCHEMAS, Config
from edu_align.utils.secrets import problems_of_secrets
from edu_align.utils.words import did_you_mean, listed

MOST_COMBINATIONS = 64  # of a sweep whose cross-key rules are checked up front; every job is checked again as it starts
MOST_FAILING = 8  # combinations of swept options whose problems are listed: a thousand options answer as fast as two


def check(texts: list[str], files: Files, multirun: bool = False, primary: str = "config") -> list[str]:
    """Problems of the overrides `texts` on the config `primary`, each a sentence or two; empty where all is well."""
    if files.load_config(primary) is None:
        names = files.get_group_options(".")
        return [f"There is no config `{primary}`.{did_you_mean(primary, names)} Configs: {listed(names)}."]
    words = {key_of(text): text.partition("=")[2] for text in texts}
    changes, found = read_all(texts, files)
    found += problems_of_secrets(words)
    if "hydra.searchpath" in words:
        return found  # only Hydra looks there, and tells its first problem itself
    base = draft(files, primary, changes)
    several = multirun or words.get("hydra.mode", OmegaConf.select(base.hydra, "hydra.mode")) == "MULTIRUN"
    if several:
        given = {change.key for change in changes}
        params = OmegaConf.select(base.hydra, "hydra.sweeper.params") or {}
        swept, wrong = read_all([f"{key}={value}" for key, value in params.items() if key_of(key) not in given], files)
        changes, found = [*swept, *changes], [*found, *wrong]
    sweep: Any = OmegaConf.to_container(base.root.sweep)
    asked = sweep_keys(changes, sweep)
    changes, wrong = _for_us(changes, files, several, str(asked["sampler"]))
    parts, apart = factors(changes, asked, files, several)
    combinations = (list(chain(*each)) for each in product(*parts))
    if several or any(len(rows) > 1 for rows in parts):
        drafts = ((draft(files, primary, each), each) for each in islice(combinations, MOST_COMBINATIONS))
    else:
        drafts = ((base, each) for each in combinations)
    failing = islice(filter(None, (_check_one(made, each, files) for made, each in drafts)), MOST_FAILING)
    every = [*found, *wrong, *apart, *chain(*failing)]
    if every and any(True for _ in combinations):  # each job of a larger sweep is checked as it starts
        every.append("Further combinations of the swept options were not looked at: mend these first.")
    return list(dict.fromkeys([*files.problems, *every]))


def _check_one(made: Draft, changes: list[Change], files: Files) -> list[str]:
    """Problems of a draft with one option for each group; the swept values of other keys are all tried."""
    if not made.known:
        return made.problems
    tried: dict[str, list[Any]] = {}
    for change in changes:
        if not files.get_group_options(change.key):
            there = change.key in made.known or opened_by(change.key)
            values = change.values if there else change.values[:1]  # no value fits a key that is not there
            if fitting := [value for value in values if assign(made, change.key, value, sign=change.sign)]:
                tried[change.key] = fitting
                made.bad.discard(change.key)
    found = made.problems
    if files.problems:
        return found  # what a broken file leaves out would seem to have no value
    unset = {group for group in GROUP_SCHEMAS if found and not made.options.get(group)}
    for values in islice(product(*tried.values()), MOST_COMBINATIONS):
        for key, value in zip(tried, values, strict=True):
            assign(made, key, value, sign="++")
        found += rule_problems(made.root, skip=made.bad | unset)
    return found


def _for_us(changes: list[Change], files: Files, several: bool, sampler: str) -> tuple[list[Change], list[str]]:
    """The changes of a group or key of edu_align's; what is wrong with the others, or with giving several values."""
    kept, found = [], []
    for change in changes:
        if "@" in change.key or ("/" in change.key and change.key not in files.groups):
            found.append(files.no_group(change.key))
        elif "." not in change.key and change.key not in (*Config.__dataclass_fields__, *files.groups):
            found.append(unknown_key(change.key, dict.fromkeys(every_key()), {}))
        else:
            kept.append(change)
        if change.sweep and not several:
            one = f"write {change.key}=[a,b] for a list"
            found.append(f"`{change.text}` gives several values. Add -m to run each of them, or {one}.")
        elif change.endless and sampler == "grid":
            instead = "List them (0.1,0.2), write range(...), or set sweep.sampler=random or tpe."
            found.append(f"`{change.text}` has no end of values, and sweep.sampler=grid tries all. {instead}")
    return kept, found
