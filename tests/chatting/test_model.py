"""Who answers: adapters on and off on one base, fully trained models, bases that do not fit, and dialogues that do."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edu_align.chatting.model import ChatModel, TooLong, fit, load, stream
from edu_align.chatting.source import model_source, run_source
from edu_align.models.answers import replies
from edu_align.models.chat_template import chat_ids
from edu_align.records import Message
from edu_align.utils.errors import UserError

PROMPT = (Message("user", "What is 3/4 + 1/4? I think 4/8."),)


def logits(chat_model: ChatModel) -> Any:
    """What the chat_model thinks of the next token, (V,)."""
    ids = chat_ids(chat_model.tokenizer, PROMPT, reply_next=True)
    with chat_model.activated() as model, torch.no_grad():
        return model(torch.tensor([ids])).logits[0, -1]


def base_of(path: Path | None) -> ChatModel:
    """The tiny base model alone: the one in the folder, or the random one."""
    words = {"model": "tiny", "hardware": "cpu", "hardware.dtype": "float32"}
    folder = {"model.path": str(path), "model.weights": "pretrained"} if path else {}
    return load([model_source(words | folder, None)])[0]


def test_the_base_is_the_same_model_with_the_adapter_off(pair: list[ChatModel], parrot: Path) -> None:
    base, tutor = pair
    assert base.model is tutor.model
    assert (base.label, tutor.label) == ("base", "talker")
    assert base.base.startswith("folder:model:")
    untrained = base_of(parrot)
    for _ in range(2):  # switching back and forth changes nothing
        assert torch.allclose(logits(base), logits(untrained), atol=1e-5)  # an adapted model's norms round otherwise
        assert not torch.allclose(logits(tutor), logits(base), atol=1e-3)


def test_two_tutors_share_a_base_and_keep_their_adapters(tutor_source: Callable[..., Any]) -> None:
    sft, dpo = load([tutor_source("sft"), tutor_source("dpo")])
    assert sft.model is dpo.model
    assert torch.equal(logits(sft), logits(load([tutor_source("sft")])[0]))
    assert torch.equal(logits(dpo), logits(load([tutor_source("dpo")])[0]))
    assert not torch.allclose(logits(sft), logits(dpo), atol=1e-5)


def test_tutors_of_two_bases_share_nothing(pair: list[ChatModel], tutor_source: Callable[..., Any]) -> None:
    sft, talker = load([tutor_source("sft"), tutor_source("talker")])
    assert sft.model is not talker.model
    assert torch.equal(logits(talker), logits(pair[1]))


def test_a_fully_trained_model_stands_beside_its_base(tutor_source: Callable[..., Any]) -> None:
    base, tutor = load([tutor_source("sft_full")], with_base=True)
    assert base.model is not tutor.model
    assert torch.equal(logits(base), logits(base_of(None)))
    assert not torch.allclose(logits(tutor), logits(base), atol=1e-5)


@pytest.fixture
def copy(runs: Callable[[str], Any], tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs("sft").path, tmp_path / "copied"))


def test_another_base_is_refused(copy: Path) -> None:
    record = json.loads((copy / "run.json").read_text())
    for changed, message in (
        ({"base_model": "folder:a:01"}, r"run=.*copied`: that run was trained on folder:a:01, and .*random:tiny"),
        ({"state": "failed"}, r"that run is 'failed', not finished"),
    ):
        (copy / "run.json").write_text(json.dumps(record | changed))
        with pytest.raises(UserError, match=message):
            run_source(str(copy), {}, None)


def test_a_run_whose_data_is_gone_still_answers(copy: Path) -> None:
    config = copy / "config.yaml"
    text = config.read_text().replace("data_root: null", "data_root: /nowhere/data")
    config.write_text(text.replace("- edu_tutor", "- local").replace("path: null", "path: gone.jsonl"))
    assert "gone.jsonl" in config.read_text()
    assert run_source(str(copy), {"model.path": "null"}, None, accept=True).label == "copied"


def test_another_machine_takes_another_preset(tutor_source: Callable[..., Any]) -> None:
    source = tutor_source("sft", hardware="cpu", hardware__threads="1")
    assert (source.config.hardware.eval_batch_size, source.config.hardware.dtype) == (32, "auto")
    assert source.config.hardware.threads == 1
    with pytest.raises(UserError, match=r"`hardware=t44` is not an option"):
        tutor_source("sft", hardware="t44")


def test_pieces_are_the_reply_and_come_one_by_one(pair: list[ChatModel]) -> None:
    for chat_model in pair:
        pieces = list(stream(chat_model, PROMPT))
        with chat_model.activated() as model:
            (whole,) = replies(model, chat_model.tokenizer, [PROMPT], chat_model.settings)
        assert "".join(pieces).strip() == whole != ""
    assert len(pieces) > 1


def test_a_closed_stream_stops_the_model(pair: list[ChatModel]) -> None:
    chat_model = replace(pair[0], settings=replace(pair[0].settings, max_new_tokens=1000))
    calls = []
    handle = chat_model.model.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        pieces = stream(chat_model, PROMPT)
        next(pieces)
        pieces.close()
        ended = len(calls)
        assert chat_model.lock.acquire(timeout=5)  # nobody is speaking any more
        chat_model.lock.release()
    finally:
        handle.remove()
    assert ended == len(calls) < 900


def test_what_the_model_raises_is_raised(pair: list[ChatModel]) -> None:
    broken = replace(pair[0], settings=replace(pair[0].settings, repetition_penalty=-1.0))
    with pytest.raises(ValueError, match="penalty"):
        list(stream(broken, PROMPT))


def test_old_turns_are_left_out_first(bytes_tokenizer: Any) -> None:
    turns = [Message(role, f"{role[0]}{i} " * 5) for i in range(4) for role in ("user", "assistant")]
    turns = [Message("system", "Be kind."), *turns, Message("user", "last")]
    assert fit(bytes_tokenizer, turns, 10_000) == (tuple(turns), 0)
    kept, dropped = fit(bytes_tokenizer, turns, 150)
    assert dropped in (4, 6)
    assert list(kept) == [turns[0], *turns[1 + dropped :]]
    assert kept[1].role == "user"
    with pytest.raises(TooLong, match=r"has \d+ tokens .* leaves 20 beside"):
        fit(bytes_tokenizer, turns, 20)


def test_the_runs_system_prompt_is_read_first(tutor_source: Callable[..., Any]) -> None:
    (chat_model,) = load([tutor_source("sft", dataset__system_prompt="Never tell.")])
    assert chat_model.prompt(PROMPT)[0] == (Message("system", "Never tell."), *PROMPT)
    own = (Message("system", "Tell."), *PROMPT)
    assert chat_model.prompt(own)[0] == own


def test_a_reply_longer_than_half_the_context_is_refused(tutor_source: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"`generation\.max_new_tokens=1500` must be at most 1024"):
        load([tutor_source("sft", generation__max_new_tokens="1500")])
