"""The pictures of the documentation: `make docs-pictures`, or `python docs/pictures.py [chat] [report]`.

A small run is trained on docs/examples/fractions.csv (or found, where it is finished), then its chat page and its
report are opened in headless Chromium. Needs gradio, playwright and a Chromium: `pip install -e ".[web]"
playwright` and Debian's package `chromium`.
"""

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
ROWS = ["dataset=local", "dataset.path=docs/examples/fractions.csv", "trainer.epochs=3"]
RUN = "fractions"
ASKED = "I say 1/3 + 1/3 = 2/6. Is that right?"
PORT = 7877
WIDTH, HEIGHT = 1280, 800
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LONGEST = 600  # seconds for the answers on the chat page


def command(name: str, *words: str) -> list[str]:
    return [sys.executable, "-m", f"edu_align.{name}", *words]


def edu_align(name: str, *words: str) -> None:
    """A command of ours, in the repository; ends this program where it fails."""
    subprocess.run(command(name, *words), cwd=ROOT, check=True)


@contextmanager
def page(height: int) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(viewport={"width": WIDTH, "height": height})
        browser.close()


def report() -> None:
    """The first screen of the run's report."""
    edu_align("evaluate", f"run={RUN}")
    edu_align("report", f"runs=[{RUN}]")
    with page(HEIGHT) as shown:
        shown.goto((ROOT / "outputs" / "reports" / RUN / "report.html").as_uri())
        shown.screenshot(path=PICTURES / "report.png")


def chat() -> None:
    """One question to the first run, beside its base model."""
    page_of = [f"run={RUN}", "--compare", "--web", f"port={PORT}", "generation.max_new_tokens=120"]
    server = subprocess.Popen(command("chat", *page_of), cwd=ROOT)
    try:
        address = f"http://127.0.0.1:{PORT}"
        _wait_for(address)
        with page(HEIGHT) as shown:
            shown.goto(address)
            box = shown.get_by_role("textbox").first
            box.wait_for()
            shown.wait_for_timeout(2000)
            box.fill(ASKED)
            box.press("Enter")
            shown.locator("button:enabled", has_text="Tie").wait_for(timeout=LONGEST * 1000)  # both have answered
            shown.wait_for_timeout(1000)
            shown.screenshot(path=PICTURES / "chat.png")
    finally:
        server.terminate()
        server.wait()


def _wait_for(address: str) -> None:
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        with suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        time.sleep(1)
    raise SystemExit(f"{address} did not answer within {LONGEST} s")


def main() -> None:
    wanted = sys.argv[1:] or ["chat", "report"]
    PICTURES.mkdir(exist_ok=True)
    edu_align("train", *ROWS, f"run_name={RUN}")
    for name in wanted:
        {"chat": chat, "report": report}[name]()
        print(f"docs/pictures/{name}.png")


if __name__ == "__main__":
    main()
