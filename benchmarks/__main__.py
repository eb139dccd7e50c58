"""`python -m benchmarks [name ...]`: run every benchmark, or those named, print a table and keep the numbers.

A benchmark is a module of this package with a function `measure()` that returns rows `{name, ours, peer, peer_name,
ratio, unit, machine}`. One with `ON_REQUEST` runs only where it is named. The rows go to outputs/bench/results.json.
"""

import argparse
import json
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import benchmarks
from edu_align.utils.errors import UserError
from edu_align.utils.program import program

RESULTS = Path("outputs") / "bench" / "results.json"
COLUMNS = ("name", "ours", "peer", "ratio", "unit", "peer_name", "machine")


@program
def main() -> None:
    modules = {info.name: import_module(f"benchmarks.{info.name}") for info in iter_modules(benchmarks.__path__)}
    known = {name: module.measure for name, module in modules.items() if hasattr(module, "measure")}
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure edu_align beside its peers.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"benchmarks to run: {', '.join(sorted(known))}")
    names = parser.parse_args().names
    names = names or sorted(name for name in known if not hasattr(modules[name], "ON_REQUEST"))
    for name in names:
        if name not in known:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(sorted(known))}")
    rows, refused = [], []
    for name in names:
        try:
            rows += known[name]()
        except UserError as error:  # what the others measured is kept
            refused.append(str(error))
            continue
        keep(rows)
    if rows:
        print(table(rows))
        print(f"\nwritten to {RESULTS}")
    if refused:
        raise UserError("\n".join(refused))


def keep(rows: list[dict[str, Any]]) -> None:
    """Write `rows` to the results file; rows of other names that it holds already stay."""
    old = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    new = {row["name"] for row in rows}
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([*(row for row in old if row["name"] not in new), *rows], indent=2)
    RESULTS.write_text(text + "\n", encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as lines of columns, numbers with three digits."""
    cells = [list(COLUMNS), *([_cell(row.get(column)) for column in COLUMNS] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
