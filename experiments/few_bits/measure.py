"""How far each type of a GGUF is from the model it was made of.

`python experiments/few_bits/measure.py <folder> [llama-quantize] [type ...]`, where `<folder>` is an export or any
folder with a model. Types (all, or those named) are written to a temporary folder one by one; a table is printed.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edu_align.config.schema import BLOCK_TYPES, GGUF_TYPES, K_TYPES
from edu_align.exporting import gguf
from edu_align.exporting.checks import load_gguf, types_in
from edu_align.exporting.distance import distance, read
from edu_align.exporting.llama_cpp import find_quantizer, quantize
from edu_align.exporting.merge import load_merged
from edu_align.utils.output import quiet

HEAD_TOO = "q4_0 also in the head"


def main(folder: Path, program: str | None, kinds: list[str]) -> None:
    """Print a row a type: size, mean KL divergence, equal likeliest tokens, perplexity, seconds to write it."""
    quiet()
    model, tokenizer, _ = load_merged(folder)
    reading = read(model, tokenizer, None)
    print(f"perplexity of the model itself {distance(reading, model).expected:.4f}, {reading_tokens(reading)} tokens")
    print(
        "| type | MB | KL, nats a token | same likeliest | perplexity | s | matrices |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as aside:
        for name, file, seconds in written(folder, tokenizer, Path(aside), program, kinds):
            found = distance(reading, load_gguf(file, "float32", model.config)[0])
            numbers = f"{found.divergence:.4f} | {found.same:.1%} | {found.found:.4f} | {seconds:.1f}"
            print(f"| {name} | {file.stat().st_size / 1e6:.0f} | {numbers} | {types_in(file)} |", flush=True)
            if name != "f32":
                file.unlink()


def reading_tokens(reading: Any) -> int:
    """Tokens that are looked at: all but the first of each dialogue."""
    return sum(len(each) for each in reading.logps)


def written(
    folder: Path, tokenizer: Any, aside: Path, program: str | None, kinds: list[str]
) -> Iterator[tuple[str, Path, float]]:
    """`(name, file, seconds)`: those written here, q4_0 also with its head in q4_0; then llama-quantize's."""
    heads = gguf.HEADS
    for kind in ("f32", *(each for each in ("f16", *BLOCK_TYPES, HEAD_TOO) if not kinds or each in kinds)):
        gguf.HEADS = {} if kind == HEAD_TOO else heads
        file, began = aside / f"{kind}.gguf", time.monotonic()
        gguf.write_gguf(folder, tokenizer, file, kind.partition(" ")[0], "measured")
        yield kind, file, time.monotonic() - began
    gguf.HEADS = heads
    for kind in [each for each in ("q4_0", *K_TYPES) if program and (not kinds or each in kinds)]:
        file, began = aside / f"{kind}.gguf", time.monotonic()
        quantize(find_quantizer(program or ""), aside / "f32.gguf", file, kind)
        yield f"{kind} of llama-quantize", file, time.monotonic() - began


if __name__ == "__main__":
    folder, *words = sys.argv[1:]
    programs = [word for word in words if word not in GGUF_TYPES]
    main(Path(folder), programs[0] if programs else None, [word for word in words if word in GGUF_TYPES])
