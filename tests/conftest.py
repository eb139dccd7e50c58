"""What the tests of the heavy core share: tiny configs, tiny models, and training runs that are paid for once."""

import gc
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edu_align.utils.program import share_processors
from tests.composing import composed, config_of, read_files_once  # noqa: F401 - config_of is imported from here too

share_processors()
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test` would have every process that a test starts ignore it
pytest_plugins = ("tests.browser",)
# Nobody's own settings: no test, and no process that one starts, reads ~/.config/edu_align/config.yaml.
_nobodys = tempfile.TemporaryDirectory(prefix="edu_align-tests-")
os.environ["XDG_CONFIG_HOME"] = _nobodys.name
TINY = [
    "model=tiny", "dataset=edu_tutor", "dataset.size=60", "tracking=off", "hardware=cpu", "hardware.dtype=float32",
    "hardware.threads=1", "hardware.per_device_batch_size=4", "hardware.eval_batch_size=4", "adapter.rank=4",
    "adapter.alpha=8", "trainer.batch_size=4", "trainer.max_steps=3", "trainer.learning_rate=1e-3",
    "trainer.lr_scheduler=constant", "trainer.warmup_ratio=0.0", "dataset.max_train_records=12",
    "dataset.max_eval_records=2", "evaluation.max_groups=4", "evaluation.samples=2", "evaluation.max_new_tokens=4",
    "evaluation.bootstrap_samples=100",
]  # fmt: skip


@pytest.hookimpl(hookwrapper=True)
def pytest_collection() -> Iterator[None]:
    """Python's rounds for garbage wait for the end of the collection, which makes thousands of objects that stay; no
    later round looks at them again.
    """
    gc.disable()
    yield
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked `cases("A1", "A2")` bears the ids of the cases that it holds: `test_of_rows[A1-A2]`."""
    held = [case for mark in metafunc.definition.iter_markers("cases") for case in mark.args]
    if held:
        metafunc.fixturenames.append("_cases")
        metafunc.parametrize("_cases", ["-".join(held)], ids=["-".join(held)])


@pytest.fixture(scope="session", autouse=True)
def no_sync() -> Iterator[None]:
    """Files are not synced to the disk: a process that is killed loses nothing that it wrote, only a power cut does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def files_of_conf() -> Iterator[None]:
    """Hydra reads each file of conf/ once a process."""
    with pytest.MonkeyPatch.context() as patch:
        read_files_once(patch)
        yield


WRAPPED = "base_model.model."  # before the names of a model that PEFT has wrapped
Compose = Callable[..., Any]


@dataclass
class Observed:
    """A finished run, and the model before and after it: parameters by name, and the names of the trainable ones."""

    path: Path
    record: dict[str, Any]
    folder: Any
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    trained: set[str] = field(default_factory=set)
    sharing: Any = None


def parameters(model: Any) -> dict[str, Any]:
    """Copies of the parameters by their names in the base model, whether it is wrapped by PEFT or not."""
    return {name.removeprefix(WRAPPED): value.detach().clone() for name, value in model.named_parameters()}


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def tiny(outputs: Path) -> Compose:
    """`tiny("trainer=dpo")`: the config of a run that takes a second; `adapter=full` clears LoRA's keys."""

    def config(*overrides: str) -> Any:
        given = [*TINY, f"outputs_root={outputs}", "data_root=null", *overrides]
        if "adapter=full" in overrides:
            given = [word for word in given if not word.startswith("adapter.")]
        return composed(*given)

    return config


@pytest.fixture(scope="session")
def typed(tiny: Compose) -> Compose:
    """The same as dataclasses, as the package's functions take it."""
    from omegaconf import OmegaConf

    return lambda *overrides: OmegaConf.to_object(tiny(*overrides))


@pytest.fixture
def go(tiny: Compose, tmp_path: Path) -> Callable[..., Any]:
    """`go("trainer=sft", root="a")`: run the tiny config in a folder of this test; RunFolder, or None for a preview."""
    from edu_align.training.run import run

    return lambda *words, root="": run(tiny(f"outputs_root={tmp_path / root}", *words))


@pytest.fixture(scope="session")
def train(tiny: Compose, outputs: Path) -> Callable[..., Observed]:
    """`train("trainer=sft", "run_name=a")`: run it and look at the model before and after."""

    def go(*overrides: str) -> Observed:
        from edu_align.training.run import run
        from edu_align.training.session import Session

        sessions: list[Any] = []
        original, before = Session.train, {}

        def watched(self: Any) -> None:
            sessions.append(self)
            before.update(parameters(self.model))
            original(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "train", watched)
            folder = run(tiny(*overrides))
        (session,) = sessions
        trained = {name.removeprefix(WRAPPED) for name, p in session.model.named_parameters() if p.requires_grad}
        assert folder is not None
        return Observed(folder.path, folder.record, folder, before, parameters(session.model), trained, session.sharing)

    return go


REPLIES = [
    "trainer.num_generations=4", "trainer.batch_size=8", "trainer.max_completion_length=12",
    "trainer.rewards={asks_question: 1, leaks_answer: -1, human_length: 1}",
]  # fmt: skip
RUNS = {
    "sft": ["trainer=sft"],
    "dpo": ["trainer=dpo"],
    "kto": ["trainer=kto"],
    "dpo_on_sft": ["trainer=dpo", "init_from=sft"],
    "kto_on_sft": ["trainer=kto", "init_from=sft"],
    "grpo": ["trainer=grpo", *REPLIES],
    "grpo_on_sft": ["trainer=grpo", "init_from=sft", *REPLIES],
    "sft_full": ["trainer=sft", "adapter=full"],
    "reward": ["trainer=reward"],
    "reward_on_sft": ["trainer=reward", "init_from=sft"],
    "reward_full": ["trainer=reward", "adapter=full"],
    "dpo_full": ["trainer=dpo", "adapter=full", "init_from=sft_full"],
}


@pytest.fixture(scope="session")
def runs(train: Callable[..., Observed]) -> Callable[[str], Observed]:
    """`runs("dpo_on_sft")`: a finished run of RUNS, trained on the first call, after the run that it starts from."""

    @cache
    def get(name: str) -> Observed:
        for word in RUNS[name]:
            if word.startswith("init_from="):
                get(word.removeprefix("init_from="))
        return train(*RUNS[name], f"run_name={name}")

    return get


@pytest.fixture(scope="session")
def random_model(typed: Compose) -> Callable[..., Any]:
    """`random_model("mistral", sliding_window=16)`: a random tiny model in float32, the same for the same arguments."""

    def build(model_type: str = "llama", seed: int = 0, **shape: Any) -> Any:
        import torch

        from edu_align.models.device import Device
        from edu_align.models.locate import Location
        from edu_align.models.weights import load_model

        torch.set_num_threads(1)
        config = typed("trainer=sft").model
        config.architecture = replace(config.architecture, model_type=model_type, **shape)
        device = Device("cpu", "float32", "sdpa", "none", ())
        model = load_model(config, Location(None, "random:tiny"), device, seed, False)
        model.config.use_cache = False
        return model

    return build


@pytest.fixture(scope="session")
def bytes_tokenizer(typed: Compose) -> Any:
    from edu_align.models.tokenizer import load_tokenizer

    return load_tokenizer(typed("trainer=sft").model, None)


@pytest.fixture(scope="session")
def smollm2_tokenizer() -> Any:
    """The bundled model's own tokenizer, read from its package."""
    from importlib.util import find_spec

    from transformers import AutoTokenizer

    from edu_align.models.locate import BUNDLED_FILE, BUNDLED_PACKAGE

    spec = find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip(f"the package {BUNDLED_PACKAGE} is not installed")
    return AutoTokenizer.from_pretrained(str(Path(spec.origin).parent), gguf_file=BUNDLED_FILE)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The public data sets' files beside the repository, or where EDU_ALIGN_DATA says."""
    root = Path(os.environ.get("EDU_ALIGN_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (root / "mrbench").is_dir():
        pytest.skip(f"no public data in {root}")
    return root


@pytest.fixture(scope="session")
def mistral_folder(tmp_path_factory: pytest.TempPathFactory, random_model: Callable[..., Any]) -> Path:
    """A tiny Mistral and a byte tokenizer without a chat template, as save_pretrained leaves them."""
    from edu_align.models.tokenizer import byte_tokenizer

    folder = tmp_path_factory.mktemp("models") / "small-mistral"
    random_model("mistral", sliding_window=64).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def no_wandb_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the user's W&B: no key, no setting, no netrc."""
    for name in ("API_KEY", "MODE", "DIR", "RUN_ID", "BASE_URL", "RUN_GROUP"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
