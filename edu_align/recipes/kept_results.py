"""Whether new results agree with the ones kept beside the code."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edu_align.data.readers import finite
from edu_align.models.speed import Speed
from edu_align.utils.errors import UserError

FORM = '{"DPO/pair_accuracy_implicit": {"value": 0.71, "tolerance": 0.02}}'


def check_kept(kept: Path, results: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Compare `results` with the JSON file `kept`: {metric path: {"value": v, "tolerance": t}}.

    A path names nested keys joined by "/" ("DPO/pair_accuracy_implicit"); where it ends at a dict, its "value" counts.
    A result agrees within |result - value| <= tolerance, in the metric's own unit. Returns whether all agree, and
    lines to print: the first says so and names every metric that does not agree, then one line for each of those. A
    missing file is no agreement, and the line says that nothing is kept. How fast the suite was is the machine's, and
    not compared. Raises UserError for a file of another form.
    """
    if not kept.exists():
        return False, [f"No kept results at {kept}: there is nothing to agree with yet. Keep them as {FORM}."]
    expected = _read(kept)
    numbers, failures = dict(_numbers(results)), {}
    for path, (value, tolerance) in expected.items():
        found = numbers.get(path)
        if found is None:
            failures[path] = f"{path}: kept {value:g}, not among the results."
        elif not abs(found - value) <= tolerance:  # also true for NaN
            failures[path] = f"{path}: kept {value:g} within {tolerance:g}, got {found:g}."
    if not failures:
        return True, [f"The results agree with the {len(expected)} kept in {kept.name}."]
    summary = (
        f"The results do NOT agree with those kept in {kept.name}: {len(failures)} of {len(expected)} differ: "
        f"{', '.join(failures)}."
    )
    return False, [summary, *failures.values()]


def _read(kept: Path) -> dict[str, tuple[float, float]]:
    try:
        content = json.loads(kept.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{kept} is not JSON ({error}). Write it as {FORM}.") from None
    if not isinstance(content, dict) or not content:
        raise UserError(f"{kept} must be a JSON object of at least 1 metric, got {content!r}. Write it as {FORM}.")
    return {path: _entry(kept, path, entry) for path, entry in content.items() if path not in Speed().summary()}


def _entry(kept: Path, path: str, entry: Any) -> tuple[float, float]:
    numbers: list[Any] = [entry.get("value"), entry.get("tolerance")] if isinstance(entry, dict) else [None, None]
    if any(finite(number) is None for number in numbers) or numbers[1] < 0:
        raise UserError(f"{kept}: {path!r} needs a `value` and a `tolerance` >= 0, got {entry!r}. Write it as {FORM}.")
    return float(numbers[0]), float(numbers[1])


def _numbers(tree: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number of nested results by its path; that of a dict's "value" also by the dict's own path."""
    if isinstance(tree, Mapping):
        if "value" in tree:
            yield from _numbers(tree["value"], path)
        for key, value in tree.items():
            yield from _numbers(value, f"{path}/{key}" if path else str(key))
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield path, float(tree)
