"""The keys of `export`, and the rules between them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Words of `export.dtype` besides auto, and of `export.gguf`: number formats of weights.
DTYPES = ("float32", "bfloat16", "float16")
GGUF_TYPES = ("f32", "f16", "bf16", "q8_0")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]{0,95}")


@dataclass
class ExportConfig:
    """What `edu_align.export` makes of a finished run. The keys are explained in conf/config.yaml."""

    dtype: str = "auto"  # auto | float32 | bfloat16 | float16
    gguf: str | None = None  # f32 | f16 | bf16 | q8_0
    converter: str | None = None
    overwrite: bool = False
    push_to_hub: str | None = None
    private: bool = True
    license: str | None = None


def problems_of_export(values: dict[str, Any]) -> Iterator[str]:
    """A problem for a repository that is no owner/name, and for a converter with nothing to convert to."""
    repository, converter = values.get("export.push_to_hub"), values.get("export.converter")
    if repository is not None and not _REPOSITORY.fullmatch(repository):
        yield f"`export.push_to_hub` must be owner/name on the hub, got {repository!r}. Example: my-name/my-tutor."
    if converter is not None and values.get("export.gguf") is None:
        yield "`export.converter` writes a GGUF, and `export.gguf` is null. Set export.gguf=f16, or drop the converter."
