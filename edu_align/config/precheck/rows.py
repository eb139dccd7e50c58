"""The swept values of a command line that go together, by `sweep.zip` or a line of `sweep.jobs_file`, as rows."""

from pathlib import Path
from typing import Any

from edu_align.config.jobs_file import read_jobs
from edu_align.config.precheck.files import Files
from edu_align.config.precheck.overrides import Change, read_all
from edu_align.config.sweep_rules import problem_of_jobs_file, problems_of_zip
from edu_align.utils.errors import UserError

Row = list[Change]


def sweep_keys(changes: list[Change], files_say: dict[str, Any]) -> dict[str, Any]:
    """The keys of `sweep`, those of the command line above those of the files."""
    typed = {change.key.partition(".")[2]: change for change in changes if change.key.startswith("sweep.")}
    return files_say | {key: change.values[0] for key, change in typed.items() if change.values}


def factors(
    changes: list[Change], asked: dict[str, Any], files: Files, several: bool
) -> tuple[list[list[Row]], list[str]]:
    """What jobs are combinations of, each a list of rows of one value a group or zipped key; and what is wrong.

    The swept values of a key that is no group and in no row stay together, to be tried by whoever checks a row.
    """
    zipped, path = asked.get("zip"), asked.get("jobs_file")
    zipped = [str(key) for key in zipped] if isinstance(zipped, list) else []
    wrong = _without_sweep(zipped, path, asked.get("dry_run")) if not several else []
    swept = {change.key: change for change in changes if change.sweep}
    rows: list[Row] = []
    if several and zipped:
        counts = {key: None if change.endless else len(change.values) for key, change in swept.items()}
        wrong += problems_of_zip(zipped, counts, str(asked.get("sampler")))
        if not wrong:
            one = [[swept[key]._replace(values=(value,)) for value in swept[key].values] for key in zipped]
            rows = [list(row) for row in zip(*one, strict=True)]
    elif several and isinstance(path, str):
        rows, wrong = _of_file(path, changes, asked, files)
    inside = {change.key for row in rows[:1] for change in row} if zipped else set()
    found = [_apart(change, files) for change in changes if change.key not in inside]
    return [*found, *([rows] if rows else [])], wrong


def _apart(change: Change, files: Files) -> list[Row]:
    if not files.get_group_options(change.key):
        return [[change]]
    return [[change._replace(values=(value,))] for value in change.values]


def _without_sweep(zipped: list[str], path: Any, dry_run: Any) -> list[str]:
    given = [f"sweep.zip=[{','.join(zipped)}]"] if zipped else []
    given += [f"sweep.jobs_file={path}"] if path is not None else []
    given += ["sweep.dry_run=true"] if dry_run is True else []
    return [f"`{word}` is of a sweep, and this is one run. Add -m, or drop it." for word in given]


def _of_file(path: str, changes: list[Change], asked: dict[str, Any], files: Files) -> tuple[list[Row], list[str]]:
    if problem := problem_of_jobs_file(path, str(asked.get("sampler")), asked.get("zip") or []):
        return [], [problem]
    folders = [Path(source.path) for source in files.sources]
    try:
        lines = read_jobs(path, folders, {change.key for change in changes})
    except UserError as error:
        return [], [str(error)]
    rows, wrong = [], []
    for line in lines:
        row, problems = read_all(list(line.words), files)
        where = f"`sweep.jobs_file={path}`, line {line.number}: "
        problems += [f"`{one.text}` gives several values. Write a line for each." for one in row if one.sweep]
        wrong += [where + problem for problem in problems]
        rows.append([one for one in row if not one.sweep])
    return rows, wrong
