"""edu_align: turn an open chat model into a better tutor, by SFT and then DPO."""

import sys

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"]:  # as Python says while it looks for `python -m edu_align.<command>`
    from edu_align.utils.interrupts import end_at_once

    end_at_once()
