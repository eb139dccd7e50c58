"""What a real browser does with a model that writes tags, handlers and scripts: it shows them."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edu_align.chatting.arena import Arena

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ATTACK = '<script>hacked=1</script><img src=x onerror="hacked=1"><svg onload=hacked=1></svg>'
ASKED = "<b onmouseover='hacked=1'>2 + 3?</b><script>hacked=1</script>"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed: pip install -e '.[web]'"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed: pip install playwright"),
    pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason=f"none of {', '.join(BROWSERS)} is installed"),
]


@pytest.fixture(scope="module")
def attacker(train: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, outputs: Path) -> Any:
    """A tiny model that has learned to answer everything with ATTACK."""
    from edu_align.chatting.model import load
    from edu_align.chatting.source import run_source

    file = tmp_path_factory.mktemp("data") / "attack.jsonl"
    asked = [ASKED, "2 + 3?", "Why?", "Hi", "Is it 6?", "How?", "And now?", "No."]
    rows = [[{"role": "user", "content": each}, {"role": "assistant", "content": ATTACK}] for each in asked]
    file.write_text("".join(json.dumps({"messages": row, "split": "train"}) + "\n" for row in rows))
    train(
        "trainer=sft", "adapter=full", "run_name=attacker", "dataset=local", f"dataset.path={file}",
        "+dataset.columns.split=split", "evaluation.enabled=false", "trainer.max_steps=250",
        "trainer.learning_rate=3e-3", "trainer.batch_size=8", "hardware.per_device_batch_size=8",
    )  # fmt: skip
    (model,) = load([run_source("attacker", {"generation.max_new_tokens": "120"}, str(outputs))])
    return model


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = next(path for name in BROWSERS if (path := shutil.which(name)))
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.parametrize("two", [False, True], ids=["one", "two"])
def test_a_browser_shows_what_a_model_writes(two: bool, attacker: Any, browser: Any, tmp_path: Path) -> None:
    from edu_align.chatting.web import build_page, launch

    models = [attacker, replace(attacker, label="again")] if two else [attacker]
    served = build_page(Arena(models, tmp_path / "votes.jsonl", seed=0))
    try:
        page, dialogs = browser.new_page(), []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(launch(served))
        page.get_by_label("Your message").fill(ASKED)
        page.keyboard.press("Enter")
        page.locator(f"text={'Left is better' if two else 'Good answer'}").and_(page.locator(":enabled")).wait_for(
            timeout=180_000
        )
        shown = page.inner_text("body")
        assert shown.count(ATTACK) >= len(models)
        assert ASKED in shown
        page.get_by_text(ASKED).first.hover()
        page.wait_for_timeout(1000)
        assert page.evaluate("typeof hacked") == "undefined"
        assert dialogs == []
        for element in ("script", "img[src=x]", "svg[onload]", "b[onmouseover]"):
            assert page.locator(f".talk {element}").count() == 0
        page.get_by_role("button", name="Left is better" if two else "Good answer").click()
        page.wait_for_timeout(2000)
        row = json.loads((tmp_path / "votes.jsonl").read_text())
        assert row["responses"][0]["text"] == ATTACK
        assert row["prompt"][-1]["content"] == ASKED
        assert page.evaluate("typeof hacked") == "undefined"
    finally:
        served.close()
