"""Answer a file of prompts: `python -m edu_align.generate run=<run> input=prompts.jsonl output=replies.jsonl`."""

import sys
from pathlib import Path

from edu_align.utils.errors import UserError
from edu_align.utils.files import check_folder
from edu_align.utils.program import answers_help, program

OWN = ("input", "output", "seed", "outputs_root", "accept_changed")
HELP = """\
edu_align: python -m edu_align.generate run=<run> input=<file> output=<file.jsonl> [key=value ...]
           python -m edu_align.generate model=<option> input=<file> output=<file.jsonl> [key=value ...]

  run            a finished run: its folder, its name under outputs_root/runs, or its id; its tutor answers
  model          a base model without a run: smollm2, zephyr, ...; model.path takes a folder, hub id or .gguf file
  input          a prompt a line, or JSON, a table or Parquet with a column `prompt` (text or turns),
                 `messages`, `question` or any other shape of dataset=local, also under the names that the run's
                 dataset.columns maps; a column `id` names the rows
  output         a .jsonl file: {id, prompt, reply} a line, and beside it <output>.settings.json. The same command again
                 goes on after the last whole row
  generation.*   temperature, top_p, top_k, max_new_tokens, repetition_penalty; the run's own unless given
  hardware       another preset than the run's (cpu, t4, ...), or keys of it; hardware.eval_batch_size prompts are
                 answered together, 96 with temperature 0 on a CPU
  seed           of what is drawn with a temperature above 0; the run's own unless given
  outputs_root   where runs lie (outputs)
  accept_changed true reads a run's files as they are, where they are not what training left
"""


@program
def main() -> None:
    arguments = sys.argv[1:]
    if answers_help(HELP, arguments):
        return
    from edu_align.config.arguments import parse

    words = parse(arguments, OWN)
    for key in ("input", "output"):
        if not words.own.get(key):
            raise UserError(f"`{key}` is missing. Give {key}=<file>; --help shows both commands.")
    output = Path(words.own["output"]).expanduser()
    if output.suffix != ".jsonl":
        raise UserError(f"`output` must end with .jsonl, got {str(output)!r}.")
    if output.resolve() == Path(words.own["input"]).expanduser().resolve():
        raise UserError("`output` is the input file, which would be written over. Choose another.")

    check_folder("output", output.parent)
    from edu_align.chatting.batch import answer_file, read_prompts
    from edu_align.chatting.source import source_of

    source = source_of(words)
    prompts = read_prompts(words.own["input"], source.config.dataset.columns)
    answer_file(source, prompts, output, words.number("seed", source.config.seed, 0, 2**32 - 1))


if __name__ == "__main__":
    main()
