"""One table of what several runs reached: `python -m edu_align.report sweep=<sweep>`, also while it runs."""

import sys
from pathlib import Path

from edu_align.errors import UserError, entry_point

HELP = """\
edu_align: python -m edu_align.report sweep=<sweep> [key=value ...]
           python -m edu_align.report runs=[<run>,<run>,...] [key=value ...]
           python -m edu_align.report [last=50]

  sweep          a sweep, finished or not: its name under outputs_root/sweeps, or its folder. Writes results.csv,
                 report.md and report.html there: every job with its settings, metrics, intervals, time and memory;
                 the best one, and how to talk to it; learning curves, heat map, parallel coordinates, importance
  runs           runs that were started one by one: names under outputs_root/runs, folders or ids. What their configs
                 differ in is what is compared
  objective      another metric to judge by than the sweep's or the runs' own: eval/pair_accuracy_implicit, ...
  direction      minimize | maximize; by the metric's name unless given
  output         folder of the three files (the sweep's; outputs_root/reports/<runs> for runs)
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
    from edu_align.sweeps.report import write_files
    from edu_align.sweeps.reporting.reading import with_objective
    from edu_align.sweeps.reporting.terminal import print_sweep
    from edu_align.sweeps.reporting.words import subject

    sweep = subject(words, outputs)
    if "objective" in words or "direction" in words:
        sweep = with_objective(sweep, words.get("objective", sweep.objective), words.get("direction"))
    folder = Path(words["output"]).expanduser() if "output" in words else sweep.folder
    if folder.exists() and not folder.is_dir():
        raise UserError(f"`output={folder}` is a file. Give a folder.")
    written = write_files(sweep, folder)
    print_sweep(sweep)
    print(f"edu_align: report {written}, with report.md and results.csv")


if __name__ == "__main__":
    entry_point(main)
