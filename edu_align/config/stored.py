"""The config of a finished run, read back with its types."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from edu_align.config.keys import branches, opened_by, root_leaves, unknown_key
from edu_align.config.rules import problems
from edu_align.config.schema import GROUP_SCHEMAS, TEMPLATE_FILE, Config
from edu_align.config.text import as_meant, is_text, text_of
from edu_align.utils.errors import UserError, first_line


def read_config(path: Path) -> Any:
    """The config.yaml of a run. Errors: it is gone, or holds no config."""
    try:
        stored = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path} cannot be read ({first_line(error)}). Put that file back, or train again.") from None
    if not isinstance(OmegaConf.select(stored, "trainer.algorithm") if OmegaConf.is_dict(stored) else None, str):
        raise UserError(f"{path} is no config of a run. Put that file back, or train again.")
    return stored


def stored_config(path: Path, overrides: dict[str, str]) -> Config:
    """The typed config in a run's config.yaml, with `overrides` (dotted key -> value as written on a command line).

    The chat template is the one that the run keeps beside its weights, whatever its base's has become.
    Errors: a key that does not exist, a value of the wrong type, a rule that is broken.
    """
    stored = read_config(path)
    stored.hardware.sharding = "none"  # it is read in one process, however many trained it
    schema = OmegaConf.structured(Config)
    trainer = GROUP_SCHEMAS["trainer"][f"{stored.trainer.algorithm}_schema"]
    schema.trainer = trainer
    known = root_leaves({"trainer": trainer})
    unknown = [key for key in overrides if key not in known | branches(known) and not opened_by(key)]
    if unknown:
        chosen = {"trainer": stored.trainer.algorithm}
        raise UserError(" ".join(unknown_key(key, known, chosen) for key in unknown))
    if whole := [f"`{key}={value}`" for key, value in overrides.items() if key in branches(known)]:
        raise UserError(
            f"{', '.join(whole)}: a run keeps the options that it was trained with. Give the single keys that are to "
            "differ instead, such as hardware.eval_batch_size=8."
        )
    try:
        words = OmegaConf.from_dotlist(
            [f"{key}={value}" for key, value in overrides.items() if not is_text(key, value)]
        )
        for key in (key for key, value in overrides.items() if is_text(key, value)):
            OmegaConf.update(words, key, text_of(key, overrides[key]))
        merged = OmegaConf.merge(schema, stored, words)
        as_meant(merged)
    except OmegaConfBaseException as error:
        raise UserError(f"{' '.join(f'{k}={v}' for k, v in overrides.items())}: {first_line(error)}") from error
    found = problems(merged, {"run_name"})  # its folder is what it is by now
    if found:
        raise UserError(" ".join(found))
    config = OmegaConf.to_object(merged)
    assert isinstance(config, Config)
    kept = [file for kind in ("adapter", "model") if (file := path.parent / kind / TEMPLATE_FILE).is_file()]
    if kept:
        config.model.chat_template, config.model.template_args = str(kept[0]), {}
    return config
