"""Texts that a chat template wrote already: its marks are taken off, and the turns between them are read.

Data sets for one model often hold them: `<|im_start|>user ...<|im_end|>` (ChatML), `<|user|> ...</s>` (Zephyr, Phi),
`<start_of_turn>user ...<end_of_turn>` (Gemma), `<|start_header_id|>user<|end_header_id|> ...<|eot_id|>` (Llama 3) and
`[INST] ... [/INST] ...` (Llama 2, Mistral). Trained as they stand they would teach one template inside another.
"""

import re

from edu_align.data.rows.words import ROLES, plain

_BEGINS = ("<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>")
_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "</s>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<eos>")
_OPENS = re.compile(
    r"<\|im_start\|>[ ]*(?P<chatml>\w+)[ ]*\n|<start_of_turn>[ ]*(?P<gemma>\w+)[ ]*\n|"
    r"<\|start_header_id\|>[ ]*(?P<llama3>\w+)[ ]*<\|end_header_id\|>|<\|(?P<zephyr>system|user|assistant)\|>"
)
_MARK = re.compile(
    r"<\|(im_start|im_end|start_header_id|end_header_id|eot_id|system|user|assistant|end)\|>|<(start|end)_of_turn>|"
    r"\[/?INST\]|<</?SYS>>|</s>"
)

Spoken = list[tuple[str, str]]


def split_marked(text: str) -> Spoken | None:
    """(role, text) of a text that is turns between the marks of one template; None for any other text.

    An assistant turn without text at the end is an open one, and goes.
    """
    body = text.lstrip()
    body = next((body.removeprefix(mark) for mark in _BEGINS if body.startswith(mark)), body).lstrip()
    turns = _instructions(body) if body.startswith("[INST]") else _turns(body)
    if turns and turns[-1] == ("assistant", ""):
        turns.pop()
    return turns or None


def without_end(text: str) -> str:
    """A reply without the mark at its end that a template closes a turn with."""
    cut = text.rstrip()
    if not cut.endswith(_ENDS):
        return text
    while cut.endswith(_ENDS):
        cut = next(cut.removesuffix(mark) for mark in _ENDS if cut.endswith(mark)).rstrip()
    return cut


def mark_in(text: str) -> str | None:
    """The first mark of a chat template in a text."""
    found = _MARK.search(text)
    return found[0] if found else None


def _turns(text: str) -> Spoken | None:
    opens = list(_OPENS.finditer(text))
    if not opens or opens[0].start() or len({mark.lastgroup for mark in opens}) > 1:
        return None
    roles = [ROLES.get(plain(mark[str(mark.lastgroup)])) for mark in opens]
    if None in roles:
        return None
    ends = [mark.start() for mark in opens[1:]] + [len(text)]
    texts = [without_end(text[mark.end() : end]).strip() for mark, end in zip(opens, ends, strict=True)]
    return list(zip(map(str, roles), texts, strict=True))


def _instructions(text: str) -> Spoken | None:
    turns: Spoken = []
    for part in text.split("[INST]")[1:]:
        asked, closed, said = part.partition("[/INST]")
        if not closed:
            return None
        if asked.lstrip().startswith("<<SYS>>"):
            system, _, asked = asked.lstrip().removeprefix("<<SYS>>").partition("<</SYS>>")
            turns.append(("system", system.strip()))
        said = without_end(said.strip().removesuffix("<s>")).strip()
        turns += [("user", asked.strip()), ("assistant", said)]
    return turns
