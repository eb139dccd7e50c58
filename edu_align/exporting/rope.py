"""Scaled rotary positions of a GGUF: transformers' reader drops them, so they are put back where the file has them.

llama.cpp's converter writes linear and YaRN scaling as metadata, and that of Llama 3 as a tensor of factors. Only what
agrees with the model's own config is put back: a file that says something else is then found to differ.
"""

from pathlib import Path
from typing import Any

FACTORS = "rope_freqs.weight"  # Llama 3's: by how much each frequency is divided
LONG = ("rope_factors_long.weight", "rope_factors_short.weight")


def put_back(config: Any, file: Path, model_config: Any) -> None:
    """Give `config`, read from the GGUF `file`, the scaling of `model_config`, which the file was made of."""
    wanted = dict(getattr(model_config, "rope_parameters", None) or {})
    if wanted.get("rope_type", "default") != "default" and _states(file, wanted, model_config):
        config.rope_parameters = {**(config.rope_parameters or {}), **wanted}


def _states(file: Path, wanted: dict[str, Any], model_config: Any) -> bool:
    from gguf import GGUFReader

    reader = GGUFReader(file)
    fields, tensors = reader.fields, {tensor.name: tensor.data for tensor in reader.tensors}
    kind = str(fields["general.architecture"].contents())
    found = {
        name: fields[key].contents() for name in ("type", "factor") if (key := f"{kind}.rope.scaling.{name}") in fields
    }
    if wanted["rope_type"] == "llama3":
        return FACTORS in tensors and _close(tensors[FACTORS], _factors(model_config))
    if wanted["rope_type"] == "longrope":
        return all(name in tensors for name in LONG)
    same = abs(float(found.get("factor", 0)) - float(wanted.get("factor", 1))) < 1e-4
    return same and found.get("type") == wanted["rope_type"]


def _factors(model_config: Any) -> Any:
    """What each frequency of the model is divided by."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = model_config.rope_parameters
    scaled, _ = ROPE_INIT_FUNCTIONS[rope["rope_type"]](model_config, torch.device("cpu"))
    width = 2 * len(scaled)
    plain = 1.0 / rope["rope_theta"] ** (torch.arange(0, width, 2, dtype=torch.float) / width)
    return (plain / scaled).numpy()


def _close(found: Any, expected: Any) -> bool:
    import numpy

    return found.shape == expected.shape and bool(numpy.allclose(found, expected, rtol=1e-3))
