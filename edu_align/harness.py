"""A second opinion on what was retained, lm-eval's: `python -m edu_align.harness run=<run> data_root=<folder>`."""

import sys
from pathlib import Path

from edu_align.utils.errors import UserError
from edu_align.utils.files import check_folder
from edu_align.utils.program import answers_help, program

OWN = ("of", "output", "limit", "few_shot", "batch_size", "chat", "data_root", "outputs_root", "accept_changed")
HELP = """\
edu_align: python -m edu_align.harness run=<run> data_root=<folder> [of=tutor|base|export] [key=value ...]

  run            a finished run: its folder, its name under outputs_root/runs, or its id
  data_root      folder with gsm8k/test.jsonl (or test_socratic.jsonl) and gsm8k/train.jsonl (or train_socratic.jsonl),
                 or the environment variable EDU_ALIGN_DATA
  of             tutor, the base with the run's adapter (or the whole model after full fine-tuning); base, the base on
                 the same questions; export, the merged folder <run>/export (tutor)
  limit          most questions, drawn by their hash; all of them unless given. On a CPU each takes seconds
  few_shot       worked examples in every prompt (5)
  chat           true asks in the chat template. The plain form tells what a model can still do; in a chat a good tutor
                 gives no answer (false)
  batch_size     prompts at a time (8)
  output         folder for task, arguments and results (<run>/lm_eval-<of>)
  model.path     where the run's base model lies now, if it moved
  outputs_root   where runs lie (outputs)
  accept_changed true reads a run's files as they are, where they are not what training left

The task is lm-evaluation-harness's own gsm8k on local files, without the questions that the run, or one that it starts
from, was trained on. No hub is asked. Needs: pip install "edu_align[lm-eval]".
"""


@program
def main() -> None:
    arguments = sys.argv[1:]
    if answers_help(HELP, arguments):
        return
    from edu_align.config.arguments import parse
    from edu_align.data.datamodule import trained_groups
    from edu_align.evaluation import lm_eval
    from edu_align.exporting.subject import read_run
    from edu_align.runs.finished import require_writer
    from edu_align.runs.folder import ancestors
    from edu_align.runs.seal import check_export
    from edu_align.utils.hashing import records_in
    from edu_align.utils.words import listed

    words = parse(arguments, OWN, groups=("model",))
    of = words.own.get("of", "tutor")
    if of not in lm_eval.SUBJECTS:
        raise UserError(f"`of` must be one of {listed(lm_eval.SUBJECTS)}, got {of!r}.")
    limit = words.number("limit", 0, 1, 10**6) or None
    plan = lm_eval.Plan(
        limit, words.number("few_shot", 5, 0, 64), words.number("batch_size", 8, 1, 4096), words.switch("chat")
    )
    lm_eval.check_installed()
    run, config = read_run(words)
    require_writer(run, "ask questions")
    model = lm_eval.model_arguments(run, config, of)
    if of == "export":
        check_export(run.path / "export", records_in(config.outputs_root), words.switch("accept_changed"))
    output = Path(words.own.get("output") or run.path / f"lm_eval-{of}").expanduser()
    check_folder("output", output)
    task = lm_eval.write_task(output / "task", words.own.get("data_root"), trained_groups(ancestors(run)))
    if of != "export":
        from edu_align.models.tokenizer import load_run_tokenizer

        folder = Path(model["pretrained"])
        tokenizer = load_run_tokenizer(config.model, folder, run.path)
        tokenizer.save_pretrained(str(output / "tokenizer"))
        model = {**model, "tokenizer": str(output / "tokenizer")}
    result = lm_eval.run_harness(lm_eval.write_arguments(task, model, plan, output), output)
    print("\n".join(lm_eval.lines_of(result, task, f"{run.path.name} ({of})")))


if __name__ == "__main__":
    main()
