"""An export behind `transformers serve`, spoken to as any OpenAI-compatible program does: a process and sockets."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.exporting.conftest import by_hand

NEEDED = [name for name in ("fastapi", "uvicorn", "openai") if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(NEEDED), reason=f'{", ".join(NEEDED)} not installed: pip install "edu_align[serve]"'),
]
PATIENCE = 240.0  # seconds until the model is loaded, on a busy machine
ASKED = [{"role": "user", "content": "Is 3/4 + 1/4 = 4/8?"}]


@pytest.fixture(scope="module")
def served(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """URL of a server that has loaded the export, and its HF_HOME, which is empty."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("hf_home")
    settings = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | settings
    words = ["serve", str(exported), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = (home / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "transformers.cli.transformers", *words], env=environment, stdout=log, stderr=log
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(server, url, home / "log")
        yield url, home
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def _wait(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() - began < PATIENCE, log.read_text()
            time.sleep(1)


@pytest.fixture
def client(served: tuple[str, Path]) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=f"{served[0]}/v1", api_key="none", timeout=120.0, max_retries=0)


def test_a_chat_is_what_the_model_says_whole_and_in_parts(client: Any, exported: Path) -> None:
    model, tokenizer = by_hand(exported)
    inputs = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**inputs, max_new_tokens=12)[0, inputs["input_ids"].size(1) :]
    reply = client.chat.completions.create(model=str(exported), messages=ASKED, max_tokens=12)
    assert reply.choices[0].message.content == tokenizer.decode(said, skip_special_tokens=True)
    assert reply.usage.prompt_tokens == inputs["input_ids"].size(1)
    assert reply.usage.completion_tokens == len(said)
    parts = client.chat.completions.create(model=str(exported), messages=ASKED, max_tokens=12, stream=True)
    texts = [part.choices[0].delta.content or "" for part in parts if part.choices]
    assert "".join(texts) == reply.choices[0].message.content


def test_another_model_is_refused(client: Any) -> None:
    from openai import BadRequestError

    with pytest.raises(BadRequestError):
        client.chat.completions.create(model="another", messages=ASKED, max_tokens=2)


def test_models_are_listed_once_the_hubs_cache_is_there(client: Any, served: tuple[str, Path]) -> None:
    """transformers lists what the hub's cache holds and answers 500 without such a folder: docs/use.md says so."""
    from openai import InternalServerError

    with pytest.raises(InternalServerError):
        client.models.list()
    (served[1] / "hub").mkdir()
    again = client.with_options(max_retries=2)  # the server closes a connection after an error
    assert list(again.models.list()) == []
