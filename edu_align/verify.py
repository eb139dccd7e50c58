"""Is what lies under outputs/ whole? `python -m edu_align.verify` reads every sealed byte and changes nothing."""

import sys
from pathlib import Path

from edu_align.config.arguments import key_values
from edu_align.utils.errors import UserError
from edu_align.utils.program import program

HELP = """\
edu_align: python -m edu_align.verify [outputs_root=<folder>]

  outputs_root   where runs lie (outputs). Each run and export is whole, damaged (which file), not finished, made before
                 files were sealed, or unreadable; checkpoints of finished runs are left over, with their size

Exit code 1 where something is damaged or unreadable. Nothing is changed or deleted.
"""


@program
def main() -> None:
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return
    words = key_values(arguments, ("outputs_root",), "outputs_root")
    outputs = Path(words.get("outputs_root", "outputs")).expanduser()
    if not outputs.is_dir():
        raise UserError(f"`outputs_root={outputs}` is no folder. Give the folder that holds runs/.")
    from edu_align.runs.inspection import inspect
    from edu_align.utils.tables import text

    found = inspect(outputs)
    rows = [[item.what, item.state, item.why, item.todo] for item in found]
    print("\n".join(text([["what", "state", "why", "to do"], *rows])))
    freed = sum(item.free for item in found)
    bad = [item for item in found if item.is_bad]
    print(f"edu_align: {len(found)} looked at, {len(bad)} damaged; {freed / 2**20:.1f} MiB could be freed", flush=True)
    if bad:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
