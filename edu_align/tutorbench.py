"""MathTutorBench's tasks on a run beside its base: `python -m edu_align.tutorbench run=<run> data_root=<folder>`."""

import sys

from edu_align import evaluate
from edu_align.config.arguments import run_names
from edu_align.utils.errors import UserError
from edu_align.utils.program import answers_help, program
from edu_align.utils.words import did_you_mean, listed

# MathTutorBench's task -> the suite's metric; scaffolding is asked of a reward model, too.
TASKS = {
    "problem_solving": "retention_exact",
    "socratic_questioning": "socratic_questioning",
    "solution_correctness": "solution_correctness",
    "mistake_location": "mistake_step",
    "mistake_correction": "mistake_correction",
    "scaffolding": "form",
}
NO_REWARD = "scaffolding without reward=<a run of trainer=reward>: the form of the replies, and not how good they are"
HELP = """\
edu_align: python -m edu_align.tutorbench run=<run> data_root=<folder> [tasks=[...]] [reward=<run>] [key=value ...]

  run, runs, model     as in python -m edu_align.evaluate, and so are all other keys
  data_root            where the data sets are: gsm8k/ (problem_solving, socratic_questioning), stepverify/
                       (solution_correctness, mistake_location, mistake_correction) and mrbench/, bridge/, mathdial/
                       (scaffolding)
  tasks                [problem_solving,socratic_questioning] measures these only; all by default
  reward               a finished run of trainer=reward, which scaffolding needs: how often it likes a reply
                       better than the human tutor's. Without one the form of the replies is all there is
  evaluation.max_groups  most problems of a task

Tasks of MathTutorBench (Macina et al. 2025, arXiv 2502.18940), each beside rules that read no mathematics, its base
and its parents. Prompts are our own, and no question counts that training saw: numbers are near the published at best.
A task whose files are not there is named. Results are stored like evaluate's.
"""


@program
def main() -> None:
    words = sys.argv[1:]
    if answers_help(HELP, words):
        return
    chosen, rest = tasks_in(words)
    given = evaluate.read_words(rest)
    if "evaluation.metrics" in given:
        raise UserError("`evaluation.metrics`: tutorbench measures tasks. Give tasks=[...], or use edu_align.evaluate.")
    if "scaffolding" in chosen and "reward" not in given:
        print(f"edu_align: {NO_REWARD}", flush=True)
    evaluate.evaluate_words({**given, "evaluation.metrics": f"[{','.join(TASKS[task] for task in chosen)}]"})


def tasks_in(words: list[str]) -> tuple[list[str], list[str]]:
    """The tasks that are named, all of them where none is, and the other words. Errors: one that is none."""
    named = [word.partition("=")[2] for word in words if word.startswith("tasks=")]
    chosen = run_names(named[-1]) if named else list(TASKS)
    unknown = next((task for task in chosen if task not in TASKS), None)
    if unknown is not None:
        raise UserError(f"`tasks`: {unknown!r} is no task.{did_you_mean(unknown, TASKS)} Tasks: {listed(TASKS)}.")
    return chosen, [word for word in words if not word.startswith("tasks=")]


if __name__ == "__main__":
    main()
