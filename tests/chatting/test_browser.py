"""The page in a real browser: nothing is cut off, keys work, and tags and scripts of a model are shown as text."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from edu_align.chatting.arena import Arena
from edu_align.config.schema import GenerationConfig
from tests.browser import Act, broken

ATTACK = '<script>hacked=1</script><img src=x onerror="hacked=1"><svg onload=hacked=1></svg>'
ASKED = "<b onmouseover='hacked=1'>2 + 3?</b><script>hacked=1</script>"

QUESTION = "I added 3/4 and 1/4 and got 4/8. Is that right?"
BASE = "hub:HuggingFaceTB/SmolLM2-135M-Instruct@12fd25f77366fa6b3b4b768ec3050bf629380bac"
SAYS = {
    "base": "Yes! You add the top numbers and the bottom numbers.\n\nSo the answer is 4/8, which is 1/2.",
    "fractions-sft": "Take three quarters of a pizza and one more quarter. How much pizza is that?" * 3,
    "a_run_with_a_long_name-sft-edu_tutor-SmolLM2-135M-Instruct-0123456789ab": "x" * 200 + " And the bottom number?",
}

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed: pip install -e '.[web]'")


def saying(label: str) -> Any:
    """A model that needs no weights: it always says the same (see `page_of`)."""
    return SimpleNamespace(label=label, base=BASE, settings=GenerationConfig(), prompt=lambda turns: (tuple(turns), 0))


@pytest.fixture
def page_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., tuple[str, Path]]]:
    """`page_of("base", "fractions-sft")`: the address of a page on which these answer, and its file of votes."""
    from edu_align.chatting.web import build_page, launch

    monkeypatch.setattr(
        "edu_align.chatting.arena.stream", lambda model, *_: (f"{word} " for word in SAYS[model.label].split())
    )
    pages = []

    def serve(*labels: str) -> tuple[str, Path]:
        votes = tmp_path / "votes.jsonl"
        pages.append(build_page(Arena([saying(label) for label in labels], votes, seed=0)))
        return launch(pages[-1], votes=votes), votes

    yield serve
    for page in pages:
        page.close()


@pytest.mark.parametrize(
    "labels",
    [("base", "fractions-sft"), pytest.param(tuple(SAYS)[2:], marks=pytest.mark.slow)],
    ids=["two", "one"],
)
def test_the_page_fits_a_screen_and_a_phone_and_votes_by_key(
    labels: tuple[str, ...], page_of: Any, chromium: Act, tmp_path: Path
) -> None:
    """Empty, answered and voted on, light and dark: nothing is cut off, and nothing comes from another machine."""
    url, votes = page_of(*labels)

    def visit(page: Any) -> list[str]:
        hosts: set[str | None] = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        page.set_default_timeout(30_000)
        page.goto(url)
        page.get_by_text("Ask something below").wait_for()
        box = page.get_by_label("Your message")
        found = look(page, "empty")
        assert not page.locator(".votes").is_visible()
        box.fill(QUESTION)
        page.keyboard.press("Enter")
        page.locator(".votes button:enabled").first.wait_for()
        assert not page.locator(".examples").is_visible()
        found += look(page, "answered")
        tops = [page.locator(".block.pane").nth(i).bounding_box()["y"] for i in range(len(labels))]
        assert (len(set(tops)) == 1) == (page.viewport_size["width"] > 600 or len(labels) == 1)  # a phone stacks them
        page.keyboard.press("Escape")
        page.keyboard.press("1")
        page.get_by_text("Saved: ").wait_for()
        found += look(page, "voted")
        page.keyboard.press("/")
        assert box.evaluate("node => node === document.activeElement")
        with page.expect_download() as download:
            page.get_by_text("Download the votes").click()
        assert Path(download.value.path()).read_bytes() == votes.read_bytes()
        assert hosts == {"127.0.0.1"}
        return found

    def look(page: Any, state: str) -> list[str]:
        page.wait_for_timeout(300)
        page.screenshot(path=tmp_path / f"{state}-{page.viewport_size['width']}.png", full_page=True)
        return [f"{state}: {each}" for each in broken(page)]

    for width, dark in ((1280, False), (390, True)):
        assert chromium(visit, width=width, dark=dark) == []
    assert len(votes.read_text().splitlines()) == 2
    assert len(list(tmp_path.glob("*.png"))) == 6


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


@pytest.mark.slow
@pytest.mark.parametrize("two", [False, True], ids=["one", "two"])
def test_a_browser_shows_what_a_model_writes(two: bool, attacker: Any, chromium: Act, tmp_path: Path) -> None:
    from edu_align.chatting.web import build_page, launch

    models = [attacker, replace(attacker, label="again")] if two else [attacker]
    served = build_page(Arena(models, tmp_path / "votes.jsonl", seed=0))
    url, better = launch(served), "A is better" if two else "Good answer"

    def visit(page: Any) -> None:
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(url)
        page.get_by_label("Your message").fill(ASKED)
        page.keyboard.press("Enter")
        page.locator(f"text={better}").and_(page.locator(":enabled")).wait_for(timeout=180_000)
        shown = page.inner_text("body")
        assert shown.count(ATTACK) >= len(models)
        assert ASKED in shown
        page.get_by_text(ASKED).first.hover()
        page.wait_for_timeout(1000)
        assert page.evaluate("typeof hacked") == "undefined"
        assert dialogs == []
        for element in ("script", "img[src=x]", "svg[onload]", "b[onmouseover]"):
            assert page.locator(f".talk {element}").count() == 0
        page.get_by_role("button", name=better).click()
        page.get_by_text("Saved: ").wait_for()
        assert page.evaluate("typeof hacked") == "undefined"

    try:
        chromium(visit)
    finally:
        served.close()
    row = json.loads((tmp_path / "votes.jsonl").read_text())
    assert row["responses"][0]["text"] == ATTACK
    assert row["prompt"][-1]["content"] == ASKED
