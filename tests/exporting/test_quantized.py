"""Exports in few bits: what is written here, what llama-quantize writes, and how far each is from the tutor."""

import json
import math
import os
import re
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edu_align.config.schema import BLOCK_TYPES
from edu_align.exporting import gguf, llama_cpp
from edu_align.exporting.checks import Tutor, load_gguf, longest, metadata, types_in
from edu_align.exporting.distance import DIVERGENCE, Distance, distance, read, require_near, reread
from edu_align.exporting.llama_cpp import find_quantizer, quantize
from edu_align.utils.errors import UserError
from tests.exporting.conftest import Make, Runs, Say

FEW_BITS = [kind for kind in BLOCK_TYPES if kind != "q8_0"]
FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9}  # as llama.cpp numbers them in general.file_type
# A Python that has llama.cpp (pip install xllamacpp), and llama.cpp's own llama-quantize.
LLAMA = os.environ.get("EDU_ALIGN_LLAMA_CPP") or (sys.executable if find_spec("xllamacpp") else None)
QUANTIZE = os.environ.get("EDU_ALIGN_LLAMA_QUANTIZE")


@pytest.fixture
def small(random_model: Make, byte_level: Make, tmp_path: Path) -> Make:
    """`small("q4_0")`: the GGUF of a random model with larger weights, the model and its tokenizer."""
    import torch

    def build(kind: str, **shape: Any) -> tuple[Path, Any, Any]:
        model, tokenizer = random_model("llama", vocab_size=400, **shape).eval(), byte_level()
        torch.manual_seed(1)
        for parameter in model.parameters():
            parameter.data += torch.randn_like(parameter) * (0.3 if parameter.dim() == 1 else 0.1)
        model.save_pretrained(tmp_path / "model")
        gguf.write_gguf(tmp_path / "model", tokenizer, tmp_path / f"{kind}.gguf", kind, "a tutor")
        return tmp_path / f"{kind}.gguf", model, tokenizer

    return build


@pytest.mark.parametrize("kind", FEW_BITS)
def test_few_bits_are_read_back_near_the_tutor(small: Make, kind: str) -> None:
    file, model, tokenizer = small(kind)
    found = distance(read(model, tokenizer, None), load_gguf(file, "float32")[0])
    assert 1e-6 < found.divergence < DIVERGENCE[kind]
    assert found.tokens > 400
    assert metadata(file, "general.file_type") == {"general.file_type": FILE_TYPES[kind]}


def test_a_wrong_order_of_rows_moves_more_than_few_bits_do(small: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    file, model, tokenizer = small("q4_0")
    expected = read(model, tokenizer, None)
    right = distance(expected, load_gguf(file, "float32")[0])
    monkeypatch.setattr("edu_align.exporting.gguf.interleaved", lambda weights, heads: weights)
    wrong = distance(expected, load_gguf(small("q4_0")[0], "float32")[0])
    assert wrong.divergence > 2 * right.divergence


def test_the_head_keeps_8_bits_and_rows_that_blocks_do_not_fit_16(small: Make) -> None:
    from gguf import GGUFReader

    def types(file: Path) -> dict[str, str]:
        return {each.name: each.tensor_type.name for each in GGUFReader(file).tensors}

    tied, untied = types(small("q4_0")[0]), types(small("q4_0", tie_word_embeddings=False)[0])
    assert (tied["token_embd.weight"], tied["blk.0.ffn_up.weight"]) == ("Q8_0", "Q4_0")
    assert (untied["token_embd.weight"], untied["output.weight"]) == ("Q4_0", "Q8_0")
    assert {tied[name] for name in tied if "norm" in name} == {"F32"}
    odd = small("q4_0", intermediate_size=72)[0]
    assert types(odd)["blk.0.ffn_down.weight"] == "F16"
    assert types_in(odd).startswith("12 q4_0, 2 f16, 1 q8_0")


def test_the_distance_is_that_of_the_formula(small: Make) -> None:
    """Of one dialogue, by hand: mean over positions of sum p (log p - log q), and exp of minus the mean log q."""
    import torch

    file, model, tokenizer = small("q4_0")
    other = load_gguf(file, "float32")[0]
    reading = read(model, tokenizer, None)
    one = type(reading)(reading.ids[:1], reading.logps[:1])
    found = distance(one, other)
    ids = torch.tensor(reading.ids[:1])
    with torch.no_grad():
        p, q = (each(ids).logits[0, :-1].double().log_softmax(-1) for each in (model, other))
    by_hand = torch.nn.functional.kl_div(q, p, log_target=True, reduction="batchmean").item()
    assert found.divergence == pytest.approx(by_hand, rel=1e-3)
    assert found.same == pytest.approx((p.argmax(-1) == q.argmax(-1)).double().mean().item())
    for perplexity, logs in ((found.expected, p), (found.found, q)):
        picked = logs.gather(1, ids[0, 1:, None]).mean().item()
        assert perplexity == pytest.approx(math.exp(-picked), rel=1e-4)
    assert distance(one, model) == Distance(0.0, 1.0, found.expected, found.expected, found.tokens)


@pytest.mark.parametrize("divergence", [math.nan, 99.0])
def test_what_is_too_far_is_refused(divergence: float) -> None:
    found = Distance(divergence, 0.1, 2.0, 90.0, 400)
    with pytest.raises(UserError, match=r"a\.gguf was loaded back and does not say .* Try export\.gguf=q8_0"):
        require_near(found, "q4_0", "a.gguf")


def test_the_export_says_what_few_bits_did(ok: Say, runs: Runs, tmp_path: Path) -> None:
    runs("sft")
    out = ok("run=sft", f"output={tmp_path / 'out'}", "export.gguf=q4_0")
    line = next(line for line in out.splitlines() if "GGUF (q4_0: " in line)
    assert "a mean KL divergence of " in line
    assert "nats a token from the tutor, the likeliest next token the same for " in line
    assert f"tolerance {DIVERGENCE['q4_0']:g} nats." in line
    assert line.removeprefix("edu_align: ") in (tmp_path / "out" / "README.md").read_text()
    assert longest(tmp_path / "out" / "gguf" / "sft-q4_0.gguf") == 2048
    assert "\nPARAMETER num_ctx 2048\n" in (tmp_path / "out" / "gguf" / "Modelfile").read_text()


def test_training_that_rounding_took_back_is_said(small: Make) -> None:
    """The file is made of one model. The base is that one or the tutor is, and the other has other weights."""
    import copy

    import torch

    file, model, tokenizer = small("q4_0")
    other = copy.deepcopy(model)
    torch.manual_seed(2)
    for parameter in other.parameters():
        parameter.data += torch.randn_like(parameter) * 0.05
    this, that = (read(each, tokenizer, None) for each in (model, other))
    found = reread(this.ids, load_gguf(file, "float32")[0])
    nothing: Any = None
    taken, kept = (
        Tutor(nothing, tokenizer, nothing, tutor, base=base)._few_bits(file, "q4_0", found)
        for tutor, base in ((that, this), (this, that))
    )
    assert re.search(
        r"nats\. It is nearer to the base \(0\.0\d+\): rounding took the training back\. Use export\.", taken
    )
    assert "nearer to the base" not in kept


STAND_IN = """#!{python}
# Stands in for llama-quantize in its command line alone: it copies the file.
import shutil, sys
from importlib.util import find_spec
from pathlib import Path
whole, file, kind = sys.argv[1:]
Path({told!r}).write_text(kind + " " + Path(whole).name)
{fails}
shutil.copyfile(whole, file)
"""


def stand_in(folder: Path, fails: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / "llama-quantize"
    program.write_text(STAND_IN.format(python=sys.executable, told=str(folder / "told"), fails=fails))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_the_quantizer_is_called_on_a_whole_file_that_is_then_removed(ok: Say, runs: Runs, tmp_path: Path) -> None:
    runs("sft")
    program = stand_in(tmp_path / "bin")
    out = ok("run=sft", f"output={tmp_path / 'out'}", "export.gguf=q4_k_m", f"export.quantizer={program.parent}")
    assert (tmp_path / "bin" / "told").read_text() == "Q4_K_M whole.gguf"
    assert "GGUF (q4_k_m: 15 f32), loaded back" in out  # the stand-in changed nothing
    assert {path.name for path in (tmp_path / "out" / "gguf").iterdir()} == {"Modelfile", "sft-q4_k_m.gguf"}
    assert json.loads((tmp_path / "out" / "export.json").read_text())["settings"]["quantizer"] == "bin"


def test_a_quantizer_that_fails_is_one_line_and_nothing_is_kept(refused: Say, runs: Runs, tmp_path: Path) -> None:
    runs("sft")
    program = stand_in(tmp_path / "bin", "print('error: invalid ftype'); print('bye'); raise SystemExit(3)")
    err = refused("run=sft", f"output={tmp_path / 'out'}", "export.gguf=q6_k", f"export.quantizer={program}")
    assert "llama-quantize ended with code 3 and wrote no q6_k: error: invalid ftype. Give a llama-quantize" in err
    assert not (tmp_path / "out").exists()


def test_what_is_no_quantizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = stand_in(tmp_path / "bin")
    whole = tmp_path / "whole.gguf"
    whole.write_bytes(b"x")
    program.chmod(0o644)
    with pytest.raises(UserError, match=r"llama-quantize cannot be executed \(chmod \+x\)"):
        find_quantizer(str(program.parent))
    with pytest.raises(UserError, match=r"there is no program .*nowhere"):
        find_quantizer(str(tmp_path / "nowhere"))
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    with pytest.raises(UserError, match=r"cannot be run \(Exec format error\)"):
        quantize(find_quantizer(str(program)), whole, tmp_path / "out.gguf", "q4_0")
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_quantizer("llama-quantize") == program
    monkeypatch.setattr(llama_cpp, "PATIENCE", 0.3)
    slow = stand_in(tmp_path / "slow", "import time; time.sleep(60)")
    with pytest.raises(UserError, match=r"was not done after 0 s and was ended"):
        quantize(slow, whole, tmp_path / "out.gguf", "q4_0")
    monkeypatch.setattr(llama_cpp, "PATIENCE", 60.0)
    silent = stand_in(tmp_path / "silent", "raise SystemExit(0)")
    with pytest.raises(UserError, match=r"code 0 and wrote no q4_0: it said nothing"):
        quantize(silent, whole, tmp_path / "out.gguf", "q4_0")


@pytest.mark.slow
@pytest.mark.skipif(QUANTIZE is None, reason="EDU_ALIGN_LLAMA_QUANTIZE names no llama-quantize")
def test_a_real_llama_quantize(ok: Say, small: Make, runs: Runs, tmp_path: Path) -> None:
    """An export by it, its own words where it fails, and its blocks, which are ours: bit for bit at writing."""
    from gguf import GGUFReader

    runs("sft")
    out = ok("run=sft", f"output={tmp_path / 'out'}", "export.gguf=q4_k_m", f"export.quantizer={QUANTIZE}")
    assert "GGUF (q4_k_m: " in out
    program, kinds = find_quantizer(str(QUANTIZE)), ("q4_0", "q4_1", "q5_0", "q5_1")
    for kind in kinds:
        ours, whole, theirs = small(kind)[0], small("f32")[0], tmp_path / "theirs.gguf"
        quantize(program, whole, theirs, kind)
        found, expected = ({each.name: each for each in GGUFReader(file).tensors} for file in (ours, theirs))
        assert {name: each.tensor_type for name, each in found.items()} == {
            name: each.tensor_type for name, each in expected.items()
        }
        assert min(float((found[name].data == expected[name].data).mean()) for name in found) > 0.99
    with pytest.raises(UserError, match=r"wrote no q5_0: requantizing from type q4_0 is disabled\. Give a llama-qua"):
        quantize(program, small("q4_0")[0], tmp_path / "again.gguf", "q5_0")


@pytest.fixture(scope="module")
def on_nf4(train: Make, mistral_folder: Path) -> str:
    """The name of a run whose adapter was trained on a base in 4 bits."""
    pytest.importorskip("bitsandbytes")
    places = [f"model.path={mistral_folder}", "model.weights=pretrained", "model.tokenizer=null"]
    train("trainer=sft", "run_name=on_nf4", "hardware.quantization=nf4", "evaluation.enabled=false", *places)
    return "on_nf4"


def test_an_adapter_of_a_4_bit_base_says_how_far_the_merged_model_is(ok: Say, on_nf4: str, tmp_path: Path) -> None:
    out = ok(f"run={on_nf4}", f"output={tmp_path / 'out'}")
    line = next(line for line in out.splitlines() if "trained on a base in nf4" in line)
    assert "and is merged into the whole one. The merged model has a mean KL divergence of " in line
    assert "nats a token from the tutor on the nf4 base" in line
    assert "; the adapter itself moved " in line
    card = (tmp_path / "out" / "README.md").read_text()
    assert line.removeprefix("edu_align: ") in card
    assert "On whole weights its replies\nand its scores differ as the checks above say." in card


def test_the_distance_to_the_4_bit_base_is_measured_on_that_base(on_nf4: str, outputs: Path) -> None:
    """The tutor that is read has weights in 4 bits, and the same adapter."""
    from edu_align.exporting.merge import load_trained, load_tutor
    from edu_align.exporting.subject import find_weights
    from edu_align.runs.finished import run_config

    run, config = run_config(on_nf4, {}, str(outputs))
    subject = find_weights(run, config)
    trained, (whole, tokenizer) = load_trained(subject), load_tutor(subject)
    kinds = {type(module.base_layer).__name__ for name, module in trained.named_modules() if name.endswith("q_proj")}
    assert kinds == {"Linear4bit"}
    found = distance(read(trained, tokenizer, None), whole)
    assert 1e-6 < found.divergence < 1.0


def test_without_bitsandbytes_the_export_goes_on_and_says_so(
    ok: Say, on_nf4: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(subject: Any) -> Any:
        raise ImportError("No module named bitsandbytes")

    monkeypatch.setattr("edu_align.exporting.checks.load_trained", fails)
    out = ok(f"run={on_nf4}", f"output={tmp_path / 'out'}")
    assert "that tutor was not measured: No module named bitsandbytes." in out


SERVED = """
import json, sys
import xllamacpp
file, prompts = sys.argv[1], json.loads(sys.argv[2])
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_gpu_layers, params.n_parallel, params.warmup = file, 512, 0, 1, False
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
asked = [{"prompt": prompt, "max_tokens": 1, "n_probs": 400, "temperature": 0.0} for prompt in prompts]
answers = [server.handle_completions(each)["choices"][0]["logprobs"]["content"][0] for each in asked]
print("ANSWERS", json.dumps([{each["id"]: each["logprob"] for each in one["top_logprobs"]} for one in answers]))
"""


@pytest.mark.slow
@pytest.mark.skipif(LLAMA is None, reason="EDU_ALIGN_LLAMA_CPP names no Python that has xllamacpp")
@pytest.mark.parametrize("kind", ["f32", *BLOCK_TYPES])
def test_llama_cpp_says_what_transformers_reads(small: Make, kind: str) -> None:
    """Every next-token distribution over the whole vocabulary.

    llama.cpp keeps keys and values in 16 bits, and rounds to 8 what a matrix in blocks is multiplied with: at most
    0.0002 and 0.006 of a probability moved when this was written, and rounding to q4_0 itself moved 0.056.
    """
    import torch

    file, _, tokenizer = small(kind)
    ids = tokenizer("What is 3/4 + 1/4? Show me how you add them.", add_special_tokens=False)["input_ids"]
    prompts = [ids[:length] for length in range(4, len(ids), 3)]
    command = [str(LLAMA), "-c", SERVED, str(file), json.dumps(prompts)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    answers = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("ANSWERS"))[8:])
    read_back = load_gguf(file, "float32")[0]
    moved = []
    for prompt, answer in zip(prompts, answers, strict=True):
        assert len(answer) == 400
        served = torch.tensor([answer[str(index)] for index in range(400)]).exp()
        with torch.no_grad():
            found = read_back(torch.tensor([prompt])).logits[0, -1].softmax(-1)
        moved.append(float((served - found).abs().sum() / 2))
    assert max(moved) < (1e-3 if kind == "f32" else 0.02)


def test_every_type_has_one_tolerance() -> None:
    from edu_align.config.schema import GGUF_TYPES
    from edu_align.exporting.checks import TOLERANCE

    assert sorted([*(kind for kind in TOLERANCE if kind in GGUF_TYPES), *DIVERGENCE]) == sorted(GGUF_TYPES)
