"""Answers beside each other in a wide terminal, each growing while it is written."""

from collections.abc import Iterable, Sequence
from typing import Any

from edu_align.chatting.text import printable

MIN_WIDTH = 90  # characters; narrower columns are hard to read


def side_by_side(answers: Sequence[tuple[str, Iterable[str]]], console: Any = None) -> None:
    """Show `(label, pieces)` in a column each. The pieces are drawn one answer after the other, as they come.

    `console` is rich's, for a terminal other than stdout.
    """
    from rich.console import Console
    from rich.live import Live

    written = ["" for _ in answers]
    labels = [label for label, _ in answers]
    with Live(console=console or Console(highlight=False), auto_refresh=False, vertical_overflow="crop") as live:
        for i, (_, pieces) in enumerate(answers):
            for piece in pieces:
                written[i] += printable(piece)
                live.update(_table(labels, written), refresh=True)
        live.update(_table(labels, written), refresh=True)


def _table(labels: Sequence[str], texts: Sequence[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True, show_lines=False)
    for label in labels:
        table.add_column(Text(label), ratio=1, overflow="fold")
    table.add_row(*[Text(text.strip()) for text in texts])  # Text: brackets in an answer are no markup
    return table
