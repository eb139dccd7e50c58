"""A GGUF file as base model: what is made of it is the model that it was written from, as llama.cpp reads it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest

from benchmarks.llama_cpp import VARIABLE, ask, interpreter
from edu_align.config.compose import name_of
from edu_align.config.schema import ModelConfig
from edu_align.config.text import models_by_path
from edu_align.models import gguf_base
from edu_align.models.content import same_base
from edu_align.models.gguf_base import SEAL, bundled_folder, dtype_of, folders_made, gguf_folder
from edu_align.models.gguf_config import config_of, unread
from edu_align.models.gguf_file import F16, F32, Header, Tensor, read_header
from edu_align.models.gguf_tokenizer import put_back, special_tokens, template_of
from edu_align.models.locate import Location, is_at_hand, locate, published
from edu_align.models.sizes import sizes_of
from edu_align.models.tokenizer import load_tokenizer, tokenizer_identity
from edu_align.utils.errors import UserError
from edu_align.utils.hashing import digest, file_sha256, files_digest, sha256
from tests.exporting.conftest import byte_level, pieces  # noqa: F401 - fixtures
from tests.models import gguf_models
from tests.models.gguf_models import MODELS, WORDS, random_network, write

Q8_0 = 8
TEXTS = (
    "I added 3/4 and 1/4 and got 4/8. Is that right?",
    "  Two  spaces, naïve 100000 × 3.5 = ?\n\n\tIt's 12345 — isn't it?",
    "<|im_start|>user\nHello<|im_end|>\n",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`files("yarn")`: the GGUF of the tiny model of that name."""
    folder = tmp_path_factory.mktemp("gguf")

    def get(name: str) -> Path:
        file = folder / f"{name.replace(' ', '-')}.gguf"
        return file if file.is_file() else write(file, random_network(name))

    return get


@pytest.fixture(scope="module")
def outputs_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


def _model(file: Path, **keys: Any) -> ModelConfig:
    return ModelConfig(**{"name": name_of(str(file)), "path": str(file), **keys})


def _logps(model: Any, ids: list[int]) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)


def _ids(length: int) -> list[int]:
    import torch

    return torch.randint(4, 260, (length,), generator=torch.Generator().manual_seed(3)).tolist()


def _loaded(location: Location) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(location.folder)


@pytest.mark.parametrize("name", MODELS)
def test_every_family_is_read_back_as_it_was(files: Any, outputs_root: Path, name: str) -> None:
    """Also its sizes, which are read without torch."""
    file, ids = files(name), _ids(80)
    location = locate(_model(file), outputs_root, 0)
    original = random_network(name)
    found = _loaded(location)
    assert (_logps(found, ids) - _logps(original, ids)).abs().max() < 1e-4
    sizes, _ = sizes_of(_model(file))
    assert sizes is not None
    for key in ("vocab_size", "hidden_size", "num_key_value_heads", "max_position_embeddings", "tie_word_embeddings"):
        assert getattr(sizes, key) == getattr(original.config, key), key
    width = (
        getattr(original.config, "head_dim", None) or original.config.hidden_size // original.config.num_attention_heads
    )
    assert sizes.head_dim == width


@pytest.mark.parametrize("name", ["linear", "yarn", "llama 3", "qwen2 yarn", "phi3 long", "gemma3"])
def test_transformers_alone_reads_another_model(files: Any, name: str) -> None:
    """Why positions are put back: without that the file is another model. Where this fails, less is needed here."""
    from transformers import AutoModelForCausalLM, GgufConfig

    file, ids = files(name), _ids(80)
    alone = AutoModelForCausalLM.from_pretrained(
        str(file.parent), gguf_file=file.name, quantization_config=GgufConfig(dequantize=True), dtype="float32"
    )
    assert (_logps(alone, ids).exp() - _logps(random_network(name), ids).exp()).abs().sum(dim=1).max() / 2 > 0.01


def test_a_file_is_one_base_wherever_it_lies(files: Any, outputs_root: Path, tmp_path: Path, capsys: Any) -> None:
    """It is made a folder once, under its own name, and again where that is damaged; no bars are drawn into a log."""
    file = tmp_path / "Some Model.Q4.gguf"
    shutil.copyfile(files("llama"), file)
    first = locate(_model(file), outputs_root, 0)
    said = capsys.readouterr()
    assert f"dequantizing {file.name} into {first.folder}" in said.out
    assert [word for word in ("\r", "%|", "Loading weights", "Writing") if word in said.err + said.out] == []
    assert first.folder is not None
    assert re.fullmatch(r"Some-Model\.Q4-[0-9a-f]{16}", first.folder.name)
    assert re.fullmatch(r"gguf:Some Model\.Q4\.gguf:[0-9a-f]{16}", first.identity)
    assert is_at_hand(_model(file))
    assert locate(_model(file), outputs_root, 0) == first
    assert capsys.readouterr().out == ""
    (first.folder / "config.json").write_text("{}")
    assert locate(_model(file), outputs_root, 0) == first
    assert "config.json is not what was written there; it is made again" in capsys.readouterr().out
    assert sorted(json.loads((first.folder / SEAL).read_text())) == sorted(
        each.name for each in first.folder.iterdir() if each.name != SEAL
    )
    moved = tmp_path / "moved" / "Renamed.gguf"
    moved.parent.mkdir()
    file.rename(moved)
    assert same_base(locate(_model(moved), outputs_root, 0).identity, first.identity)
    other = locate(_model(files("llama tied")), outputs_root, 0)
    assert not same_base(first.identity, other.identity)
    assert published(first) == (str(first.folder), None)


@pytest.mark.parametrize("bundled", [False, True])
def test_a_file_is_parsed_once(files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: bool) -> None:
    """transformers alone parses it for the tokenizer, the config and the weights each."""
    import gguf

    parsed = []

    class Counted(gguf.GGUFReader):
        def __init__(self, path: str, *given: Any) -> None:
            parsed.append(path)
            super().__init__(path, *given)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    make = bundled_folder if bundled else gguf_folder
    folder, _ = make(files("yarn"), tmp_path)
    assert len(parsed) == 1
    assert (folder / "model.safetensors").is_file()
    assert gguf.GGUFReader is Counted


@pytest.mark.parametrize("bundled", [False, True])
def test_another_version_of_the_reader_makes_a_folder_of_its_own(
    files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: bool
) -> None:
    """And what was trained on the older one's is told that its base is another; the package's model has its own."""
    make = bundled_folder if bundled else gguf_folder
    first, content = make(files("llama"), tmp_path)
    assert make(files("llama"), tmp_path) == (first, content)
    alone = files_digest([files("llama")], None) if bundled else file_sha256(files("llama"))
    assert content == alone[:16]  # so were runs on the package's model named before there were versions
    monkeypatch.setattr(gguf_base, "VERSION" if bundled else "BUNDLED_VERSION", 2)
    assert make(files("llama"), tmp_path) == (first, content)
    monkeypatch.setattr(gguf_base, "BUNDLED_VERSION" if bundled else "VERSION", 2)
    (first / "config.json").write_text("{}")  # an older folder is not looked at
    second, other = make(files("llama"), tmp_path)
    assert second != first
    assert (second / "model.safetensors").is_file()
    assert not same_base(f"gguf:llama.gguf:{content}", f"gguf:llama.gguf:{other}")
    assert folders_made(second.name.rpartition("-")[0], tmp_path)[0] == second


# What version 1 makes of files with given weights. Where the reader makes something else, raise gguf_base.VERSION, so
# that nobody goes on with what an older one made, and write the new digest here.
MADE = {
    "llama 3": "160df8a9fcb925c9",
    "gemma3": "6877dd98e3e98b3c",
    "phi3 long": "c44102530ca0d6d5",
    "qwen2 yarn": "69f103ace55c5a82",
}


@pytest.mark.parametrize("name", MADE)
def test_what_this_version_makes_of_a_file(name: str, tmp_path: Path) -> None:
    import torch

    assert gguf_base.VERSION == 1
    model = random_network(name)
    for weights in model.parameters():
        weights.data = ((torch.arange(weights.numel()) % 251 - 125) / 256).view_as(weights)
    file = write(tmp_path / "given.gguf", model)
    location = locate(_model(file), tmp_path, 0)
    loaded, tokenizer = _loaded(location), load_tokenizer(_model(file), location.folder)
    weights = {key: sha256(value.numpy().tobytes()) for key, value in loaded.state_dict().items()}
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    ends = loaded.generation_config.eos_token_id
    found = digest(config_of(read_header(file)), weights, str(loaded.dtype), ids, tokenizer.chat_template, ends)
    assert found[:16] == MADE[name]


def test_tokenizer_and_template_come_with_the_file(files: Any, outputs_root: Path) -> None:
    """Of the tokenizer nothing more counts in a run's id; the template does, as it may be another's."""
    file = files("llama")
    model = _model(file, chat_template="own")
    location = locate(model, outputs_root, 0)
    own, read = gguf_models.tokenizer(), load_tokenizer(model, location.folder)
    assert read.chat_template == own.chat_template
    assert [read(text, add_special_tokens=False)["input_ids"] for text in TEXTS] == [
        own(text, add_special_tokens=False)["input_ids"] for text in TEXTS
    ]
    assert list(tokenizer_identity(model, location)) == ["chat template"]
    assert special_tokens(read_header(file)) == {
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"
    }  # fmt: skip


def _with(file: Path, **values: Any) -> Header:
    """The header of the file with other values; None takes one away."""
    header = read_header(file)
    changed = {**header.values, **{key.replace("__", "."): value for key, value in values.items()}}
    return replace(header, values={key: value for key, value in changed.items() if value is not None})


def test_what_the_header_says_of_attention(files: Any) -> None:
    """llama.cpp's defaults where it says nothing."""
    gemma = config_of(read_header(files("gemma3")))
    assert [i for i, kind in enumerate(gemma["layer_types"]) if kind == "full_attention"] == [5]
    assert gemma["query_pre_attn_scalar"] == 24
    assert gemma["rope_parameters"]["sliding_attention"] == {"rope_type": "default", "rope_theta": 10000.0}
    every = _with(files("gemma3"), gemma3__attention__sliding_window_pattern=2, gemma3__rope__freq_base_swa=500.0)
    other = config_of(every)
    assert [kind == "full_attention" for kind in other["layer_types"]] == [i % 2 == 1 for i in range(7)]
    assert other["rope_parameters"]["sliding_attention"]["rope_theta"] == 500.0
    large = config_of(_with(files("gemma3"), gemma3__block_count=62))
    assert large["query_pre_attn_scalar"] == 16, "the width over the heads, as in Gemma 3 27B"
    short = config_of(_with(files("yarn"), llama__rope__scaling__original_context_length=None))
    assert short["rope_parameters"]["original_max_position_embeddings"] == 512
    assert unread(_with(files("llama"), llama__attention__scale=0.5)) == ["llama.attention.scale"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split__count": 3, "split__no": 1}, r"is part 2 of 3\. Join them: llama-gguf-split --merge"),
        ({"general__type": "mmproj"}, r"sees pictures\. Give the file of its language model"),
        ({"general__architecture": "clip"}, r"sees pictures"),
        ({"general__type": "adapter"}, r"holds an adapter alone"),
        (
            {"general__architecture": "rwkv7"},
            r"architecture 'rwkv7'\. GGUF files are read of llama \| qwen2.*Give the folder",
        ),
        ({"llama__expert_count": 8}, r"has experts in a file of the architecture llama"),
        ({"llama__rope__dimension_count": 8}, r"positions in a part of each head"),
        ({"llama__attention__causal": False}, r"no causal attention"),
        ({"llama__attention__head_count": [4, 2]}, r"layers of different sizes \(attention\.head_count\)"),
        (
            {"llama__rope__scaling__type": "longrope", "llama__rope__scaling__factor": 2.0},
            r"scaling of the kind longrope",
        ),
        ({"llama__block_count": None}, r"lacks llama\.block_count"),
    ],
)
def test_what_is_no_base_model_is_refused(files: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of(_with(files("llama"), **values))


def test_factors_of_another_kind_are_refused(files: Any, tmp_path: Path) -> None:
    content = bytearray(files("llama 3").read_bytes())
    header = read_header(files("llama 3"))
    at = header.start + header.tensors["rope_freqs.weight"].offset + 4 * 40
    content[at : at + 4] = b"\0\0\x40\x40"  # 3.0
    (tmp_path / "other.gguf").write_bytes(content)
    with pytest.raises(UserError, match=r"rope_freqs\.weight\) that are not those of Llama 3"):
        config_of(read_header(tmp_path / "other.gguf"))


@pytest.mark.parametrize(
    ("keys", "values", "message"),
    [
        (
            {},
            {"tokenizer.ggml.pre": "deepseek-llm"},
            r"splits text in a way \(deepseek-llm\).*Set model\.tokenizer=<hub id",
        ),
        ({}, {"tokenizer.ggml.model": "bert"}, r"is of the kind bert.*Set model\.tokenizer="),
        ({"chat_template": "own"}, None, r"chat_template=own`, but the tokenizer.*has none"),
    ],
)
def test_a_tokenizer_that_cannot_be_read_is_refused_first(
    files: Any, tmp_path: Path, keys: dict[str, Any], values: dict[str, Any] | None, message: str
) -> None:
    """Before anything is dequantized; with another tokenizer the file will do."""
    drop = () if values else ("tokenizer.chat_template",)
    file = write(tmp_path / "one.gguf", random_network("llama"), drop, values)
    with pytest.raises(UserError, match=message):
        locate(_model(file, **keys), tmp_path, 0)
    assert not (tmp_path / "cache" / "models").exists()
    if values and "bert" not in values.values():
        location = locate(_model(file, tokenizer="bytes"), tmp_path, 0)
        assert location.folder is not None
        assert not (location.folder / "tokenizer.json").exists()


def test_a_file_without_end_token_and_without_template(tmp_path: Path) -> None:
    model, end = random_network("llama"), "tokenizer.ggml.eos_token_id"
    with pytest.raises(UserError, match="names no end token"):
        locate(_model(write(tmp_path / "endless.gguf", model, (end,))), tmp_path, 0)
    file = write(tmp_path / "plain.gguf", model, ("tokenizer.chat_template",))
    assert template_of(read_header(file)) is None
    assert "<|assistant|>" in load_tokenizer(_model(file), locate(_model(file), tmp_path, 0).folder).chat_template


def test_all_tokens_that_end_a_reply_are_kept(tmp_path: Path) -> None:
    keys = {"tokenizer.ggml.eot_token_id": 5, "tokenizer.ggml.eom_token_id": 6}
    location = locate(_model(write(tmp_path / "x.gguf", random_network("llama"), (), keys)), tmp_path, 0)
    assert _loaded(location).generation_config.eos_token_id == [2, 5, 6]


def test_weights_that_have_no_place_are_refused(files: Any, tmp_path: Path) -> None:
    """transformers leaves them out without a word, and draws at random what is missing."""
    from gguf import GGUFReader

    model = random_network("qwen2")
    model.config.model_type = "llama"  # biases, which Llama's files do not have in queries alone
    file = write(tmp_path / "biased.gguf", model)
    assert any(tensor.name == "blk.0.attn_q.bias" for tensor in GGUFReader(file).tensors)
    with pytest.raises(UserError, match=r"biased\.gguf holds [\d,]+ weights, and its network in transformers [\d,]+"):
        locate(_model(file), tmp_path, 0)


@pytest.mark.parametrize("part", [3, 20, 1000, -1])
def test_a_cut_off_file_is_refused(files: Any, tmp_path: Path, part: int) -> None:
    file = tmp_path / "cut.gguf"
    file.write_bytes(files("llama").read_bytes()[:part])
    with pytest.raises(
        UserError, match=r"cut\.gguf' is (cut off \(\d+ bytes\), or damaged|no GGUF file).*Download it again"
    ):
        sizes_of(_model(file))


def test_what_is_no_gguf_file(files: Any, tmp_path: Path) -> None:
    pointer = tmp_path / "pointer.gguf"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(UserError, match="git-lfs pointer"):
        sizes_of(_model(pointer))
    with pytest.raises(UserError, match=r"there is no such file"):
        sizes_of(_model(tmp_path / "nowhere.gguf"))
    with pytest.raises(UserError, match=r"there is no such file"):
        sizes_of(_model(Path("owner/name.gguf")))
    old = tmp_path / "old.gguf"
    old.write_bytes(b"GGUF\x01\0\0\0" + bytes(16))
    with pytest.raises(UserError, match="version 1, and only 2 and 3"):
        sizes_of(_model(old))
    strange = files("llama").read_bytes()
    header = read_header(files("llama"))
    name = b"output_norm.weight"
    at = strange.index(name) + len(name) + 4 + 8
    (tmp_path / "strange.gguf").write_bytes(strange[:at] + b"\xff\0\0\0" + strange[at + 4 :])
    assert header.tensors[name.decode()].kind == F32
    with pytest.raises(UserError, match=r"output_norm\.weight in strange\.gguf is of a type \(number 255\)"):
        sizes_of(_model(tmp_path / "strange.gguf"))


def test_a_folder_with_a_file_names_it(files: Any, tmp_path: Path) -> None:
    """Also Ollama's, whose files are called by what they hold; such a file is read as it is called."""
    blob = tmp_path / "ollama" / "blobs" / f"sha256-{'0' * 64}"
    blob.parent.mkdir(parents=True)
    shutil.copyfile(files("llama"), blob)
    (blob.parent / f"sha256-{'1' * 64}").write_text("{}")
    for folder in (tmp_path / "ollama", blob.parent):
        with pytest.raises(UserError, match=rf"has no config\.json\. It holds a GGUF file.*model\.path={blob}\."):
            locate(_model(folder), tmp_path, 0)
    assert locate(_model(blob), tmp_path, 0).identity.startswith(f"gguf:{blob.name}:")


def test_the_numbers_of_a_file_decide_how_its_folder_is_kept(files: Any) -> None:
    def header(*kinds: int) -> Header:
        return Header(Path(), {}, {str(i): Tensor((4, 4), kind, 0) for i, kind in enumerate(kinds)}, 0)

    assert dtype_of(read_header(files("llama"))) == "float32"
    assert dtype_of(header(F16, F16, F32)) == "float16"
    assert dtype_of(header(Q8_0, Q8_0, F32)) == "bfloat16"
    assert prod(Tensor((4, 4), F32, 0).shape) == 16


def test_the_command_line_takes_a_file() -> None:
    assert models_by_path(["model=x.gguf", "model=tiny"], []) == ["model.path=x.gguf", "model=tiny"]
    assert name_of("models/qwen-Q4_K_M.gguf") == "qwen-Q4_K_M"


def test_planning_reads_the_header_alone(files: Any, tmp_path: Path) -> None:
    """Nothing heavy is imported, nothing written; the template around the words is the file's own."""
    code = (
        "import sys; from edu_align.config.compose import compose; from omegaconf import OmegaConf; "
        "from edu_align.planning.plan import make_plan; "
        f"cfg = compose(['model={files('llama')}', 'trainer=dpo', 'hardware=t4', 'dataset.size=40', "
        f"'trainer.max_length=256', 'outputs_root={tmp_path}']); "
        "print(make_plan(OmegaConf.to_object(cfg)).describe()); "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("[]\n")
    assert "they are counted once a run has read the file" in done.stdout
    assert not (tmp_path / "cache" / "models").exists()


def test_digits_whole_tokens_and_spaces_are_put_back(files: Any) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def read(kind: str, pre: str, text: str, **more: Any) -> list[str]:
        words = {token: i for i, token in enumerate(["a", "b", "c", "ab", "abc", "1", "2", "12", "\u2581", "<s>"])}
        raw = Tokenizer(models.BPE(vocab=words, merges=[("a", "b"), ("1", "2")], fuse_unk=True))
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        fast = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="<s>")
        values = {f"tokenizer__ggml__{key}": value for key, value in {"model": kind, "pre": pre, **more}.items()}
        return put_back(fast, _with(files("llama"), **values)).tokenize(text)

    assert read("gpt2", "gpt-2", "12") == ["12"]
    assert read("gpt2", "smollm", "12") == ["1", "2"]
    assert read("gpt2", "gpt-2", "abc") == ["ab", "c"]
    assert read("gpt2", "llama-bpe", "abc") == ["abc"]
    assert read("llama", "default", "ab") == ["\u2581", "ab"]
    assert read("llama", "default", "ab", add_space_prefix=False) == ["ab"]


# What llama.cpp itself says of the same files.


def _llama_cpp() -> None:
    if interpreter() is None:
        pytest.skip(f"llama.cpp's bindings are not here: pip install xllamacpp, or set {VARIABLE}=<a python with it>")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_llama_cpp_gives_the_same_probabilities(files: Any, outputs_root: Path, name: str) -> None:
    """Gemma's activation is looked up in float16 by llama.cpp, which is what is left of its difference."""
    import torch

    _llama_cpp()
    ids = _ids(40)
    theirs = torch.tensor(ask(files(name), threads=1, ids=ids, words=WORDS))
    ours = _logps(_loaded(locate(_model(files(name)), outputs_root, 0)), ids)[:-1]
    assert (ours - theirs).abs().max() < (0.01 if name == "gemma3" else 3e-4)


@pytest.fixture
def small() -> Path:
    """The smallest file in the folder EDU_ALIGN_GGUF."""
    found = sorted(
        Path(os.environ.get("EDU_ALIGN_GGUF", "nowhere")).glob("*.gguf"), key=lambda file: file.stat().st_size
    )
    if not found:
        pytest.skip("EDU_ALIGN_GGUF names no folder with .gguf files")
    return found[0]


@pytest.mark.slow
def test_a_real_file_is_read_as_llama_cpp_reads_it(small: Path, outputs_root: Path) -> None:
    """Tokens alike, and each token's log-probability within what 8-bit activations do."""
    import torch

    _llama_cpp()
    model = _model(small)
    location = locate(model, outputs_root, 0)
    tokenizer = load_tokenizer(model, location.folder)
    read = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    assert ask(small, texts=list(TEXTS)) == read
    ids = read[0]
    theirs = torch.tensor(ask(small, ids=ids, words=model_rows(location), given=True))
    loaded = _loaded(location).float()
    ours = _logps(loaded, ids)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    assert (ours - theirs).abs().mean() < 0.1
    assert (ours - theirs).abs().max() < 0.5


def model_rows(location: Location) -> int:
    assert location.folder is not None
    rows: int = json.loads((location.folder / "config.json").read_text())["vocab_size"]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pieces", "gpt-2", "smollm"])
def test_llama_cpp_reads_the_same_tokens(
    random_model: Any,
    byte_level: Any,  # noqa: F811
    pieces: Any,  # noqa: F811
    tmp_path: Path,
    kind: str,
) -> None:
    """SentencePiece's pieces with a space before a text, and byte-level tokenizers with merges."""
    from tokenizers import pre_tokenizers

    from edu_align.exporting.gguf import write_gguf

    _llama_cpp()
    digits = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer = (
        pieces if kind == "pieces" else byte_level(pre_tokenizers.Sequence(digits) if kind == "smollm" else None)
    )
    random_model("llama", vocab_size=400).save_pretrained(tmp_path / "model")
    file = tmp_path / "model.gguf"
    write_gguf(tmp_path / "model", tokenizer, file, "f32", "x")
    read = load_tokenizer(_model(file), locate(_model(file), tmp_path, 0).folder)
    assert ask(file, texts=list(TEXTS)) == [read(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
