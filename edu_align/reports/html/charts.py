"""Charts as data, in places from 0 to 1 on axes with round ticks.

charts.html draws them as HTML and as SVG that takes any width, so that their text keeps its size on a phone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COLOURS = 6  # of page.css, c1 to c6; c0 is grey
GREY = "c0"
Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """`words` say what is counted, and in what unit."""

    words: str
    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` lies: 0 at the lower end, 1 at the upper."""
        low, high, at = ((math.log10(x) if self.log else x) for x in (self.low, self.high, value))
        return (at - low) / (high - low)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts of about four round values."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            values = [10.0**power for power in powers][:: math.ceil(len(powers) / 5) or 1]
            return [(self.place(value), f"{value:.6g}") for value in values]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 3))
        step *= next(times for times in (1, 2, 5, 10) if (self.high - self.low) / (step * times) <= 5)
        counts = range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        return [(self.place(count * step), f"{count * step:.6g}") for count in counts]


def axis_over(words: str, values: Iterable[float], room: float = 0.06, log: bool = False) -> Axis:
    """An axis with all finite `values` on it; with `log` a logarithmic one where they span a factor of 20."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if log and low > 0 and high >= 20 * low:
        more = (high / low) ** room
        return Axis(words, low / more, high * more, log=True)
    more = room * (high - low) or abs(high) * 0.1 or 1.0
    return Axis(words, low - more, high + more)


@dataclass(frozen=True)
class Mark:
    """A line through `points`, or a dot where there is one. `tip` is its tooltip, `style` its classes in page.css."""

    points: Sequence[Point]
    style: str
    tip: str

    def path(self, x: Axis, y: Axis) -> str:
        """The path in a picture of 100 by 100, whose y grows downwards; what is not finite is a gap."""
        drawn, pen = [], "M"
        for across, up in self.points:
            if math.isfinite(across) and math.isfinite(up):
                drawn.append(f"{pen}{100 * x.place(across):.2f} {100 - 100 * y.place(up):.2f}")
                pen = "L"
            else:
                pen = "M"
        return "".join(drawn) + ("h0" if len(drawn) == 1 else "")


@dataclass(frozen=True)
class Panel:
    title: str
    x: Axis
    y: Axis
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Picture:
    """Panels that share a legend of styles and names. Without panels the caption says why there is nothing to draw."""

    title: str
    caption: str
    panels: Sequence[Panel] = ()
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Track:
    """One line of values beside their text: dots (value, style, tip), the span of an interval, and a rule across."""

    axis: Axis
    dots: Sequence[tuple[float, str, str]]
    span: tuple[float | None, float | None] = (None, None)
    rule: float | None = None

    def at(self, value: float) -> float:
        """Percent of the width."""
        return round(100 * min(1.0, max(0.0, self.axis.place(value))), 2)


def colour(place: int) -> str:
    """The style of the line number `place`; after COLOURS of them come dashed ones, then dotted ones."""
    return f"c{place % COLOURS + 1} round{min(place // COLOURS, 2)}"
