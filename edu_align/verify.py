"""Is what lies under outputs/ whole? `python -m edu_align.verify` reads every sealed byte and changes nothing."""

import sys
import time
from pathlib import Path

from edu_align.config.arguments import key_values
from edu_align.utils.errors import UserError
from edu_align.utils.program import answers_help, program

HELP = """\
edu_align: python -m edu_align.verify [outputs_root=<folder>]

  outputs_root   where runs, sweeps and the cache lie (outputs)

Every run, export, checkpoint, sweep and cached file is read and held against the sha256 that was written with it. A
line each says whether it is whole, damaged (which file), unreadable, not finished, not sealed (of an earlier version)
or left over by a process that is gone, and what to do. Then how much of the disk could be freed. Exit code 1 where
something is damaged or unreadable. Nothing is changed or deleted.
"""


@program
def main() -> None:
    arguments = sys.argv[1:]
    if answers_help(HELP, arguments, bare=False):
        return
    words = key_values(arguments, ("outputs_root",), "outputs_root")
    outputs = Path(words.get("outputs_root", "outputs")).expanduser()
    if not outputs.is_dir():
        raise UserError(f"`outputs_root={outputs}` is no folder. Give the folder that holds runs/.")
    from edu_align.reports.inspection import LEFT, inspect
    from edu_align.utils.tables import text

    found = list(inspect(outputs, time.time()))
    print("\n".join(text([["state", "what", "why", "to do"], *([i.state, i.what, i.why, i.todo] for i in found)])))
    bad = [item for item in found if item.is_bad]
    left = sum(item.free for item in found if item.state == LEFT)
    cached = sum(item.free for item in found if item.state != LEFT)
    print(f"edu_align: {len(found)} looked at, {len(bad)} damaged or unreadable")
    print(f"edu_align: could be freed: {left / 2**20:.1f} MiB that is left over, {cached / 2**20:.1f} MiB of cache")
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
