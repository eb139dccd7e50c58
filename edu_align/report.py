"""Base beside SFT beside DPO, or a sweep, in one report: `python -m edu_align.report runs=[<run>,<run>]`."""

import hashlib
import shlex
import sys
from pathlib import Path

from edu_align.errors import UserError, entry_point

HELP = """\
edu_align: python -m edu_align.report runs=[<run>,<run>,...] [key=value ...]
           python -m edu_align.report sweep=<sweep> [key=value ...]
           python -m edu_align.report [last=50]

  runs           evaluated runs: names under outputs_root/runs, folders or ids. Each is shown beside the base model and
                 the run that it started from: every number of the suite with its interval, paired differences with
                 marks, baselines, pictures, replies side by side, limits. Writes report.md and report.html
  split          test | validation, where runs were evaluated on both (test)
  sweep          a sweep, finished or not: its name under outputs_root/sweeps, or its folder. Writes results.csv,
                 report.md and report.html there: every job with its settings, metrics, intervals, time and memory;
                 the best one, and how to talk to it; learning curves, heat map, parallel coordinates, importance
  objective      another metric to judge a sweep by than its own: eval/pair_accuracy_implicit, ... With runs: compare
                 what their configs differ in by that metric, as if they were a sweep; they need not be evaluated
  direction      minimize | maximize; by the metric's name unless given
  output         folder of the files (outputs_root/report/<runs>; a sweep's own)
  last           without sweep and runs: how many runs to list, the newest first; 0 lists all (50)
  outputs_root   where runs and sweeps lie (outputs)
"""


def main() -> None:
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return
    from edu_align.sweeps.reporting.words import parse

    words = parse(arguments)
    outputs = Path(words.get("outputs_root", "outputs")).expanduser()
    if "sweep" not in words and "runs" not in words:
        from edu_align.sweeps.reporting.terminal import print_runs

        print_runs(outputs, int(words.get("last", 50)))
        return
    folder = Path(words["output"]).expanduser() if "output" in words else None
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UserError(f"`output={folder}` is a file. Give a folder.")
    if "runs" in words and "objective" not in words and "direction" not in words:
        _compare(words["runs"], outputs, words.get("split"), folder)
    else:
        _sweep(words, outputs, folder)


def _compare(names: str, outputs: Path, split: str | None, folder: Path | None) -> None:
    from edu_align.comparison.reading import read_comparison
    from edu_align.comparison.text import print_comparison
    from edu_align.comparison.write import write_comparison
    from edu_align.runs.folder import find_stored
    from edu_align.sweeps.reporting.words import run_names

    runs = find_stored("runs", run_names(names), outputs)
    comparison = read_comparison(runs, outputs, split)
    digest = hashlib.sha256("\n".join(str(run.path.resolve()) for run in runs).encode()).hexdigest()[:8]
    name = runs[0].name if len(runs) == 1 else f"{runs[-1].name}-and-{len(runs) - 1}-{digest}"
    written, limits = write_comparison(comparison, folder or outputs / "report" / name, _command(sys.argv[1:]))
    print_comparison(comparison, limits)
    print(f"edu_align: report {written}, with report.md")


def _command(words: list[str]) -> str:
    return " ".join(["python -m edu_align.report", *map(shlex.quote, words)])


def _sweep(words: dict[str, str], outputs: Path, given: Path | None) -> None:
    from edu_align.sweeps.report import write_files
    from edu_align.sweeps.reporting.reading import with_objective
    from edu_align.sweeps.reporting.terminal import print_sweep
    from edu_align.sweeps.reporting.words import subject

    sweep = subject(words, outputs)
    if "objective" in words or "direction" in words:
        sweep = with_objective(sweep, words.get("objective", sweep.objective), words.get("direction"))
    written = write_files(sweep, given or sweep.folder)
    print_sweep(sweep)
    print(f"edu_align: report {written}, with report.md and results.csv")


if __name__ == "__main__":
    entry_point(main)
