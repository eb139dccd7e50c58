"""Why a row cannot be used, and where that was seen first."""

from dataclasses import dataclass

from edu_align.utils.errors import UserError


@dataclass(frozen=True)
class LeftOut:
    """A row that gives no record. Rows are counted by `reason`; `place` says where, and what stood there."""

    reason: str
    place: str = ""


class RowError(UserError):
    """A row that cannot be used. A reader of files counts it as `left_out` and goes on."""

    def __init__(self, reason: str, place: str, more: str = "") -> None:
        super().__init__(f"{place}: {reason}{f' ({more})' if more else ''}.")
        self.left_out = LeftOut(reason, f"{place}: {more}" if more else place)
