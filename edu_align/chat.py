"""Talk to a tutor: `python -m edu_align.chat run=<run> --compare`; `--web` opens a page where answers are voted on."""

import sys

from edu_align.utils.errors import UserError
from edu_align.utils.program import answers_help, program

OWN = ("compare", "web", "host", "port", "votes", "seed", "outputs_root", "accept_changed")
FLAGS = {"--compare": "compare", "--web": "web"}
HELP = """\
edu_align: python -m edu_align.chat run=<run> [<run> ...] [--compare] [--web] [key=value ...]
           python -m edu_align.chat model=<option> [key=value ...]

  run            a finished run: its folder, name under outputs_root/runs, or id. Several runs answer side by side
  model          a base model without a run: smollm2, zephyr, ...; model.path takes a folder, hub id or .gguf file
  --compare      the base model answers too (also compare=true); an adapter is switched off for it, not loaded twice
  --web          a page in the browser instead of the terminal (also web=true; needs gradio: pip install -e '.[web]').
                 Two who answer are shown in random order; the votes are kept, and the page has them for download
  host, port     where the page listens (127.0.0.1, first free from 7860); another host lets others on the network in
  votes          the file of votes (outputs_root/votes.jsonl). It trains a tutor:
                 python -m edu_align.train trainer=dpo dataset=local dataset.path=<votes>
  generation.*   temperature, top_p, top_k, max_new_tokens, repetition_penalty; the run's own unless given
  hardware       another preset than the run's (cpu, t4, ...), or keys of it
  seed           of what is drawn with a temperature above 0, and of the order on the page (42)
  outputs_root   where runs lie (outputs)
  accept_changed true reads a run's files as they are, where they are not what training left

In the terminal: /reset, /quit, /help. Ctrl-C stops an answer, and at the prompt it ends the chat.
Lines that are piped in are answered one by one.
"""


@program
def main() -> None:
    arguments = sys.argv[1:]
    if answers_help(HELP, arguments):
        return
    from edu_align.config.arguments import parse

    words = parse(arguments, OWN, FLAGS, several_runs=True)
    compare, web = words.switch("compare"), words.switch("web")
    seed, port = words.number("seed", 42, 0, 2**32 - 1), words.number("port", 0, 1, 65535)
    if compare and not words.runs:
        raise UserError("`compare=true` sets a tutor beside its base, and no run is named. Give run=<run>.")
    if web and len(words.runs) + compare > 2:
        raise UserError("the page compares two. Name one run with --compare, or two runs without it.")
    if not web and (extra := [key for key in ("host", "port", "votes") if key in words.own]):
        raise UserError(f"`{extra[0]}` belongs to the page. Add --web.")
    if web:
        from edu_align.chatting.web import require_gradio

        require_gradio()
    from edu_align.chatting.source import sources_of

    sources = sources_of(words)

    from edu_align.chatting.model import load

    models = load(sources, with_base=compare)
    from transformers import set_seed  # after load, which quiets what it imports

    set_seed(seed)
    if web:
        from edu_align.chatting.web import serve

        serve(models, words.own, port or None, seed)
    else:
        from edu_align.chatting.terminal import converse

        converse(models)


if __name__ == "__main__":
    main()
