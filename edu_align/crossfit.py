"""One training setting, measured on every question by a model that never saw it: `python -m edu_align.crossfit`."""

import sys

from edu_align.utils.program import answers_help, program

HELP = """\
edu_align: python -m edu_align.crossfit [folds=5] [key=value ...]

  folds                into how many parts the questions are cut (5). A model is trained for each part, on all others,
                       and measured on that part alone; the rules that are fitted see what the model saw. There is no
                       test part: such runs are never to be compared on the test split
  key=value            everything that `train` takes for one run: experiment=tutor_dpo, init_from=<run>, data_root=...
                       init_from must not have seen the questions: train it with dataset.leave_out=[mrbench,bridge]
  evaluation.metrics   what is measured: by default what the sources are for, such as pair_accuracy_balanced,
                       selection_score and context_use of mrbench, diagnosis of cogtutorbugs
  run_name             name of the results, and with -0, -1 ... of the folds' runs
  outputs_root         where runs lie (outputs); the results lie in outputs_root/crossfit/<name>: table.md, results.json
                       and sources.json, which holds the data, runs and code that they rest on
  --config-dir         a folder of options of your own, as of train

Finished folds and stored measurements are found again: the same command goes on where it was cut off.
"""


@program
def main() -> None:
    words = sys.argv[1:]
    if answers_help(HELP, words):
        return
    from edu_align.launch import refuse_newer_python

    refuse_newer_python()
    from edu_align.recipes.crossfit import read_plan, run_crossfit

    run_crossfit(read_plan(words))


if __name__ == "__main__":
    main()
