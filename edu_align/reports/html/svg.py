"""Figures as SVG inside a page: colours follow the page's theme, text stays text, and lines have tooltips."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")  # colour-blind readers tell them apart
GREY = "#777777"
Style = tuple[str, str]  # colour, marker
Interval = tuple[float | None, float | None]
WIDTH = 6.6  # inches; 475 units of the picture, which is as many pixels on a phone
INK, FAINT = "#010203", "#040506"  # stand for the page's colours of text and of lines, which replace them
_THEME = {INK: "var(--ink)", FAINT: "var(--line)"}
_STYLE: dict[Any, Any] = {
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "axes.titlecolor": INK, "xtick.color": FAINT,
    "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "grid.color": FAINT, "font.size": 9,
    "axes.titlesize": 10, "axes.titlelocation": "left", "svg.fonttype": "none", "text.parse_math": False,
    "legend.frameon": False, "legend.fontsize": 8, "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One picture of a page. `svg` is empty where there is nothing to draw and the caption says why."""

    title: str
    svg: str
    caption: str


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


def plain(ax: "Axes", grid: str = "y") -> None:
    """No background, and lines behind the data across the axis `grid` ("x", "y", or "" for none)."""
    ax.set_facecolor("none")
    ax.grid(visible=False)
    if grid:
        ax.grid(visible=True, axis=grid, linewidth=0.5)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def named_rows(ax: "Axes", names: Sequence[str]) -> None:
    """A row for each name, the first on top, with lines across the values."""
    ax.set_yticks(range(len(names)), list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, labelsize=7.5)
    plain(ax, "x")


def shorten(text: str, most: int = 44) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def point(
    ax: "Axes", x: float, y: float, style: Style, gid: str, interval: Interval = (None, None), filled: bool = True
) -> None:
    """A marker with its interval along x; hollow unless `filled`. `gid` is what its tooltip is found by."""
    low, high = interval
    if low is not None and high is not None:
        ax.plot([low, high], [y, y], color=style[0], linewidth=1.5, solid_capstyle="butt")
    ax.add_line(marker_of(style, filled, gid=gid, xdata=[x], ydata=[y]))
    ax.autoscale_view()


def marker_of(style: Style, filled: bool = True, xdata: Any = (), ydata: Any = (), **more: Any) -> "Line2D":
    """A marker alone, for a legend."""
    from matplotlib.lines import Line2D

    colour, marker = style
    look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 5, "linestyle": "", "markeredgewidth": 1.3}
    return Line2D(xdata, ydata, markerfacecolor=colour if filled else "none", **look, **more)


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
