"""Every rule that a config must keep, all checked together, before anything heavy is imported."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edu_align.config.bounds import not_a_word, out_of_bounds, unknown_words
from edu_align.config.content_rules import contrast, metrics
from edu_align.config.exporting import problems_of_export
from edu_align.config.hardware_rules import hardware, sharding
from edu_align.config.judging import problems_of_judge
from edu_align.config.keys import OPEN_KEYS
from edu_align.config.schema import CONVERSATION_SOURCES, GROUP_SCHEMAS, PREFERENCE_SOURCES
from edu_align.config.suggest import listed
from edu_align.config.sweeping import problems_of_sweep
from edu_align.config.trl_args import enumeration, problems_of_args
from edu_align.secrets import problems_of_secrets

Values = dict[str, Any]
LOCAL_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
_SHAPE = ("hidden_size", "num_attention_heads", "num_key_value_heads", "max_position_embeddings")
_COMMON_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "paged_adamw_8bit", "paged_adamw_32bit", "adamw_8bit", "sgd")
_COMMON_SCHEDULERS = ("cosine", "linear", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt")


def problems(cfg: Any, skip: set[str] | frozenset[str] = frozenset()) -> list[str]:
    """Everything that is wrong with a composed config, each a sentence or two that names the key, value and fix.

    `cfg` is the OmegaConf config. Keys in `skip` are taken as unset: their problem is known already.
    """
    found: list[str] = []
    values = {key: value for key, value in _flat(cfg, found, skip).items() if key not in skip}
    for rule in (problems_of_secrets, out_of_bounds, unknown_words, *_RULES):
        found += rule(values)
    return found


def _flat(cfg: Any, found: list[str], skip: set[str] | frozenset[str], prefix: str = "") -> Values:
    """`{dotted key: resolved value}`. Notes what has no value; leaves out interpolations that only Hydra resolves."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    flat: Values = {}
    for key in cfg:
        name = f"{prefix}{key}"
        if OmegaConf.is_missing(cfg, key):
            if name not in skip:
                found.append(_unset(name))
            continue
        try:
            value = cfg[key]
            if OmegaConf.is_config(value) and (name in OPEN_KEYS or not OmegaConf.is_dict(value)):
                value = OmegaConf.to_container(value, resolve=True)
        except OmegaConfBaseException as error:
            raw = str(OmegaConf.to_container(cfg, resolve=False)[key])  # type: ignore[index]
            if "${hydra:" not in raw and "${now:" not in raw:
                found.append(f"`{name}` cannot be resolved from {raw!r}: {str(error).splitlines()[0]}.")
            continue
        if OmegaConf.is_dict(value):
            flat.update(_flat(value, found, skip, f"{name}."))
        else:
            flat[name] = value
    return flat


def _unset(name: str) -> str:
    if name in GROUP_SCHEMAS:
        return f"`{name}` has no choice. Choose an option: {name}=<option>."
    return f"`{name}` has no value. Set it on the command line or in its YAML file."


def _steps(values: Values) -> Iterator[str]:
    steps, epochs = values.get("trainer.max_steps", -1), values.get("trainer.epochs", 1)
    if steps != -1 and steps < 1:
        yield f"`trainer.max_steps` must be -1 (epochs decide) or > 0, got {steps}. Set trainer.max_steps=-1."
    if steps < 1 and not 0 < epochs < float("inf"):
        yield f"`trainer.epochs` must be > 0, got {epochs}. Set trainer.epochs=1, or a positive trainer.max_steps."
    batch, device = values.get("trainer.batch_size", 1), values.get("hardware.per_device_batch_size", 1)
    if 1 <= device <= batch and batch % device:
        fits = max(size for size in range(1, device + 1) if batch % size == 0)
        yield (
            f"`trainer.batch_size` must be a multiple of `hardware.per_device_batch_size` ({device}), got {batch}. "
            f"Set hardware.per_device_batch_size={fits} or trainer.batch_size={batch - batch % device}."
        )


def _trainer(values: Values) -> Iterator[str]:
    if values.get("trainer.loss_type") == "exo_pair" and values.get("trainer.label_smoothing") == 0:
        yield "`trainer.loss_type` exo_pair needs `trainer.label_smoothing` > 0, got 0.0. Set it to 1e-3."
    scheduler = values.get("trainer.lr_scheduler")
    if scheduler is not None and scheduler not in _COMMON_SCHEDULERS:
        words = enumeration("trainer_utils.py", "SchedulerType") or _COMMON_SCHEDULERS
        if scheduler not in words:
            yield not_a_word("trainer.lr_scheduler", scheduler, words)
    optimizer = values.get("hardware.optimizer")
    if optimizer is not None and optimizer not in _COMMON_OPTIMIZERS:
        words = enumeration("training_args.py", "OptimizerNames") or _COMMON_OPTIMIZERS
        if optimizer not in words:
            yield not_a_word("hardware.optimizer", optimizer, words)
    yield from problems_of_args(
        [str(name) for name in values.get("trainer.args") or {}], values.get("trainer.algorithm", "")
    )


def _sources(values: Values) -> Iterator[str]:
    sources, algorithm = values.get("dataset.sources"), values.get("trainer.algorithm")
    if sources == []:
        yield "`dataset.sources` must name at least one source, got []."
    fitting = {"dpo": PREFERENCE_SOURCES, "sft": CONVERSATION_SOURCES}.get(str(algorithm))
    if fitting is None or sources is None:
        return
    lacking = [source for source in sources if source in CONVERSATION_SOURCES and source not in fitting]
    if lacking:
        kind = "preferences" if algorithm == "dpo" else "conversations"
        yield (
            f"trainer={algorithm} needs {kind}, and {', '.join(lacking)} (`dataset.sources`) has none. "
            f"Data sets that have them: {listed(fitting)}."
        )


def _local_file(values: Values) -> Iterator[str]:
    path, sources = values.get("dataset.path"), values.get("dataset.sources")
    if sources is None:
        return
    if path is None:
        if "local" in sources:
            yield "dataset=local needs a file. Set dataset.path=<file>, " + _suffixes()
    elif "local" not in sources:
        name = values.get("dataset.name")
        yield f"`dataset.path` is for dataset=local, got {path!r} with dataset={name}. Choose dataset=local or drop it."
    elif Path(path).suffix.lower() not in LOCAL_SUFFIXES:
        yield f"`dataset.path` must end with {listed(LOCAL_SUFFIXES)}, got {path!r}."
    elif not Path(path).is_file():
        yield f"`dataset.path` must be a file, and {path!r} does not exist. Give {_suffixes()}"


def _suffixes() -> str:
    return f"a {listed(LOCAL_SUFFIXES)} file."


def _fractions(values: Values) -> Iterator[str]:
    test, validation = values.get("dataset.test_fraction", 0), values.get("dataset.validation_fraction", 0)
    if 0 < test < 1 and 0 < validation < 1 and test + validation >= 1:
        yield (
            "`dataset.test_fraction` + `dataset.validation_fraction` must be < 1, to leave something to train on, "
            f"got {test} + {validation}."
        )
        return
    fold = values.get("dataset.validation_fold", 0)
    if 0 < test < 1 and 0 < validation < 1 and fold > 0 and test + (fold + 1) * validation > 1 + 1e-9:
        most = int((1 - test) / validation + 1e-9) - 1
        yield (
            f"`dataset.validation_fold` must be <= {most} with a test part of {test} and validation parts of "
            f"{validation}, got {fold}."
        )


def _model(values: Values) -> Iterator[str]:
    if values.get("model.trust_remote_code"):
        yield "`model.trust_remote_code` must be false: edu_align runs no code from a model repository. Got True."
    if values.get("model.weights") == "pretrained" and not values.get("model.bundled") and not values.get("model.path"):
        yield "`model.path` must be a hub id or a folder with model.weights=pretrained, got null. Set either of them."
    shape = {key: values.get(f"model.architecture.{key}", 0) for key in _SHAPE}
    width, heads, shared, most = (shape[key] for key in _SHAPE)
    if heads > 0 and width % heads:
        yield f"`model.architecture.hidden_size` must be a multiple of `num_attention_heads` ({heads}), got {width}."
    if shared > 0 and heads % shared:
        yield (
            "`model.architecture.num_attention_heads` must be a multiple of `num_key_value_heads` "
            f"({shared}), got {heads}."
        )
    length = values.get("trainer.max_length", 0)
    if 0 < most < length:
        yield f"`trainer.max_length` must be <= {most}, the longest input of this model, got {length}."


def _places(values: Values) -> Iterator[str]:
    data, outputs = values.get("data_root"), values.get("outputs_root")
    if data is not None and not Path(data).is_dir():
        yield f"`data_root` must be a folder, and {data!r} is none. Set it, or EDU_ALIGN_DATA, to one, or to null."
    if outputs is not None and Path(outputs).is_file():
        yield f"`outputs_root` must be a folder, and {outputs!r} is a file. Set another folder."


_RULES: tuple[Callable[[Values], Iterator[str]], ...] = (
    _steps, _trainer, _sources, contrast, _local_file, _fractions, _model, hardware, sharding, problems_of_export,
    problems_of_sweep, problems_of_judge, _places, metrics,
)  # fmt: skip
