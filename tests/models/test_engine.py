"""The engine writes what transformers' `generate` writes, whatever enters, ends and waits beside it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from edu_align.config.schema import GenerationConfig
from edu_align.models import engine as engine_module
from edu_align.models.answers import answer, replies
from edu_align.models.chat_template import IGNORED
from edu_align.models.engine import Engine, Score, Token, writes_exactly
from edu_align.models.generation import BATCH_TOKENS, _next_batch
from edu_align.models.queue import Work
from edu_align.models.reply_end import end_tokens
from edu_align.models.scoring import label_logps
from edu_align.packing.budget import REPLIES, reply_memory
from tests.networks import SHAPE, network

FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "gemma3_text", "phi3", "smollm3", "olmo2", "granite"]
NEW = 12
ENDS = (SHAPE["eos_token_id"],)


def prompts_of(many: int, seed: int = 0, vocabulary: int = 90) -> list[list[int]]:
    """Prompts of different lengths, of which some begin alike."""
    draw = torch.Generator().manual_seed(seed)
    shared = torch.randint(5, vocabulary, (11,), generator=draw).tolist()
    own = [torch.randint(5, vocabulary, (3 + 5 * (i % 4),), generator=draw).tolist() for i in range(many)]
    return [shared * (i % 3 == 0) + ids for i, ids in enumerate(own)]


def by_engine(
    model: Any, prompts: list[list[int]], ends: tuple[int, ...] = ENDS, memory: int = REPLIES, **settings: Any
) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in prompts]
    over = []
    for number, token in Engine(model, GenerationConfig(max_new_tokens=NEW, **settings), ends, memory).write(prompts):
        if token is None:
            over.append(number)
        else:
            assert number not in over
            found[number].append(token)
    assert sorted(over) == list(range(len(prompts)))
    return found


def alone(model: Any, prompt: list[int], ends: tuple[int, ...] = ENDS) -> list[int]:
    """What transformers writes after this prompt, up to an end."""
    with torch.no_grad():
        ids = model.generate(
            torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, eos_token_id=list(ends), pad_token_id=0
        )[0, len(prompt) :].tolist()
    return ids[:-1] if ids[-1] in ends else ids


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("rows", [3, 64])
def test_replies_are_those_of_transformers(kind: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few rows prompts wait for those that end; with many all are written at once."""
    monkeypatch.setattr(engine_module, "ROWS", rows)
    monkeypatch.setattr(engine_module, "PASS_TOKENS", 40)
    monkeypatch.setattr(engine_module, "LENGTHS", 8)  # so that slots grow on the way
    model, prompts = network(kind), prompts_of(10)
    likely = torch.tensor([token for prompt in prompts for token in alone(model, prompt)]).mode().values.item()
    ends = (*ENDS, int(likely))  # so that replies end at different times
    expected = [alone(model, prompt, ends) for prompt in prompts]
    assert len({len(reply) for reply in expected}) > 1
    assert by_engine(model, prompts, ends) == expected


def test_memory_bounds_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompts = network("llama"), prompts_of(8)
    together = by_engine(model, prompts)
    longest = max(map(len, prompts)) + NEW
    a_row = longest * 2 * 4 * 2 * 8 * 4  # keys and values, layers, key heads, units a head, bytes
    room = 2 * a_row + 1
    monkeypatch.setattr(engine_module, "LENGTHS", 1)  # shorter ones get as much as they need
    seen: list[int] = []
    original = engine_module.Memory.begin_step

    def counted(memory: Any, lengths: list[int]) -> None:
        seen.append(len(lengths))
        original(memory, lengths)

    monkeypatch.setattr(engine_module.Memory, "begin_step", counted)
    sizes: list[tuple[int, int]] = []
    resize = engine_module.Memory.resize

    def noted(memory: Any, slots: int, length: int, kept: int) -> None:
        sizes.append((slots, length))
        resize(memory, slots, length, kept)

    monkeypatch.setattr(engine_module.Memory, "resize", noted)
    assert by_engine(model, prompts, memory=room) == together
    assert seen[-1] <= 2
    assert max(seen) > 2  # of the short ones
    allocated = [rows * length for rows, length in sizes]
    assert max(allocated) <= 2 * longest


@pytest.mark.parametrize("kind", ["llama", "gemma3_text", "granite"])
@pytest.mark.parametrize("pass_tokens", [1, 30, 4096])
def test_rows_are_scored_beside_the_replies(kind: str, pass_tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are those of each row alone, and replies those without rows beside them, wherever passes are cut."""
    monkeypatch.setattr(engine_module, "PASS_TOKENS", pass_tokens)
    monkeypatch.setattr(engine_module, "ROWS", 3)
    model, prompts = network(kind), prompts_of(7)
    rows = [
        (prompt + reply, [IGNORED] * len(prompt) + reply) for prompt in prompts for reply in ([7, 9, 11], [7, 9, 3])
    ]
    rows += [([5, 6, 7], [IGNORED, 6, 7]), (prompts[0], [IGNORED] * len(prompts[0]))]
    work = [Work(i, ids, labels) for i, (ids, labels) in enumerate(rows)]
    work += [Work(len(rows) + i, prompt) for i, prompt in enumerate(prompts)]
    events = list(Engine(model, GenerationConfig(max_new_tokens=NEW), ENDS).run(work))
    scores = {event.number: event for event in events if isinstance(event, Score)}
    written = [[] for _ in prompts]
    for event in events:
        if isinstance(event, Token) and event.token is not None:
            written[event.number - len(rows)].append(event.token)
    assert written == by_engine(model, prompts)
    for i, (ids, labels) in enumerate(rows):
        ((logp, tokens),) = label_logps(model, [(ids, labels)], 0)
        assert (scores[i].logp, scores[i].tokens) == (pytest.approx(logp, abs=2e-5), tokens)


def test_what_rows_have_in_common_is_computed_once() -> None:
    """Of a dialogue whose replies are scored nothing is read again to be answered, and a label is asked once."""
    model, prompt = network("llama"), list(range(5, 35))
    rows = [(prompt + reply, [IGNORED] * len(prompt) + reply) for reply in ([7, 9, 11, 4], [7, 9, 3, 4])]
    engine = Engine(model, GenerationConfig(max_new_tokens=2), ENDS)
    seen: list[int] = []
    forward = engine.forward
    engine.forward = lambda **given: (seen.append(given["input_ids"].shape[1]), forward(**given))[1]
    asked: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        logps = engine_module.label_logps
        patch.setattr(engine_module, "label_logps", lambda *given: (asked.append(len(given[2])), logps(*given))[1])
        list(engine.run([Work(0, *rows[0]), Work(1, *rows[1]), Work(2, prompt)]))
    assert seen[0] == len(prompt) + 4 + 2
    assert asked == [2 + 2 + 2]  # 7 and 9 once, then two replies' ends


def test_replies_get_an_eighth_of_the_memory_that_is_known() -> None:
    assert reply_memory(None) == reply_memory(64.0) == REPLIES == 2**30
    assert reply_memory(4.0) == 2**29


def test_an_adapter_is_written_with_where_it_is_on() -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = get_peft_model(
        network("qwen2"), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    ).eval()
    prompts = prompts_of(4)
    with model.disable_adapter():
        base = by_engine(model, prompts)
    assert base == by_engine(network("qwen2"), prompts)
    adapted = by_engine(model, prompts)
    assert adapted != base
    assert adapted == [alone(model, prompt) for prompt in prompts]


def test_a_repetition_penalty_is_that_of_transformers() -> None:
    model, prompts = network("llama"), prompts_of(5)
    found = by_engine(model, prompts, repetition_penalty=1.7)
    assert found != by_engine(model, prompts)
    for prompt, reply in zip(prompts, found, strict=True):
        with torch.no_grad():
            ids = model.generate(
                torch.tensor([prompt]), max_new_tokens=NEW, do_sample=False, repetition_penalty=1.7, pad_token_id=0
            )[0, len(prompt) :].tolist()
        assert reply == (ids[:-1] if ids[-1] in ENDS else ids)


def test_tokens_are_drawn_as_often_as_the_settings_say() -> None:
    """Over many drawn first tokens the shares are those of the softmax that transformers would draw from."""
    model, prompt = network("llama"), prompts_of(1)[0]
    settings = GenerationConfig(max_new_tokens=1, temperature=0.8, top_k=4, top_p=0.9)
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1] / 0.8
    best = logits.topk(4)
    shares = torch.softmax(best.values, 0)
    shares = shares[: int((shares.cumsum(0) < 0.9).sum()) + 1]
    torch.manual_seed(0)
    drawn = [token for _, token in Engine(model, settings, ENDS).write([prompt] * 3000) if token is not None]
    for token, share in zip(best.indices.tolist(), (shares / shares.sum()).tolist(), strict=False):
        assert drawn.count(token) / 3000 == pytest.approx(share, abs=0.04)
    assert set(drawn) <= set(best.indices[: len(shares)].tolist())


def test_closing_it_stops_the_work() -> None:
    model = network("llama")
    writing = Engine(model, GenerationConfig(max_new_tokens=NEW), ENDS)
    calls: list[int] = []
    original = writing.forward
    writing.forward = lambda **given: (calls.append(1), original(**given))[1]
    tokens = writing.write(prompts_of(2))
    next(tokens)
    tokens.close()
    assert len(calls) == 1


def test_what_is_not_packed_is_written_by_transformers(bytes_tokenizer: Any, random_model: Callable[..., Any]) -> None:
    from edu_align.records import Message

    model = network("llama")
    assert writes_exactly(model)
    other = network("llama dynamic")
    assert not writes_exactly(other)
    tiny = random_model("llama").eval()
    asked = [(Message("user", "x" * length),) for length in (9, 2, 5)]
    settings = GenerationConfig(max_new_tokens=5)
    engine = replies(tiny, bytes_tokenizer, asked, settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edu_align.models.answers.writes_exactly", lambda model: False)
        assert replies(tiny, bytes_tokenizer, asked, settings) == engine


def test_batches_of_transformers_are_bounded() -> None:
    lengths = [10, 20, BATCH_TOKENS * 2]
    assert _next_batch([0, 1, 2], lengths, 5) == [0, 1]
    assert _next_batch([2], lengths, 5) == [2]


@pytest.mark.parametrize("packed", [True, False])
def test_a_reply_keeps_the_token_that_ended_it_where_that_is_asked(
    bytes_tokenizer: Any, random_model: Callable[..., Any], packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the engine and by transformers; one that grew too long was ended by none."""
    model, prompts = random_model(vocab_size=264), prompts_of(8)
    if not packed:
        monkeypatch.setattr("edu_align.models.answers.writes_exactly", lambda model: False)
    settings = GenerationConfig(max_new_tokens=NEW)
    plain = answer(model, bytes_tokenizer, [], prompts, settings).replies
    likely = torch.tensor([token for reply in plain for token in reply]).mode().values.item()
    model.generation_config.eos_token_id = int(likely)
    ends = end_tokens(model, bytes_tokenizer)
    without = answer(model, bytes_tokenizer, [], prompts, settings).replies
    kept = answer(model, bytes_tokenizer, [], prompts, settings, ends=True).replies
    for short, whole in zip(without, kept, strict=True):
        assert whole[: len(short)] == short
        assert len(whole) == NEW if len(short) == NEW else whole[len(short) :] in [[end] for end in ends]
    assert len({len(reply) for reply in without}) > 1
