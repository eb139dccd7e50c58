"""`python -m edu_align.tutoring`: what the built-in corpus holds, how shallow rules do on it, and sample groups."""

import argparse
import time
from random import Random

from edu_align.tutoring.corpus import build
from edu_align.tutoring.report import CARD, numbers, shown, with_numbers
from edu_align.utils.program import program


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m edu_align.tutoring", description=__doc__)
    parser.add_argument("--size", type=int, default=1500, help="groups to generate (default: 1500)")
    parser.add_argument("--seed", type=int, default=42, help="seed of the generated groups (default: 42)")
    parser.add_argument("--show", type=int, default=0, metavar="K", help="print K groups drawn by the seed")
    parser.add_argument("--card", action="store_true", help=f"write the numbers into {CARD.name} too")
    return parser.parse_args()


@program
def main() -> None:
    """Print the numbers; with `--card` also rewrite the numbers block of the data card."""
    arguments = _arguments()
    started = time.perf_counter()
    groups = build(arguments.size, arguments.seed)
    seconds = time.perf_counter() - started
    block = numbers(groups, arguments.seed)
    print(f"{block}\n\nBuilt in {seconds:.2f} s.")
    if arguments.card:
        CARD.write_text(with_numbers(CARD.read_text(encoding="utf-8"), block), encoding="utf-8")
        print(f"Wrote the numbers into {CARD}.")
    for group in Random(arguments.seed).sample(groups, min(max(arguments.show, 0), len(groups))):
        print(f"\n{shown(group)}")


if __name__ == "__main__":
    main()
