"""What the tests of exporting share: the program, an export that is made once, and tokenizers of every kind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edu_align.export import main
from tests.chatting.conftest import Here, here  # noqa: F401 - a fixture

Export = Callable[..., tuple[int, str, str]]
Make = Callable[..., Any]
Say = Callable[..., str]
Runs = Callable[[str], Any]
TEXT = [
    "I added three quarters and one quarter and got four eighths. Is that right?",
    "Why is seven times eight the same as fifty-six? It is the same as eight times seven.",
    "What do you get when you add the two halves? Show me how you did it, step by step.",
]


@pytest.fixture
def export(here: Here, outputs: Path) -> Export:  # noqa: F811
    """`export("run=sft", "export.gguf=f16")`: the program on the tests' runs; its exit code, stdout and stderr."""
    return lambda *words: here(main, *words, f"outputs_root={outputs}")


@pytest.fixture
def ok(export: Export) -> Say:
    """As `export`, where it succeeds; what it prints."""

    def run(*words: str) -> str:
        code, out, err = export(*words)
        assert code == 0, err
        return out

    return run


@pytest.fixture
def refused(export: Export) -> Say:
    """As `export`, where it refuses; stderr, which ends with the one message."""

    def run(*words: str) -> str:
        code, out, err = export(*words)
        assert (code, "exported to" in out) == (2, False)
        assert err.splitlines()[-1].startswith("edu_align: error: ")
        return err

    return run


@pytest.fixture(scope="session")
def exported(runs: Runs, outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a tiny DPO run that continued an SFT run, with a q8_0 GGUF."""
    runs("dpo_on_sft")
    output = tmp_path_factory.mktemp("exported") / "tutor"
    with pytest.MonkeyPatch.context() as patch:
        words = ["run=dpo_on_sft", f"output={output}", "export.gguf=q8_0", f"outputs_root={outputs}"]
        patch.setattr("sys.argv", ["export", *words])
        main()
    return output


def copied(run: Path, name: str) -> Path:
    """A copy of a finished run beside it, without its exports."""
    target = run.parent / name
    shutil.copytree(run, target, ignore=shutil.ignore_patterns("export"))
    return target


def by_hand(folder: Path) -> tuple[Any, Any]:
    """As a user's program loads it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def trained(raw: Any, trainer: Any, **special: str) -> Any:
    """A fast tokenizer around a `tokenizers` one, trained on `TEXT`."""
    from transformers import PreTrainedTokenizerFast

    raw.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, **special)


@pytest.fixture(scope="session")
def byte_level() -> Make:
    """`byte_level(pre_tokenizer)`: a byte-level BPE with merges, ChatML's tokens and an added, not special one."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    def build(pre: Any = None) -> Any:
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre or pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, special_tokens=special)
        tokenizer = trained(raw, trainer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
        tokenizer.add_tokens([AddedToken("<think>", normalized=False)])
        tokenizer.chat_template = CHATML
        return tokenizer

    return build


@pytest.fixture(scope="session")
def pieces() -> Any:
    """A tokenizer like Llama 2's: SentencePiece's BPE, where a byte that no piece covers is a token of its own."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    control = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = trained(raw, trainers.BpeTrainer(vocab_size=380, special_tokens=control))
    # The trainer adds the byte tokens as special ones; in Llama's file they are ordinary.
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    rules["added_tokens"] = [added for added in rules["added_tokens"] if not added["content"].startswith("<0x")]
    plain = Tokenizer.from_str(json.dumps(rules))
    fast = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    fast.chat_template = LLAMA_2
    return fast


CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# What these two do is that of Llama-2-chat and Mistral-7B-Instruct; the wording is ours.
LLAMA_2 = (
    "{% set told = messages[0]['content'] if messages[0]['role'] == 'system' else none %}"
    "{% for message in (messages[1:] if told else messages) %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' }}{% if loop.first and told %}{{ '<<SYS>>\n' + told + '\n<</SYS>>\n\n' }}{% endif %}"
    "{{ message['content'].strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system prompt here') }}"
    "{% elif message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
