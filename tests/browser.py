"""Pages in a headless Chromium: `chromium(act, width=390)` gives `act` a fresh page of that width and returns what it
returns. Tests that use it are skipped where no Chromium is found.

The browser is driven from a thread of its own: Playwright keeps an event loop running in the thread that uses it, and
other tests of the same process need theirs.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

ENV = "EDU_ALIGN_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 10_000
# What a reader would see as broken, in words: text that is cut off or leaves its column, texts over each other in one
# picture, a page that is wider than the screen. What scrolls sideways (overflow-x: auto) has to look like it.
BROKEN = r"""
() => {
  const found = [], wide = document.documentElement.clientWidth;
  const said = (what, node) => found.push(`${what}: ${node.textContent.trim().replace(/\s+/g, ' ').slice(0, 60)}`);
  if (document.documentElement.scrollWidth > wide) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  const scrolls = node => ['auto', 'scroll'].includes(getComputedStyle(node).overflowX);
  for (const node of document.body.querySelectorAll('*')) {
    if (!scrolls(node) || node.tagName === 'TEXTAREA' || !node.checkVisibility()) continue;
    const box = node.getBoundingClientRect();
    if (box.left < -1 || box.right > wide + 1) said('a scroller leaves the page', node);
    if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).backgroundImage === 'none')
      said('nothing shows that it scrolls', node);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), drawn = new Map();
  while (texts.nextNode()) {
    const text = texts.currentNode, holder = text.parentElement;
    if (!text.data.trim() || ['SCRIPT', 'STYLE', 'TITLE', 'OPTION'].includes(holder.tagName)) continue;
    if (!holder.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    for (const box of range.getClientRects()) {
      if (box.width < 1 || getComputedStyle(holder).clipPath !== 'none') continue;
      for (let up = holder; up !== document.documentElement; up = up.parentElement) {
        if (scrolls(up)) break;
        const frame = up.getBoundingClientRect(), look = getComputedStyle(up);
        const cuts = up.tagName === 'svg' || look.overflowX !== 'visible' || look.overflowY !== 'visible';
        const holds = !['inline', 'contents'].includes(look.display) && !up.closest('svg');
        if ((cuts || holds) && (box.left < frame.left - 1.5 || box.right > frame.right + 1.5))
          said(`leaves its ${up.tagName}`, text);
        else if (cuts && (box.top < frame.top - 1.5 || box.bottom > frame.bottom + 1.5))
          said(`is cut off by its ${up.tagName}`, text);
        else if (up !== document.body) continue;
        break;
      }
      const picture = holder.closest('svg, figure, .legend');
      if (!picture) continue;
      for (const [other, name] of drawn.get(picture) || [])
        if (Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1 && name !== text &&
            Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 3) said(`lies over "${name.data.trim()}"`, text);
      drawn.set(picture, [...drawn.get(picture) || [], [box, text]]);
    }
  }
  return [...new Set(found)];
}
"""
Act = Callable[..., Any]


def broken(page: Any) -> list[str]:
    """What of an open Playwright page a reader would see as broken; empty where all is well."""
    return list(page.evaluate(BROKEN))


def executable() -> str | None:
    """The Chromium of this machine: the one that EDU_ALIGN_CHROMIUM names, or the first on PATH."""
    return os.environ.get(ENV) or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Act]:
    """`chromium(act, width=1280, dark=False, **context)`: what `act(page)` returns; `context` is Playwright's."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `dev`)")
    found = executable()
    if found is None:
        pytest.skip(f"no Chromium: none of {', '.join(NAMES)} on PATH, and {ENV} is not set")

    def start() -> tuple[Any, Any]:
        driver = api.sync_playwright().start()
        return driver, driver.chromium.launch(executable_path=found, args=["--no-sandbox"])

    def visit(act: Act, width: int, height: int, dark: bool, more: dict[str, Any]) -> Any:
        scheme = "dark" if dark else "light"
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
        context.set_default_timeout(TIMEOUT_MS)
        try:
            return act(context.new_page())
        finally:
            context.close()

    with ThreadPoolExecutor(1) as thread:
        driver, browser = thread.submit(start).result()
        yield lambda act, width=1280, height=900, dark=False, **more: thread.submit(
            visit, act, width, height, dark, more
        ).result()
        thread.submit(browser.close).result()
        thread.submit(driver.stop).result()
