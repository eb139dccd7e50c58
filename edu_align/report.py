"""Base beside SFT beside DPO, or a sweep, in one report: `python -m edu_align.report runs=[<run>,<run>]`."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edu_align.config.arguments import Words, key_values, run_names
from edu_align.config.sweep_rules import problems_of_pareto
from edu_align.reports import REPORTS, SPLITS
from edu_align.utils.errors import UserError
from edu_align.utils.files import check_folder
from edu_align.utils.hashing import sha256
from edu_align.utils.program import answers_help, program
from edu_align.utils.words import did_you_mean, listed

if TYPE_CHECKING:
    from edu_align.runs.folder import StoredRun

HELP = """\
edu_align: python -m edu_align.report runs=[<run>,<run>,...] [key=value ...]
           python -m edu_align.report sweep=<sweep> [key=value ...]
           python -m edu_align.report [last=50]

  runs           evaluated runs: names under outputs_root/runs, folders or ids. Each is shown beside the base model and
                 the run that it started from, and beside the first run named: every number of the suite with its
                 interval, paired differences with marks, baselines, pictures, replies side by side, the pairs that are
                 ordered wrongly, limits. Writes report.md, report.html and sources.json: the data, runs and code that
                 the numbers rest on
  split          test | validation, where runs were evaluated on both (test)
  sweep          a sweep, finished or not: its name under outputs_root/sweeps, or its folder. Writes results.csv,
                 report.md and report.html there: every job with its settings, metrics, intervals, time and memory;
                 the best one, and how to talk to it; what each key does, heat map, learning curves
  objective      another metric to judge a sweep by than its own: eval/pair_accuracy_implicit, ... With runs: compare
                 what their configs differ in by that metric, as if they were a sweep; they need not be evaluated
  pareto         [number,number,...]: with a sweep or runs, which of them no other one beats in all of these: metrics of
                 run.json, or numbers of the suite where it measured the runs (question_rate/local, leak_rate, ...)
  direction      minimize | maximize; by the metric's name unless given
  output         folder of the files (outputs_root/reports/<runs>; a sweep's own)
  last           without sweep and runs: how many runs to list, the newest first; 0 lists all (50)
  outputs_root   where runs and sweeps lie (outputs)
  accept_changed true shows runs whose files are not what training left; they are named and left out unless given
"""
KEYS = (
    "sweep", "runs", "split", "objective", "pareto", "direction", "output", "last", "outputs_root", "accept_changed",
)  # fmt: skip
AS_SWEEP = ("objective", "direction", "pareto")  # with one of them runs are shown as a sweep is
DIRECTIONS = ("minimize", "maximize")


@program
def main() -> None:
    arguments = sys.argv[1:]
    if answers_help(HELP, arguments, bare=False):
        return
    words = parse(arguments)
    outputs = Path(words.get("outputs_root", "outputs")).expanduser()
    check_folder("outputs_root", outputs)
    if "sweep" not in words and "runs" not in words:
        from edu_align.reports.sweep.write import print_runs

        print_runs(outputs, int(words.get("last", 50)))
        return
    folder = Path(words["output"]).expanduser() if "output" in words else None
    if folder is not None:
        check_folder("output", folder)
    if "runs" in words and not set(AS_SWEEP) & set(words):
        _compare(words["runs"], outputs, words.get("split"), folder, _accepts(words))
    else:
        _sweep(words, outputs, folder)


def _compare(names: str, outputs: Path, split: str | None, folder: Path | None, accept: bool = False) -> None:
    from edu_align.reports.comparison.reading import read_comparison
    from edu_align.reports.comparison.write import print_comparison, write_comparison
    from edu_align.reports.provenance import NAME, write_sources

    runs = _runs(names, outputs, accept)
    comparison = read_comparison(runs, outputs, split)
    name = runs[0].name if len(runs) == 1 else f"{runs[-1].name}-and-{len(runs) - 1}-{_digest(runs)}"
    command = " ".join(["python -m edu_align.report", *map(shlex.quote, sys.argv[1:])])
    place = folder or outputs / REPORTS / name
    written, limits = write_comparison(comparison, place, command)
    write_sources(place, ["python", "-m", "edu_align.report", *sys.argv[1:]], runs, comparison.split)
    print_comparison(comparison, limits)
    print(f"edu_align: report {written}, with report.md and {NAME}")


def _sweep(words: dict[str, str], outputs: Path, folder: Path | None) -> None:
    """The report of the sweep that `sweep` names, or of the runs of `runs` as one."""
    from edu_align.reports.sweep.reading import find_sweep, read_sweep, runs_as_sweep, with_objective
    from edu_align.reports.sweep.write import print_sweep, write_files

    if "sweep" in words:
        sweep = read_sweep(find_sweep(words["sweep"], outputs), _accepts(words))
    else:
        runs = _runs(words["runs"], outputs, _accepts(words))
        sweep = runs_as_sweep(runs, outputs / REPORTS / f"{len(runs)}-runs-{_digest(runs)}")
    if "objective" in words or "direction" in words:
        sweep = with_objective(sweep, words.get("objective", sweep.objective), words.get("direction"))
    if "pareto" in words:
        sweep = replace(sweep, pareto=tuple(pareto_names(words["pareto"])))
    written = write_files(sweep, folder or sweep.folder)
    print_sweep(sweep)
    print(f"edu_align: report {written}, with report.md and results.csv")


def pareto_names(typed: str) -> list[str]:
    """`[a,b]` as names. Errors: fewer than two, one twice, or one that no run can have."""
    names = [name.strip() for name in typed.removeprefix("[").removesuffix("]").split(",") if name.strip()]
    for problem in problems_of_pareto(names or [""]):
        raise UserError(problem.replace("`sweep.pareto`", f"`pareto={typed}`"))
    return names


def _runs(names: str, outputs: Path, accept: bool) -> "list[StoredRun]":
    """The runs of `runs`, without those that are damaged."""
    from edu_align.runs.folder import find_stored, whole_runs

    return whole_runs("runs", find_stored("runs", run_names(names), outputs), outputs, accept)


def _accepts(words: dict[str, str]) -> bool:
    return Words(own=words).switch("accept_changed")


def _digest(runs: "Sequence[StoredRun]") -> str:
    return sha256("\n".join(str(run.path.resolve()) for run in runs))[:8]


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """`{key: value}` of the command line. Errors: a word that is none of KEYS, is given twice, or is empty."""
    words = key_values(arguments, KEYS, "sweep")
    _check(words)
    return words


def _check(words: dict[str, str]) -> None:
    if "sweep" in words and "runs" in words:
        raise UserError("`sweep` and `runs` are both given. Give one of them.")
    if "sweep" not in words and "runs" not in words:
        for key in (*AS_SWEEP, "output"):
            if key in words:
                raise UserError(f"`{key}={words[key]}` needs a sweep or runs. Give sweep=<name> or runs=[<run>,<run>].")
    elif "last" in words:
        raise UserError("`last` belongs to the list of all runs. Leave it out, or leave out sweep and runs.")
    if "pareto" in words:
        pareto_names(words["pareto"])
    if "split" in words and ("runs" not in words or set(AS_SWEEP) & set(words)):
        raise UserError(
            f"`split={words['split']}` belongs to what the suite measured. Give it with runs=[<run>,<run>] alone."
        )
    if words.get("split", SPLITS[0]) not in SPLITS:
        raise UserError(
            f"`split` must be {listed(SPLITS)}, got {words['split']!r}.{did_you_mean(words['split'], SPLITS)}"
        )
    if words.get("direction", DIRECTIONS[0]) not in DIRECTIONS:
        raise UserError(
            f"`direction` must be {listed(DIRECTIONS)}, got {words['direction']!r}."
            f"{did_you_mean(words['direction'], DIRECTIONS)}"
        )
    if not words.get("last", "0").isdecimal():
        raise UserError(f"`last` must be a whole number, 0 for all runs, got {words['last']!r}.")


if __name__ == "__main__":
    main()
