"""Figures as SVG inside a page: colours follow the page's theme, text stays text, and lines have tooltips."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.6  # inches; 475 units of the picture, which is as many pixels on a phone
INK, FAINT = "#010203", "#040506"  # stand for the page's colours of text and of lines, which replace them
_THEME = {INK: "var(--ink)", FAINT: "var(--line)"}
_STYLE: dict[Any, Any] = {
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "axes.titlecolor": INK, "xtick.color": FAINT,
    "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "grid.color": FAINT, "font.size": 9,
    "axes.titlesize": 10, "axes.titlelocation": "left", "svg.fonttype": "none", "text.parse_math": False,
    "legend.frameon": False, "legend.fontsize": 8, "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


@contextmanager
def style(salt: str) -> Iterator[None]:
    """What a figure has to be made and written in. `salt` keeps the names in one picture apart from another's."""
    import matplotlib

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": salt}):
        yield


def new_figure(height: float) -> "Figure":
    """A figure of WIDTH x `height` inches without a background, on the SVG canvas, of no global state."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none")
    FigureCanvasSVG(figure)
    return figure


def plain(ax: "Axes") -> None:
    ax.set_facecolor("none")
    ax.grid(axis="y", linewidth=0.6)
    ax.set_axisbelow(True)


def to_svg(figure: "Figure", label: str, tips: Mapping[str, str] | None = None) -> str:
    """The `<svg>` element of `figure`. `label` is read out for it; `tips` maps an artist's gid to its tooltip."""
    out = StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for placeholder, colour in _THEME.items():
        text = text.replace(placeholder, colour)
    text = re.sub(r"(font: [^'\";]*?) ('[^\"]*?)(?=[;\"])", r"\1 system-ui, sans-serif", text)
    for gid, tip in (tips or {}).items():
        text = text.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(tip)}</title>', 1)
    used = set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", text))
    kept = {name for pair in used for name in pair if name}
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in kept else "", text)
    head = re.sub(r' (width|height|version)="[^"]*"', "", text[: text.index(">")])
    return f'{head} role="img" aria-label="{escape(label)}"{text[text.index(">") :]}'.strip()
