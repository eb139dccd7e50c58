"""An export, loaded back as a user loads it and compared with the tutor: greedy replies and their probabilities."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edu_align.exporting.distance import DIVERGENCE, Reading, between, distance, logps, read, require_near, reread
from edu_align.exporting.gguf import context_length
from edu_align.exporting.merge import load_merged, load_trained
from edu_align.exporting.subject import Subject
from edu_align.models.chat_template import render
from edu_align.records import Message
from edu_align.utils.errors import UserError, first_line

FACTORS = "rope_freqs.weight"  # Llama 3's: by how much each frequency is divided
LONG = ("rope_factors_long.weight", "rope_factors_short.weight")


def put_back(config: Any, file: Path, model_config: Any) -> None:
    """Give `config`, read from the GGUF `file`, the scaling of `model_config`, which the file was made of."""
    wanted = dict(getattr(model_config, "rope_parameters", None) or {})
    if wanted.get("rope_type", "default") != "default" and _states(file, wanted, model_config):
        config.rope_parameters = {**(config.rope_parameters or {}), **wanted}


def _states(file: Path, wanted: dict[str, Any], model_config: Any) -> bool:
    from gguf import GGUFReader

    reader = GGUFReader(file)
    fields, tensors = reader.fields, {tensor.name: tensor.data for tensor in reader.tensors}
    kind = str(fields["general.architecture"].contents())
    found = {
        name: fields[key].contents() for name in ("type", "factor") if (key := f"{kind}.rope.scaling.{name}") in fields
    }
    if wanted["rope_type"] == "llama3":
        return FACTORS in tensors and _close(tensors[FACTORS], _factors(model_config))
    if wanted["rope_type"] == "longrope":
        return all(name in tensors for name in LONG)
    same = abs(float(found.get("factor", 0)) - float(wanted.get("factor", 1))) < 1e-4
    return same and found.get("type") == wanted["rope_type"]


def _factors(model_config: Any) -> Any:
    """What each frequency of the model is divided by."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = model_config.rope_parameters
    scaled, _ = ROPE_INIT_FUNCTIONS[rope["rope_type"]](model_config, torch.device("cpu"))
    width = 2 * len(scaled)
    plain = 1.0 / rope["rope_theta"] ** (torch.arange(0, width, 2, dtype=torch.float) / width)
    return (plain / scaled).numpy()


def _close(found: Any, expected: Any) -> bool:
    import numpy

    return found.shape == expected.shape and bool(numpy.allclose(found, expected, rtol=1e-3))


QUESTIONS = (
    "I added 3/4 and 1/4 and got 4/8. Is that right?",
    "Why is 7 x 8 = 56? Ça fait 54 € chez moi, naïve as I am...\n\n\t100000 / 3.5 = ?",
    "Explain to me, in one sentence, why the sky is blue.",
)
REPLY = 24  # tokens of each reply
# Largest total variation distance that rounding to a number format may cause. What it caused with a tuned
# SmolLM2-135M: float32 4e-6, float16 0.008, bfloat16 0.06; as GGUF, with float32 before it: f16 0.0014, bf16 0.01,
# q8_0 0.035. Leaving the adapter out: 0.8.
TOLERANCE = {
    "float32": 1e-4, "float16": 0.03, "bfloat16": 0.2, "f32": 1e-4, "f16": 0.01, "bf16": 0.05, "q8_0": 0.15,
}  # fmt: skip


@dataclass(frozen=True)
class Replies:
    """The tutor's replies. `ids`: prompt and reply; `starts`: length of each prompt; `logps`: one (T, V) a reply."""

    ids: list[list[int]]
    starts: list[int]
    logps: list[Any]


@dataclass(frozen=True)
class Agreement:
    """`same` of `tokens` greedy tokens are the tutor's.

    `distance`: the largest total variation distance of two next-token distributions: 0 where they are equal, 1 where
    they share no token.
    """

    distance: float
    same: int
    tokens: int

    def describe(self) -> str:
        """`"72 of 72 greedy tokens are the same, and at most 0.000012 of a next-token probability moved"`."""
        same = f"{self.same} of {self.tokens} greedy tokens are the same"
        return f"{same}, and at most {self.distance:.2g} of a next-token probability moved"


def prompts(tokenizer: Any, system_prompt: str | None) -> list[str]:
    """The questions as the model reads them, with the assistant's turn opened."""
    system = (Message("system", system_prompt),) if system_prompt else ()
    return [render(tokenizer, (*system, Message("user", text)), reply_next=True) for text in QUESTIONS]


def replies_of(model: Any, tokenizer: Any, system_prompt: str | None) -> Replies:
    """Greedy replies of `REPLY` tokens, whether they end before that or not, and every position's distribution."""
    texts = prompts(tokenizer, system_prompt)
    starts, ids = [], []
    for prompt in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        starts.append(len(prompt))
        ids.append(prompt + list(_greedy(model, prompt)))
    return Replies(ids, starts, [logps(model, each, start) for each, start in zip(ids, starts, strict=True)])


def compare(tutor: Replies, model: Any) -> Agreement:
    """How far `model` is from the tutor at every position of the tutor's replies.

    It reads the tutor's own tokens, so its greedy replies are the same exactly where every token is the same.
    """
    distances, same, tokens = [], 0, 0
    for ids, start, expected in zip(tutor.ids, tutor.starts, tutor.logps, strict=True):
        found = logps(model, ids, start)
        distances.append(float((found.exp() - expected.exp()).abs().sum(dim=1).max() / 2))
        same += int((found.argmax(dim=1) == expected.argmax(dim=1)).sum())
        tokens += len(found)
    return Agreement(max(distances), same, tokens)


def require(agreement: Agreement, formats: Sequence[str], what: str) -> float:
    """The tolerance of the coarsest of the number `formats`. Raises UserError where the agreement is outside it."""
    tolerance = max(TOLERANCE[each] for each in formats)
    if not agreement.distance <= tolerance:  # NaN is outside too
        raise UserError(
            f"{what} was loaded back and does not say what the tutor says: {agreement.describe()}; the tolerance for "
            f"{' and '.join(dict.fromkeys(formats))} is {tolerance:g}. Nothing was kept. Try export.dtype=float32; if "
            "that fails too, it is a bug of edu_align."
        )
    return tolerance


def _greedy(model: Any, prompt: Sequence[int]) -> Iterator[int]:
    import torch

    past, fresh = None, torch.tensor([list(prompt)], device=model.device)
    with torch.no_grad():
        for _ in range(REPLY):
            output = model(input_ids=fresh, past_key_values=past, use_cache=True)
            past, fresh = output.past_key_values, output.logits[:, -1].argmax(dim=-1, keepdim=True)
            yield int(fresh)


def load_gguf(file: Path, dtype: str, made_of: Any = None) -> tuple[Any, Any, str]:
    """Model in `dtype`, tokenizer, and the name of the way its tokenizer splits text.

    `made_of`: the config of the model that the file was made of, for what transformers drops as it reads.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    config = AutoConfig.from_pretrained(**source, trust_remote_code=False)
    known = metadata(file, "general.architecture", "tokenizer.ggml.pre")
    head = metadata(file, f"{known['general.architecture']}.attention.key_length")
    for width in head.values():  # for Qwen transformers takes 128 without looking
        config.head_dim = width
    if made_of is not None:
        put_back(config, file, made_of)
    model: Any = AutoModelForCausalLM.from_pretrained(
        **source,
        config=config,
        quantization_config=GgufConfig(dequantize=True),
        dtype=getattr(torch, dtype),
        trust_remote_code=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(**source, trust_remote_code=False)
    return model.eval(), tokenizer, str(known.get("tokenizer.ggml.pre"))


def metadata(file: Path, *keys: str) -> dict[str, Any]:
    """Those of the keys that the file has, as Python values."""
    from gguf import GGUFReader

    fields = GGUFReader(file).fields
    return {key: fields[key].contents() for key in keys if key in fields}


def longest(file: Path) -> int:
    """The context that the file states, in tokens."""
    kind = metadata(file, "general.architecture")["general.architecture"]
    (length,) = metadata(file, f"{kind}.context_length").values()
    return int(length)


def types_in(file: Path) -> str:
    """`"210 q4_0, 1 q8_0"`: in which types its matrices lie, the commonest first. Rows that a type's blocks do not fit
    have another.
    """
    from gguf import GGUFReader

    counts = Counter(each.tensor_type.name.lower() for each in GGUFReader(file).tensors if len(each.shape) > 1)
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


def _as_trained(subject: Subject, tokenizer: Any) -> Reading | str | None:
    """The fixed text read by the tutor on its quantized base; why not, where that failed; None for a whole base."""
    if subject.adapter is None or subject.config.hardware.quantization == "none":
        return None
    try:
        return read(load_trained(subject), tokenizer, subject.config.dataset.system_prompt)
    except Exception as error:  # bitsandbytes is missing, or cannot do it on this processor: no reason not to export
        return first_line(error, 160)


# Ways to split text that transformers knows when it reads a tokenizer out of a GGUF; for others it guesses.
READ_ALIKE = ("gpt-2", "llama-bpe", "qwen2", "tekken")


@dataclass(frozen=True)
class Tutor:
    """What an export is compared with. `adapter_effect`: how far the base is from it, and `base` what that reads, for a
    base with an adapter.
    """

    subject: Subject
    tokenizer: Any
    replies: Replies
    reading: Reading
    adapter_effect: Agreement | None = None
    base: Reading | None = None
    shape: Any = None  # the model's config

    @classmethod
    def of(cls, subject: Subject, model: Any, tokenizer: Any) -> "Tutor":
        """The tutor that `model` is, base and adapter not yet merged."""
        prompt = subject.config.dataset.system_prompt
        replies, reading = replies_of(model, tokenizer, prompt), read(model, tokenizer, prompt)
        effect, base = None, None
        if subject.adapter is not None:
            with model.disable_adapter():
                effect, base = compare(replies, model), reread(reading.ids, model)
        return cls(subject, tokenizer, replies, reading, effect, base, model.config)

    def check_merged(self, folder: Path) -> list[str]:
        """Weights, tokenizer and chat template of the merged folder. Errors: they are not the tutor's."""
        trained = _as_trained(self.subject, self.tokenizer)  # before the merged model, so that only one is in memory
        model, tokenizer, otherwise = load_merged(folder)
        if not self._reads_alike(tokenizer) or tokenizer.chat_template != self.tokenizer.chat_template:
            raise UserError("the tokenizer, loaded back, reads text in another way. Nothing was kept: it is a bug.")
        dtype = self.subject.dtype
        found = compare(self.replies, model)
        tolerance = require(found, [dtype], f"the merged model ({dtype})")
        line = f"merged ({dtype}), loaded back: {found.describe()} (tolerance {tolerance:g})"
        if self.adapter_effect is not None:
            line += f"; the adapter itself moved {self.adapter_effect.distance:.2g}"
        if otherwise:
            line += f". AutoTokenizer reads it otherwise ({otherwise}): use PreTrainedTokenizerFast.from_pretrained"
        return [f"{line}.{self._advice(found, 'export.dtype=float32')}", *self._compare_trained(trained, model)]

    def _compare_trained(self, trained: Reading | str | None, merged: Any) -> list[str]:
        """For a base that was quantized while training: how far the merged model is from the tutor that was trained."""
        if trained is None:
            return []
        bits = self.subject.config.hardware.quantization
        if isinstance(trained, str):
            return [
                f"the adapter was trained on a base in {bits}; how far the merged model is from that tutor was not "
                f"measured: {trained}."
            ]
        found = distance(trained, merged)
        moved = (
            f"; the adapter itself moved {between(self.reading, self.base).divergence:.2g} nats" if self.base else ""
        )
        return [
            f"the adapter was trained on a base in {bits} and is merged into the whole one. The merged model has "
            f"{found.describe(f'the tutor on the {bits} base')}{moved}. Losses and results of the run are the "
            "latter's."
        ]

    def check_gguf(self, gguf: Path) -> str:
        """The GGUF alone: weights, shape and tokenizer. Errors: they are not the tutor's."""
        kind = str(self.subject.config.export.gguf)
        model, tokenizer, pre = load_gguf(gguf, self.subject.dtype, self.shape)
        alike = self._reads_alike(tokenizer)
        if not alike and pre in READ_ALIKE:
            raise UserError(f"the tokenizer in {gguf.name}, loaded back, reads text in another way. Nothing was kept.")
        unsure = "" if alike else f" transformers reads its tokenizer ({pre}) in another way; only llama.cpp can tell."
        if kind in DIVERGENCE:
            return self._few_bits(gguf, kind, reread(self.reading.ids, model)) + unsure
        found = compare(self.replies, model)
        tolerance = require(found, [self.subject.dtype, kind], gguf.name)
        line = f"GGUF ({kind}), loaded back: {found.describe()} (tolerance {tolerance:g})."
        return f"{line}{self._advice(found, 'export.gguf=f16')}{unsure}"

    def _few_bits(self, gguf: Path, kind: str, read_back: Reading) -> str:
        """Errors: more than rounding to `kind` does. Said too: what it left of the training."""
        found = between(self.reading, read_back)
        tolerance = require_near(found, kind, gguf.name)
        said = found.describe("the tutor")
        line = f"GGUF ({kind}: {types_in(gguf)}), loaded back: it has {said}; tolerance {tolerance:g} nats."
        if self.base is None:
            return line
        to_base = between(self.base, read_back).divergence
        if to_base < found.divergence:
            back = f"It is nearer to the base ({to_base:.2g}): rounding took the training back."
            return f"{line} {back} Use export.gguf=q8_0."
        moved = between(self.reading, self.base).divergence
        if found.divergence <= moved / 2:
            return line
        return f"{line} The adapter itself moved {moved:.2g}: export.gguf=q8_0 keeps more of it."

    def check_converted(self, gguf: Path) -> str:
        """As `check_gguf`, of llama.cpp's converter, which knows models that transformers cannot read back."""
        try:
            return self.check_gguf(gguf)
        except UserError:
            raise
        except Exception as error:
            why = first_line(error, 160)
            return f"{gguf.name} was written by llama.cpp's converter and could not be compared with the tutor: {why}"

    def _reads_alike(self, tokenizer: Any) -> bool:
        texts = prompts(self.tokenizer, self.subject.config.dataset.system_prompt)
        own, other = (read(texts, add_special_tokens=False)["input_ids"] for read in (self.tokenizer, tokenizer))
        return bool(own == other)

    def _advice(self, found: Agreement, instead: str) -> str:
        if self.adapter_effect is None or found.distance <= self.adapter_effect.distance / 2:
            return ""
        return f" Rounding moved more than half of what the adapter did: {instead} keeps more of it."


def context_notes(folder: Path) -> list[str]:
    """A sentence where a GGUF of the model in `folder` holds less context than the model."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    context = context_length(config)
    if context == config.max_position_embeddings:
        return []
    return [f"the GGUF's context ends at {context} tokens, the model's sliding window, which llama.cpp does not have."]
