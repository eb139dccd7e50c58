"""The model hub: whether it answers, and a small file of a model there, from the local cache or by a download."""

import os
from functools import cache
from pathlib import Path

from edu_align.config.schema import ModelConfig
from edu_align.utils.errors import first_line

TIMEOUT = 5  # seconds until the hub counts as out of reach


def out_of_reach(path: str) -> str:
    """Why the hub cannot be asked for the model `path`, from one quick question to it; "" where it answers.

    So a machine without network knows in seconds.
    """
    import urllib.error
    import urllib.request

    if os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "True"):
        return "HF_HUB_OFFLINE is set"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(f"{endpoint}/api/models/{path}", timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        if not error.headers.get("X-Request-Id"):
            return f"something on the way answered {error.code}"
        # the hub itself answered: a download will say what is wrong
    except (OSError, ValueError) as error:
        return first_line(error)
    return ""


def cached_file(model: ModelConfig, name: str) -> Path | None:
    """The file of the model at `model.path` in the hub's local cache; None where it is not there."""
    assert model.path is not None
    if not (_cache() / f"models--{model.path.replace('/', '--')}").is_dir():  # saves the import, half a second
        return None
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model.path, name, revision=model.revision)
    except ValueError:  # no name that a hub could have
        return None
    return Path(found) if isinstance(found, str) else None


def _cache() -> Path:
    """The folder of huggingface_hub's cache, as its environment variables say."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    home = Path(os.environ.get("HF_HOME", home))
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(given or home / "hub").expanduser()


def small_file(model: ModelConfig, name: str) -> tuple[Path | None, str]:
    """The file, asked for at the hub where the cache has none; None and the reason where it cannot be had."""
    assert model.path is not None
    if (there := cached_file(model, name)) is not None:
        return there, ""
    return _fetched(model.path, model.revision, name)


@cache
def _fetched(path: str, revision: str | None, name: str) -> tuple[Path | None, str]:
    if reason := out_of_reach(path):
        return None, f"the hub is out of reach ({reason})"
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(path, name, revision=revision)), ""
    except Exception as error:
        return None, f"the hub gives no {name} of {path} ({first_line(error, 160)})"
