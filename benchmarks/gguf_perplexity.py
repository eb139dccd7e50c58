"""Perplexity of a fixed English text under a GGUF file, as edu_align reads the file and by llama.cpp itself.

Both read the same tokens. llama.cpp rounds activations to 8 bits where weights are quantized, so they differ a little.
Files are those in the folder EDU_ALIGN_GGUF; llama.cpp comes with the package xllamacpp (see benchmarks/llama_cpp.py).
"""

import math
import os
from pathlib import Path
from typing import Any

from benchmarks.llama_cpp import VARIABLE, ask, interpreter
from edu_align.config.schema import ModelConfig
from edu_align.models.locate import locate
from edu_align.runs.environment import machine
from edu_align.utils.errors import UserError
from edu_align.utils.output import quiet

ON_REQUEST = True  # it needs files that nobody has by chance
FOLDER = "EDU_ALIGN_GGUF"
TEXT = """The old lighthouse on the northern cape had not been lit for eleven years when Maren decided to repair it. Her
grandfather had kept the lamp there until the harbour was moved to the other side of the bay, and she still remembered
the smell of oil on his sleeves and the way he counted the seconds between two flashes. Nobody needed the light any
longer, since every boat carried a receiver that told its position to within a few metres. But in the winter before, a
storm had torn the mast from the station on the hill, and for two nights the fishing boats had found their way home by
the fires that people lit on the beach.

She began with the stairs. Of the ninety-six steps, fourteen were broken, and each of them had to be cut from oak that
had dried for at least a year. Then she cleaned the lens. It was made of more than two hundred pieces of glass, set in
brass rings so that almost all of the light left the tower as a single beam. If a lamp shines equally in every
direction, only a small part of its light reaches a ship; the lens bends the rest towards the horizon. A boy from the
village asked her why the glass was cut into steps and was not simply one thick piece. She drew both shapes on the wall
with chalk and told him to look at the surfaces where the light turns. "What happens to a ray inside the glass?" she
asked. He thought about it for a while. "Nothing," he said, "it goes straight on." So the middle of the thick piece did
no work, and one could leave it out.

In April the motor that turned the lens ran again, one turn in forty seconds. On the first evening the whole village
stood on the beach and waited. When the beam went out over the water, an old woman began to count aloud, and one after
the other they joined her: eight, nine, ten, and there it was."""


def measure() -> list[dict[str, Any]]:
    """A row a file; `ratio` is ours / peer."""
    if not os.environ.get(FOLDER) or interpreter() is None:
        raise UserError(
            f"gguf_perplexity: set {FOLDER}=<folder with .gguf files>, and {VARIABLE}=<a python with xllamacpp>"
        )
    quiet()
    return [_row(file) for file in sorted(Path(os.environ[FOLDER]).glob("*.gguf"))]


def _row(file: Path) -> dict[str, Any]:
    ids, rows, ours = _ours(file)
    theirs = ask(file, ids=ids, words=rows, given=True)
    found, peer = math.exp(-sum(ours) / len(ours)), math.exp(-sum(theirs) / len(theirs))
    name, unit = f"gguf_perplexity_{file.stem}", f"perplexity of {len(ours)} tokens"
    common = {"unit": unit, "peer_name": "llama.cpp", "machine": machine()}
    return {"name": name, "ours": found, "peer": peer, "ratio": found / peer, **common}


def _ours(file: Path) -> tuple[list[int], int, list[float]]:
    """Tokens, size of the vocabulary, and the log-probability of each token but the first, computed in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    from edu_align.models.tokenizer import read_tokenizer

    folder = locate(ModelConfig(name=file.stem, path=str(file)), Path("outputs"), 0).folder
    tokenizer, _ = read_tokenizer(str(folder))
    ids = torch.tensor([tokenizer(TEXT, add_special_tokens=False)["input_ids"]])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logps = model(ids).logits[0, :-1].log_softmax(dim=-1)
    found: list[float] = logps.gather(1, ids[0, 1:, None])[:, 0].tolist()
    return ids[0].tolist(), model.config.vocab_size, found
