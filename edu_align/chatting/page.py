"""What the chat page shows: its words, HTML and style. Other people's text is escaped and stands there as written."""

from collections.abc import Sequence
from pathlib import Path

from edu_align.chatting.arena import PAIR_VOTES, SINGLE_VOTES
from edu_align.chatting.model import ChatModel
from edu_align.chatting.text import escaped, printable
from edu_align.models.content import name_and_content
from edu_align.records import Message
from edu_align.utils.words import in_shell

BASE = "base"  # the label that chatting/model.py gives a run's base model
EXAMPLES = (
    "I added 3/4 and 1/4 and got 4/8. Is that right?",
    "Why do we need a common denominator?",
    "I think 7 times 8 is 54. Can you check it?",
)
SIDES = ("A", "B")  # how two answers are called: left and right are above and below on a phone
PAIR = dict(zip(PAIR_VOTES, ("A is better", "B is better", "Tie", "Both are bad"), strict=True))
SINGLE = dict(zip(SINGLE_VOTES, ("Good answer", "Bad answer"), strict=True))
VOTES_URL = "/votes.jsonl"

CSS = """
.gradio-container {--faint: #5b626b; --mark: #0b61a4; --mine: #e6f0f8;
  max-width: 60rem !important; margin: 0 auto !important}
.dark .gradio-container {--faint: #a3abb3; --mark: #7cbcf0; --mine: #23384a}
.gradio-container > .main {padding: 0 !important}
.gradio-container main {padding: clamp(.9rem, 3vw, 2rem) !important}
.gradio-container .column {gap: .8rem}
.block.bare, .bare > .html-container {padding: 0; border-width: 0 !important; overflow-wrap: anywhere}
.head h1 {font-size: clamp(1.35rem, 1.1rem + 1.2vw, 1.8rem); line-height: 1.25; margin: 0 0 .4rem; font-weight: 650}
.head p, .tail p {margin: .3rem 0; max-width: 46rem; line-height: 1.5; color: var(--faint)}
.talk {display: flex; flex-direction: column; gap: .5rem; white-space: pre-wrap; line-height: 1.5}
.talk > div {max-width: 100%; padding: .6em .9em; border: 1px solid var(--border-color-primary); border-radius: .7em;
  background: var(--block-background-fill); color: var(--body-text-color)}
.talk > .user {align-self: flex-end; max-width: 85%; background: var(--mine); border-color: transparent}
.talk > .note, .talk > .wait {color: var(--faint)}
.talk > .note {border: none; background: none; font-size: .9em; padding: 0; white-space: pre-line}
.talk > .invite {border-style: dashed; text-align: center; padding: 2.2em 1em; color: var(--faint)}
.saved > .note {border-left: 4px solid var(--mark) !important; border-radius: 0; padding-left: .8em; color: inherit}
.pane h2 {font-size: .9rem; margin: 0 0 .3rem; color: var(--faint); font-weight: 600}
.gradio-container:has(.talk > .user) .examples, .gradio-container:not(:has(.talk > .user)) .restart,
.gradio-container:not(:has(.pane .talk > div)) :is(.panes, .votes) {display: none}
.examples button {font-weight: 400; white-space: normal; text-align: left; min-width: min(15rem, 100%) !important}
.votes button {min-width: min(9rem, 42%) !important}
.restart {align-self: flex-start; width: fit-content; flex-grow: 0}
.message .input-container {gap: .6rem; align-items: center}
.message textarea::placeholder {color: var(--faint)}
.message .submit-button {background: var(--mark); color: var(--body-background-fill); margin: 0}
.tail {border-top: 1px solid var(--border-color-primary); margin-top: .8rem; padding-top: .8rem}
.tail code {display: block; margin: .3rem 0; padding: .5rem .7rem; border: 1px solid var(--border-color-primary);
  border-radius: .4rem; white-space: pre-wrap; background: var(--block-background-fill); color: var(--body-text-color)}
.tail a {display: inline-block; margin-bottom: .3rem; padding: .4rem .9rem; border: 1px solid var(--faint);
  border-radius: .5rem; color: var(--body-text-color); text-decoration: none}
.tail kbd {padding: 0 .35em; border: 1px solid var(--faint); border-radius: .3em; font: inherit}
.gradio-container :is(button, a):focus-visible {outline: 2px solid var(--mark) !important; outline-offset: 2px}
@media (max-width: 40rem) { .panes {flex-direction: column} .pane {width: 100%} .keys {display: none} }
"""

# Esc leaves the message; there, a digit votes and / goes back. Keys with Ctrl, Alt or Meta stay the browser's.
KEYS = """() => document.addEventListener('keydown', event => {
  const box = document.querySelector('.message textarea'), typing = /TEXTAREA|INPUT/.test(event.target.tagName);
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === 'Escape' && typing) event.target.blur();
  else if (event.key === '/' && !typing) { event.preventDefault(); box.focus(); }
  else if (!typing && /^[1-4]$/.test(event.key)) document.querySelectorAll('.votes button')[event.key - 1]?.click();
})"""


def votes_of(models: Sequence[ChatModel]) -> dict[str, str]:
    """Vote -> the text of its button."""
    return PAIR if len(models) == 2 else SINGLE


def title(models: Sequence[ChatModel]) -> str:
    """What the browser's tab says."""
    return f"{' and '.join(printable(model.label) for model in models)} - edu_align"


def header(models: Sequence[ChatModel]) -> str:
    """The title, who answers, and on which base model."""
    trained = [model for model in models if model.label != BASE]
    bases = list(dict.fromkeys(base_name(model.base) for model in models))
    if len(models) == 1:
        head, text = f"Chat with {models[0].label}", f"Its base model is {bases[0]}."
    else:
        if len(trained) < len(models):
            who = f"{trained[0].label} and the base model that it was trained from, {bases[0]}"
        elif len(bases) == 1:
            who = f"{' and '.join(model.label for model in models)}, both trained from {bases[0]}"
        else:
            who = " and ".join(f"{model.label} (trained from {base_name(model.base)})" for model in models)
        head = "Which answer is better?"
        text = f"You talk to {who}. Which of them is A and which is B is drawn anew each time and told after your vote."
    return f'<div class="head"><h1>{_text(head)}</h1><p>{_text(text)}</p></div>'


def base_name(identity: str) -> str:
    """A base model's identity (see models/locate.py) as people call it: the hub's id, the file, the folder."""
    kind, _, rest = name_and_content(identity)[0].partition(":")
    return f"{rest.partition(':')[0]} with random weights" if kind == "random" else rest.partition("@")[0] or identity


def bubble(kind: str, text: str) -> str:
    """One box; `kind` (user, assistant, note, invite or wait) is its CSS class."""
    return f'<div class="{kind}">{_text(text)}</div>'


def dialogue(turns: Sequence[Message], note: str = "") -> str:
    """The turns from old to new, and a note under them; an invitation where there is nothing yet."""
    boxes = [bubble(turn.role, turn.content) for turn in turns] + ([bubble("note", note)] if note else [])
    boxes = boxes or [bubble("invite", "Ask something below, or begin with an example.")]
    return f'<div class="talk">{"".join(boxes)}</div>'


def answers(texts: Sequence[str], waiting: bool = False) -> list[str]:
    """A box for each answer, under its name where there are two. `waiting`: an empty one is still to come."""
    boxes = [bubble("assistant", text) if text else bubble("wait", "...") if waiting else "" for text in texts]
    talks = [f'<div class="talk">{box}</div>' for box in boxes]
    return (
        [f"<h2>Answer {side}</h2>{talk}" for side, talk in zip(SIDES, talks, strict=True)] if len(talks) == 2 else talks
    )


def saved(models: Sequence[str], vote: str, votes: Path) -> str:
    """What became of a vote: which one, who had answered as what, and the file. `models`: labels from left to right."""
    who = f"A was {models[0]}, B was {models[1]}." if len(models) == 2 else f"{models[0]} had answered."
    return status(f"Saved: {(PAIR | SINGLE)[vote]}. {who} It is the last line of {votes}.")


def status(text: str = "") -> str:
    """One line under the votes, which screen readers read out as it changes."""
    return f'<div class="talk saved" role="status">{bubble("note", text) if text else ""}</div>'


def footer(models: Sequence[ChatModel], votes: Path, download: bool) -> str:
    """The file of votes, what it is good for, and the keys."""
    if len(models) == 2:
        command = f"python -m edu_align.train trainer=dpo dataset=local {in_shell(f'dataset.path={votes}')}"
        use = (
            f"<p>A better and a worse answer to one question are what DPO learns from:</p><code>{_text(command)}</code>"
        )
    else:
        use = "<p>DPO learns from two answers to one question: give run=... --compare to vote on such.</p>"
    link = f'<p><a href="{VOTES_URL}" download>Download the votes</a></p>' if download else ""
    keys = (
        "<kbd>Enter</kbd> sends, <kbd>Esc</kbd> leaves the message; then <kbd>1</kbd> to "
        f"<kbd>{len(votes_of(models))}</kbd> vote and <kbd>/</kbd> goes back to it."
    )
    return f'<div class="tail">{link}{use}<p class="keys">{keys}</p></div>'


def _text(text: str) -> str:
    return escaped(printable(text))
