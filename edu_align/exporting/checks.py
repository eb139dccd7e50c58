"""What was written, loaded back as a user loads it and held against the tutor. Each check is told in a sentence."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.errors import UserError
from edu_align.exporting.agreement import Agreement, Replies, compare, prompts, replies_of, require
from edu_align.exporting.gguf_file import context_length
from edu_align.exporting.gguf_reading import load_gguf
from edu_align.exporting.merge import load_merged
from edu_align.exporting.subject import Subject

# Ways to split text that transformers knows when it reads a tokenizer out of a GGUF; for others it guesses.
READ_ALIKE = ("gpt-2", "llama-bpe", "qwen2", "tekken")


@dataclass(frozen=True)
class Tutor:
    """What an export has to say. `learned`: how far the base is from it, where it is a base with an adapter."""

    subject: Subject
    tokenizer: Any
    replies: Replies
    learned: Agreement | None

    @classmethod
    def of(cls, subject: Subject, model: Any, tokenizer: Any) -> "Tutor":
        """The tutor that `model` is, base and adapter not yet merged."""
        replies = replies_of(model, tokenizer, subject.config.dataset.system_prompt)
        learned = None
        if subject.adapter is not None:
            with model.disable_adapter():
                learned = compare(replies, model)
        return cls(subject, tokenizer, replies, learned)

    def check_merged(self, folder: Path) -> str:
        """Weights, tokenizer and chat template of the merged folder. Errors: they are not the tutor's."""
        model, tokenizer = load_merged(folder)
        if not self._reads_alike(tokenizer) or tokenizer.chat_template != self.tokenizer.chat_template:
            raise UserError("the tokenizer, loaded back, reads text in another way. Nothing was kept: it is a bug.")
        dtype = self.subject.dtype
        found = compare(self.replies, model)
        tolerance = require(found, [dtype], f"the merged model ({dtype})")
        told = f"merged ({dtype}), loaded back: {found.describe()} (tolerance {tolerance:g})"
        learned = "" if self.learned is None else f"; the adapter itself moved {self.learned.moved:.2g}"
        return f"{told}{learned}.{self._advice(found, 'export.dtype=float32')}"

    def check_gguf(self, gguf: Path) -> str:
        """The GGUF alone: weights, shape and tokenizer. Errors: they are not the tutor's."""
        kind = str(self.subject.config.export.gguf)
        model, tokenizer, pre = load_gguf(gguf, self.subject.dtype)
        alike = self._reads_alike(tokenizer)
        if not alike and pre in READ_ALIKE:
            raise UserError(f"the tokenizer in {gguf.name}, loaded back, reads text in another way. Nothing was kept.")
        found = compare(self.replies, model)
        tolerance = require(found, [self.subject.dtype, kind], gguf.name)
        told = f"GGUF ({kind}), loaded back: {found.describe()} (tolerance {tolerance:g})."
        unsure = "" if alike else f" transformers reads its tokenizer ({pre}) in another way; only llama.cpp can tell."
        return f"{told}{self._advice(found, 'export.gguf=f16')}{unsure}"

    def check_converted(self, gguf: Path) -> str:
        """As `check_gguf`, of llama.cpp's converter, which knows models that transformers cannot read back."""
        try:
            return self.check_gguf(gguf)
        except UserError:
            raise
        except Exception as error:
            why = (str(error) or type(error).__name__).strip().splitlines()[0][:160]
            return f"{gguf.name} was written by llama.cpp's converter and could not be compared with the tutor: {why}"

    def _reads_alike(self, tokenizer: Any) -> bool:
        texts = prompts(self.tokenizer, self.subject.config.dataset.system_prompt)
        read: list[Callable[..., Any]] = [self.tokenizer, tokenizer]
        mine, other = (each(texts, add_special_tokens=False)["input_ids"] for each in read)
        return bool(mine == other)

    def _advice(self, found: Agreement, instead: str) -> str:
        if self.learned is None or found.moved <= self.learned.moved / 2:
            return ""
        return f" Rounding moved more than half of what the adapter did: {instead} keeps more of it."


def about_context(folder: Path) -> list[str]:
    """A sentence where a GGUF of the model in `folder` holds less context than the model."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    context = context_length(config)
    if context == config.max_position_embeddings:
        return []
    return [f"the GGUF's context ends at {context} tokens, the model's sliding window, which llama.cpp does not have."]


def about_template(found: bool) -> str:
    """What the Modelfile's TEMPLATE is worth."""
    if found:
        return "the Modelfile's TEMPLATE writes dialogues of one to three questions exactly as the chat template does."
    return "the chat template does more than the Modelfile's TEMPLATE can say, so Ollama goes by the one in the GGUF."
