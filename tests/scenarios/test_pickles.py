"""No pickle is loaded and no code of a model's folder is run, whatever lies in the folders that a user points at."""

import ast
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edu_align.runs.checkpoints import checkpoints, seal
from edu_align.utils.errors import UserError
from tests.killing import in_child, killed_at

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = sorted((REPOSITORY / "edu_align").rglob("*.py")) + sorted((REPOSITORY / "hydra_plugins").rglob("*.py"))
AUTO = ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM")


class Evil:
    """A pickle that makes a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def arm(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(Evil(mark)))
    pickle.loads(file.read_bytes())  # it is armed
    assert mark.exists()
    mark.unlink()


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{file.relative_to(REPOSITORY)}:{node.lineno}", ast.unparse(node.func), node


def constant(call: ast.Call, name: str) -> Any:
    return next((k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None)


def test_no_call_in_the_package_loads_a_pickle_or_runs_code() -> None:
    found, looked = [], 0
    for where, name, call in calls():
        looked += 1
        if name.endswith(("pickle.load", "pickle.loads", "joblib.load", "dill.load", "shelve.open", "Unpickler")):
            found.append(f"{where}: {name}")
        if name == "torch.load" and constant(call, "weights_only") is not True:
            found.append(f"{where}: torch.load without weights_only=True")
        if name in ("np.load", "numpy.load") and constant(call, "allow_pickle") is not False:
            found.append(f"{where}: {name} without allow_pickle=False")
        if name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load") and "Loader" not in ast.unparse(call):
            found.append(f"{where}: {name} without a safe loader")
        if name in ("eval", "exec", "os.system") or constant(call, "shell") is True:
            found.append(f"{where}: {name}")
        if constant(call, "trust_remote_code") is True:
            found.append(f"{where}: trust_remote_code=True")
    assert looked > 3000
    assert found == []


def test_every_model_is_loaded_without_code_and_from_safetensors() -> None:
    seen = 0
    for where, name, call in calls():
        owner, _, method = name.rpartition(".")
        if owner in AUTO and method in ("from_pretrained", "from_config"):
            seen += 1
            assert constant(call, "trust_remote_code") is False, where
            if owner == "AutoModelForCausalLM" and method == "from_pretrained":
                gguf = "GgufConfig" in ast.unparse(call)  # a format of tensors
                assert constant(call, "use_safetensors") is True or gguf, where
        if name.endswith(("PeftModel.from_pretrained", ".load_adapter")):
            seen += 1
            assert constant(call, "use_safetensors") is True, where
        if name.endswith("load_dataset"):
            seen += 1
            assert "revision=home.revision" in ast.unparse(call), where
    assert seen >= 12


def test_pickle_is_imported_for_its_error_alone() -> None:
    modules = {"pickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
    found = set()
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names if name.name.partition(".")[0] in modules}
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in modules:
                found |= {f"{node.module}.{name.name}" for name in node.names}
    assert found == {"pickle.UnpicklingError"}


def test_no_config_allows_code() -> None:
    for file in (REPOSITORY / "conf").rglob("*.yaml"):
        for line in file.read_text(encoding="utf-8").splitlines():
            setting = line.partition("#")[0]
            assert "trust_remote_code" not in setting or setting.strip() == "trust_remote_code: false", file
            assert "_target_" not in setting or file.parent.name in ("sweeper", "launcher"), file


UNMEASURED = "evaluation.enabled=false"
BYTES = ["trainer=sft", "model.weights=pretrained", "model.tokenizer=null", UNMEASURED]


@pytest.fixture
def model(random_model: Callable[..., Any], tmp_path: Path) -> Path:
    """The folder of a model that is in order."""
    from edu_align.models.tokenizer import byte_tokenizer

    random_model().save_pretrained(tmp_path / "model")
    byte_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """The file that planted code makes: there is none at the end of the test."""
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("trick", ["alone", "beside another file", "named by the index", "index of a pickle"])
def test_a_model_of_pickled_weights_is_refused(go: Any, model: Path, mark: Path, trick: str) -> None:
    arm(model / "pytorch_model.bin", mark)
    weights = model / "model.safetensors"
    if trick == "beside another file":
        weights.rename(model / "other.safetensors")
    else:
        weights.unlink()
    if trick == "named by the index":
        index = {"metadata": {}, "weight_map": {"model.norm.weight": "pytorch_model.bin"}}
        (model / "model.safetensors.index.json").write_text(json.dumps(index))
    if trick == "index of a pickle":
        arm(model / "model.safetensors.index.json", mark)
    with pytest.raises(UserError, match=r"`model\.path`: .*pickled weights are never loaded"):
        go(*BYTES, f"model.path={model}")


def test_code_in_a_models_folder_is_not_run(go: Any, model: Path, mark: Path) -> None:
    """A known kind of model is loaded by transformers' own classes; an unknown one is refused."""
    code = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
    for name in ("configuration_evil", "modeling_evil", "tokenization_evil"):
        (model / f"{name}.py").write_text(code + "class Evil: pass\n")
    shape = json.loads((model / "config.json").read_text())
    own = {"AutoConfig": "configuration_evil.Evil", "AutoModelForCausalLM": "modeling_evil.Evil"}
    (model / "config.json").write_text(json.dumps({**shape, "auto_map": own}))
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    tokenizer["auto_map"] = {"AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"]}
    (model / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    assert go(*BYTES, f"model.path={model}", "trainer.max_steps=1").record["state"] == "finished"
    assert not mark.exists()
    (model / "config.json").write_text(json.dumps({**shape, "model_type": "evil", "auto_map": own}))
    with pytest.raises(UserError, match=r"`model\.path`: .*Code in a model's folder is never run"):
        go(*BYTES, f"model.path={model}", "trainer.max_steps=2")


def test_remote_code_cannot_be_asked_for(tiny: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"`model\.trust_remote_code` must be false"):
        tiny("trainer=sft", "model.trust_remote_code=true")


def test_a_pickled_adapter_is_refused(go: Any, runs: Any, tmp_path: Path, mark: Path) -> None:
    copy = tmp_path / "evil"
    shutil.copytree(runs("sft").path, copy)
    (copy / "adapter" / "adapter_model.safetensors").unlink()
    arm(copy / "adapter" / "adapter_model.bin", mark)
    with pytest.raises(UserError, match=r"adapter_model\.safetensors; pickled weights are never loaded"):
        go("trainer=dpo", f"init_from={copy}", "accept_changed=true", UNMEASURED)


@pytest.mark.parametrize(
    "name",
    [
        "optimizer.pt",
        pytest.param("scheduler.pt", marks=pytest.mark.slow),
        pytest.param("rng_state.pth", marks=pytest.mark.slow),
    ],
)
def test_a_pickle_in_a_checkpoint_is_refused(go: Any, tmp_path: Path, mark: Path, name: str) -> None:
    """Its manifest lists the planted file's own sha256, so that only how it is read is in its way."""
    words = ["trainer=sft", "run_name=it", UNMEASURED, "trainer.max_steps=4", "trainer.save_steps=2"]
    with killed_at("on_step_end", 3):
        assert in_child(lambda: go(*words)) == -9
    (checkpoint,) = checkpoints(tmp_path / "runs" / "it" / "checkpoints").values()
    arm(checkpoint / name, mark)
    (checkpoint / "manifest.json").unlink()
    seal(checkpoint)
    with pytest.raises(UserError, match="holds something else than tensors, which is not loaded"):
        go(*words)
    shutil.rmtree(checkpoint)
    assert go(*words).record["state"] == "finished"
