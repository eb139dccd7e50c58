"""Every rule that a config must keep, all checked together, before anything heavy is imported."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edu_align.config.bounds import not_a_word, out_of_bounds, unknown_words
from edu_align.config.keep import problems_of_keep
from edu_align.config.keys import OPEN_KEYS
from edu_align.config.losses import problems_of_loss
from edu_align.config.peft_options import problems_of_adapter
from edu_align.config.round_rules import problems_of_models, problems_of_rewards, problems_of_rounds
from edu_align.config.schema import (
    BLOCK_TYPES,
    CHECK_SOURCES,
    CONVERSATION_SOURCES,
    GRADED_LOSSES,
    GROUP_SCHEMAS,
    K_TYPES,
    LOCAL_JUDGE,
    METRICS,
    PREFERENCE_SOURCES,
    GRPOTrainerConfig,
    TrainerConfig,
)
from edu_align.config.split_rules import problems_of_split
from edu_align.config.sweep_rules import problems_of_sweep
from edu_align.config.trl_args import (
    UNWARMED,
    enumeration,
    problems_of_args,
    problems_of_optimizer,
    problems_of_schedule,
)
from edu_align.utils.distributed import count
from edu_align.utils.errors import first_line
from edu_align.utils.files import folder_problem, name_problem
from edu_align.utils.secrets import problems_of_secrets
from edu_align.utils.words import did_you_mean, listed

Values = dict[str, Any]
_LOCAL_FILE = "a file of rows: JSON, a table, a workbook or Parquet."
LONGEST_TAG, LONGEST_PROJECT = 64, 128  # letters, of W&B
LEAST_PROMPT = 8  # tokens of a dialogue that its reply must leave room for
_SHAPE = ("hidden_size", "num_attention_heads", "num_key_value_heads", "max_position_embeddings")
# What updates each number of a weight by itself, and so the part that a process holds. bitsandbytes' and Adafactor's
# steps do not: torch finds no rule for them on sharded tensors.
SHARDED_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "sgd")
COMMON_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "paged_adamw_8bit", "paged_adamw_32bit", "adamw_8bit", "sgd")
COMMON_SCHEDULERS = ("cosine", "linear", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]{0,95}")


def problems(cfg: Any, skip: set[str] | frozenset[str] = frozenset()) -> list[str]:
    """Everything that is wrong with a composed config, each a sentence or two that names the key, value and fix.

    `cfg` is the OmegaConf config. Keys in `skip` count as unset: their problem is known already.
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
    raw: Any = OmegaConf.to_container(cfg, resolve=False)  # all at once takes a tenth of asking `cfg` for each key
    for key, value in raw.items():
        name, held = f"{prefix}{key}", isinstance(value, dict)
        if value == "???":
            found += [] if name in skip else [_unset(name)]
            continue
        try:
            if held or "${" in str(value):
                value = cfg[key]
                held = OmegaConf.is_dict(value) and name not in OPEN_KEYS
            if OmegaConf.is_config(value) and not held:
                value = OmegaConf.to_container(value, resolve=True)
        except OmegaConfBaseException as error:
            if "${hydra:" not in str(raw[key]) and "${now:" not in str(raw[key]):
                found.append(f"`{name}` cannot be resolved from {str(raw[key])!r}: {first_line(error)}.")
            continue
        flat.update(_flat(value, found, skip, f"{name}.") if held else {name: value})
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
    yield from problems_of_loss(values)
    yield from problems_of_keep(values)
    scheduler, args = values.get("trainer.lr_scheduler"), values.get("trainer.args") or {}
    if scheduler is not None and scheduler not in COMMON_SCHEDULERS:
        words = enumeration("trainer_utils.py", "SchedulerType") or COMMON_SCHEDULERS
        if scheduler not in words:
            yield not_a_word("trainer.lr_scheduler", scheduler, words)
        yield from problems_of_schedule(scheduler, args, values.get("trainer.eval_steps"))
    warmup = values.get("trainer.warmup_ratio")
    if scheduler in UNWARMED and warmup not in (None, 0.0, TrainerConfig.warmup_ratio):
        yield (
            f"`trainer.warmup_ratio={warmup}` does nothing with trainer.lr_scheduler={scheduler}. Set "
            "trainer.lr_scheduler=constant_with_warmup, or drop it."
        )
    optimizer = values.get("hardware.optimizer")
    if optimizer is not None and optimizer not in COMMON_OPTIMIZERS:
        words = enumeration("training_args.py", "OptimizerNames") or COMMON_OPTIMIZERS
        if optimizer not in words:
            yield not_a_word("hardware.optimizer", optimizer, words)
        yield from problems_of_optimizer(optimizer)
    yield from problems_of_args(values)


def _sources(values: Values) -> Iterator[str]:
    sources, algorithm = values.get("dataset.sources"), values.get("trainer.algorithm")
    if sources == []:
        yield "`dataset.sources` must name at least one source, got []."
    schema: Any = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema", TrainerConfig)
    fitting = PREFERENCE_SOURCES if schema.reads in ("preferences", "labels") else CONVERSATION_SOURCES
    lacking = [source for source in sources or [] if source in CONVERSATION_SOURCES and source not in fitting]
    if lacking:
        yield (
            f"trainer={algorithm} needs {schema.reads}, and {', '.join(lacking)} (`dataset.sources`) has none. "
            f"Data sets that have them: {listed(fitting)}."
        )


def _labels(values: Values) -> Iterator[str]:
    """Keys that only one of pairs and labelled replies reads, and what KTO's estimate of the KL divergence needs."""
    algorithm = values.get("trainer.algorithm", "")
    schema: Any = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema", TrainerConfig)
    if schema.reads != "labels":
        for key in ("dataset.threshold", "dataset.dimension"):
            if (value := values.get(key)) is not None:
                yield f"`{key}={value}` labels single replies, and trainer={algorithm} reads none. Set trainer=kto."
        if values.get("dataset.format") == "labels":
            yield f"`dataset.format=labels` is for trainer=kto, got trainer={algorithm}. Set trainer=kto."
        return
    batch, share = values.get("trainer.batch_size", 2), values.get("trainer.batch_size", 2) // count()
    if values.get("trainer.loss_type") == "kto" and share < 2:
        yield (
            "`trainer.loss_type=kto` sets each reply beside one to another prompt of its step: `trainer.batch_size` "
            f"must be >= {2 * count()}, got {batch}. Set trainer.batch_size=16."
        )


def _pairs(values: Values) -> Iterator[str]:
    """Keys that make training pairs, where single replies are trained on; presets set the margins, which go unread."""
    algorithm, loss = values.get("trainer.algorithm", ""), values.get("trainer.reward_loss")
    schema: Any = GROUP_SCHEMAS["trainer"].get(f"{algorithm}_schema", TrainerConfig)
    if schema.reads != "labels" and loss not in GRADED_LOSSES:
        return
    asked = f"trainer={algorithm}" if loss is None else f"trainer.reward_loss={loss}"
    offs = {"dataset.balance_authors": "false", "dataset.contrast_per_prompt": "0"}
    for key, off in offs.items():
        if value := values.get(key):
            yield f"`{key}={value}` makes pairs, and {asked} reads single replies. Set {key}={off}."


def _mixing(values: Values) -> Iterator[str]:
    """Weights and caps are of sources that are read."""
    sources = values.get("dataset.sources") or []
    for key, rule, least in (("dataset.weights", "> 0", 0.0), ("dataset.max_per_source", ">= 1", 0)):
        for name, value in (values.get(key) or {}).items():
            if name not in sources:
                yield (
                    f"`{key}` names {name}, which is not in dataset.sources ({listed(sources)})."
                    f"{did_you_mean(name, sources)} Drop it, or add it to dataset.sources."
                )
            elif not least < value < float("inf"):
                yield f"`{key}.{name}` must be {rule}, got {value}. To leave it out, drop it from dataset.sources."


def _reward(values: Values) -> Iterator[str]:
    """What a reward model cannot do, or would not read."""
    if values.get("trainer.algorithm") != "reward":
        return
    if values.get("hardware.sharding") == "fsdp":
        yield "`hardware.sharding` fsdp does not go with trainer=reward yet. Set hardware.sharding=none."
    if (every := values.get("evaluation.samples_steps")) is not None:
        yield (
            f"`evaluation.samples_steps={every}` shows replies while training, and a reward model writes none. Set "
            "evaluation.samples_steps=null."
        )
    loss, margin = values.get("trainer.reward_loss"), values.get("trainer.margin_weight")
    if loss not in GRADED_LOSSES:
        return
    if margin:
        yield (
            f"`trainer.margin_weight={margin}` is read by trainer.reward_loss=bradley_terry, got {loss}, which reads "
            "the scores themselves. Drop it."
        )
    if len(sources := values.get("dataset.sources") or []) > 1:
        yield (
            f"`trainer.reward_loss={loss}` needs scores on one scale, and `dataset.sources` names {listed(sources)}. "
            "Take one of them, or set trainer.reward_loss=bradley_terry."
        )


def _replies(values: Values) -> Iterator[str]:
    """Problems of `trainer=grpo`: rewards that there are none of, and groups that fill no step."""
    rewards = values.get("trainer.rewards") or {}
    yield from problems_of_rewards("trainer.rewards", rewards)
    yield from problems_of_models(values)
    epsilon, usual = values.get("trainer.epsilon"), GRPOTrainerConfig.epsilon
    if values.get("trainer.num_iterations") == 1 and epsilon not in (None, usual):
        yield (
            f"`trainer.epsilon={epsilon}` does nothing with trainer.num_iterations=1, where every ratio is 1. Set "
            "trainer.num_iterations=2, or drop it."
        )
    group, batch = values.get("trainer.num_generations"), values.get("trainer.batch_size", 0)
    if group is None or group < 2 or batch < 1:
        return
    if batch % group:
        yield (
            f"`trainer.batch_size` counts replies, and must be a multiple of `trainer.num_generations` ({group}), got "
            f"{batch}. Set trainer.batch_size={max(batch // group, 1) * group}."
        )
    reply, longest = values.get("trainer.max_completion_length", 0), values.get("trainer.max_length", 16)
    if longest >= 16 and reply > longest - LEAST_PROMPT:
        yield (
            f"`trainer.max_completion_length` must leave {LEAST_PROMPT} tokens of `trainer.max_length` ({longest}) to "
            f"the dialogue, got {reply}. Set trainer.max_completion_length={max(longest // 2, 1)}."
        )
    if count() > 1:
        yield (
            f"trainer=grpo writes its replies in one process, and these are {count()}. Start it without torchrun, or "
            "set trainer=dpo."
        )


def _contrast(values: Values) -> Iterator[str]:
    """Constructed replies are of a kind, and those from other sources from ones that hold conversations."""
    kinds = values.get("dataset.contrast_kinds")
    if kinds == []:
        yield "`dataset.contrast_kinds` must name at least one kind, got []. Set dataset.contrast_kinds=[elsewhere]."
    count = values.get("dataset.contrast_per_prompt", 0)
    given = values.get("dataset.contrast_sources") or []
    known = [name for name in CONVERSATION_SOURCES if name not in (*PREFERENCE_SOURCES, *CHECK_SOURCES)]
    if wrong := [name for name in given if name not in known]:
        yield f"`dataset.contrast_sources` takes conversation data, got {listed(wrong)}. Choose from: {listed(known)}."
    if given and not count:
        yield f"`dataset.contrast_sources={given}` needs dataset.contrast_per_prompt >= 1, got {count}. Set it to 2."
    if kinds not in (None, [], ["elsewhere"]) and not count:
        yield f"`dataset.contrast_kinds={kinds}` needs dataset.contrast_per_prompt >= 1, got {count}. Set it to 4."


def _local_file(values: Values) -> Iterator[str]:
    path, sources = values.get("dataset.path"), values.get("dataset.sources")
    if sources is None:
        return
    if path is None:
        if "local" in sources:
            yield "dataset=local needs a file. Set dataset.path=<file>, " + _LOCAL_FILE
    elif "local" not in sources:
        name = values.get("dataset.name")
        yield f"`dataset.path` is for dataset=local, got {path!r} with dataset={name}. Choose dataset=local or drop it."
    elif not Path(path).is_file():
        yield f"`dataset.path` must be a file, and {path!r} does not exist. Give {_LOCAL_FILE}"


def _model(values: Values) -> Iterator[str]:
    if values.get("model.trust_remote_code"):
        yield "`model.trust_remote_code` must be false: edu_align runs no code from a model repository. Got True."
    if values.get("model.weights") == "pretrained" and not values.get("model.bundled") and not values.get("model.path"):
        yield "`model.path` must be a hub id or a folder with model.weights=pretrained, got null. Set either of them."
    if values.get("model.weights") != "random" or values.get("model.path"):
        return  # what is loaded says its sizes: models/sizes.py
    shape = {key: values[name] for key in _SHAPE if (name := f"model.architecture.{key}") in values}
    for key in (key for key, size in shape.items() if not size):
        yield f"`model.architecture.{key}` must be >= 1 with model.weights=random, got 0. Set it, or model.path."
    width, heads, shared, most = (shape.get(key, 0) for key in _SHAPE)
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


def _hardware(values: Values) -> Iterator[str]:
    if values.get("hardware.quantization") == "nf4" and values.get("adapter.name") == "full":
        yield "`hardware.quantization` nf4 cannot be trained in full. Set adapter=lora or hardware.quantization=none."
    for key, word, instead in (("dtype", "float16", "float32"), ("attention", "flash_attention_2", "sdpa")):
        if values.get("hardware.device") == "cpu" and values.get(f"hardware.{key}") == word:
            yield f"`hardware.{key}` {word} is for CUDA, got hardware.device=cpu. Set hardware.{key}={instead}."
    if values.get("hardware.device") == "cpu" and values.get("hardware.packing_backend") == "flex":
        yield (
            "`hardware.packing_backend` flex is for CUDA: FlexAttention has no backward pass on a CPU. Got "
            "hardware.device=cpu. Set hardware.packing_backend=auto."
        )


def sharding(values: Values) -> Iterator[str]:
    """What `hardware.sharding=fsdp` cannot do, each found by trying it."""
    if values.get("hardware.sharding") != "fsdp":
        return
    if count() == 1:
        yield (
            "`hardware.sharding` fsdp spreads the weights over several processes, and this is one. Launch `torchrun "
            "--nproc-per-node=<GPUs> -m edu_align.train ...` (for a plan: WORLD_SIZE=<GPUs> before python), or set "
            "hardware.sharding=none."
        )
    if values.get("adapter.name") != "full":
        return
    optimizer = values.get("hardware.optimizer")
    if optimizer is not None and optimizer not in SHARDED_OPTIMIZERS:
        yield (
            f"`hardware.optimizer` must be one of {listed(SHARDED_OPTIMIZERS)} with hardware.sharding=fsdp and "
            f"adapter=full, got {optimizer!r}: it cannot update sharded weights. Set hardware.optimizer=adamw_torch."
        )
    if values.get("hardware.dtype") == "float16":
        yield (
            "`hardware.dtype` float16 with hardware.sharding=fsdp and adapter=full would scale each process' part of "
            "the gradients by itself. Set hardware.dtype=bfloat16 or float32, or adapter=lora."
        )
    if values.get("trainer.precompute_reference") is False:
        yield (
            "`trainer.precompute_reference` must be true with hardware.sharding=fsdp and adapter=full, got False: "
            "sharded weights cannot be copied for a reference model. Set trainer.precompute_reference=true."
        )


def _export(values: Values) -> Iterator[str]:
    """A problem for a repository that is no owner/name, and for a converter with nothing to convert to."""
    repository, converter = values.get("export.push_to_hub"), values.get("export.converter")
    if repository is not None and not _REPOSITORY.fullmatch(repository):
        yield f"`export.push_to_hub` must be owner/name on the hub, got {repository!r}. Example: my-name/my-tutor."
    if converter is not None and values.get("export.gguf") is None:
        yield "`export.converter` writes a GGUF, and `export.gguf` is null. Set export.gguf=f16, or drop the converter."
    yield from _quantizer(values.get("export.gguf"), converter, values.get("export.quantizer"))


def _quantizer(kind: Any, converter: str | None, quantizer: str | None) -> Iterator[str]:
    """A problem for a type of numbers that needs llama-quantize and has none, and for one with nothing to quantize."""
    needed = "Set export.quantizer=<llama.cpp's llama-quantize>"
    if quantizer is not None and kind not in (*BLOCK_TYPES, *K_TYPES):
        yield (
            f"`export.quantizer` rounds a GGUF to blocks of few bits, and `export.gguf` is {kind or 'null'}. "
            "Set export.gguf=q4_k_m, or drop the quantizer."
        )
    elif quantizer is None and kind in K_TYPES:
        yield f"`export.gguf` {kind} is written by llama.cpp alone. {needed}, or export.gguf=q4_0, which needs nothing."
    elif quantizer is None and converter is not None and kind in BLOCK_TYPES[1:]:
        yield f"`export.gguf` {kind} is none that `export.converter` writes. {needed}, or export.gguf=q8_0."


def _judge(values: Values) -> Iterator[str]:
    """A problem for an endpoint that is no address or holds a password, a missing model, and half a price."""
    endpoint, model = values.get("evaluation.judge"), values.get("evaluation.judge_model")
    if endpoint is not None:
        if endpoint != LOCAL_JUDGE:
            yield from _address(endpoint)
        if not model:
            name = "a model option, hub id, folder or .gguf" if endpoint == LOCAL_JUDGE else "its name at the endpoint"
            yield f"`evaluation.judge` needs a model, got null. Set evaluation.judge_model=<{name}>."
    elif model is not None:
        yield f"`evaluation.judge_model` is {model!r}, and `evaluation.judge` is null. Set both, or neither."
    prices = [values.get(f"evaluation.judge_price_{way}") for way in ("in", "out")]
    if prices.count(None) == 1:
        yield (
            "`evaluation.judge_price_in` and `evaluation.judge_price_out` go together, "
            f"got {prices[0]} and {prices[1]}. Set both, or neither."
        )


def _address(endpoint: str) -> Iterator[str]:
    try:
        parts = urlsplit(endpoint)
        host, query = parts.hostname, parts.query
    except ValueError:
        parts, host, query = None, None, ""
    if parts is None or parts.scheme not in ("http", "https") or not host:
        yield (
            f"`evaluation.judge` must be the base URL of an endpoint or {LOCAL_JUDGE} (a model on this machine), got "
            f"{endpoint!r}. Example: evaluation.judge=http://localhost:8000/v1."
        )
    elif query:
        yield (
            "`evaluation.judge` must hold no query: the config is kept with the run. Put the key into the environment "
            "variable OPENAI_API_KEY."
        )


def _metrics(values: Values) -> Iterator[str]:
    name = next((name for name in values.get("evaluation.metrics") or [] if name not in METRICS), None)
    if name is not None:
        yield f"`evaluation.metrics`: {name!r} is no metric.{did_you_mean(name, METRICS)} Metrics: {listed(METRICS)}."


def _tracking(values: Values) -> Iterator[str]:
    """A problem for tags and a project that W&B does not take."""
    if values.get("tracking.name") == "off":
        return
    for tag in values.get("tracking.tags") or []:
        if not 1 <= len(tag) <= LONGEST_TAG:
            yield f"`tracking.tags`: W&B takes tags of 1 to {LONGEST_TAG} letters, got one of {len(tag)}: {tag!r}."
    project = values.get("tracking.project")
    if project is not None and (not 1 <= len(project) <= LONGEST_PROJECT or set(project) & set(r"/\#?%:")):
        yield (
            f"`tracking.project` must have 1 to {LONGEST_PROJECT} letters and none of / \\ # ? % :, got {project!r}. "
            "Example: tracking.project=my-tutors."
        )


def _places(values: Values) -> Iterator[str]:
    data, outputs = values.get("data_root"), values.get("outputs_root")
    if data is not None and not Path(data).is_dir():
        yield f"`data_root` must be a folder, and {data!r} is none. Set it, or EDU_ALIGN_DATA, to one, or to null."
    if outputs is not None and (problem := folder_problem("outputs_root", Path(outputs))):
        yield problem
    if (name := values.get("run_name")) is not None and (problem := name_problem("run_name", name)):
        yield problem


_RULES: tuple[Callable[[Values], Iterator[str]], ...] = (
    _steps, _trainer, _sources, _mixing, _labels, _pairs, _reward, _replies, _contrast, _local_file, problems_of_split,
    _model, _hardware, problems_of_adapter, sharding, _export, problems_of_sweep, _judge, _places, _metrics, _tracking,
    problems_of_rounds,
)  # fmt: skip
