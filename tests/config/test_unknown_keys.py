"""A key or option that does not exist fails with the nearest one named, wherever it was written."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from edu_align.config.comments import conf_dir
from edu_align.config.compose import compose
from edu_align.config.keys import every_key
from edu_align.config.precheck.command_line import check
from edu_align.config.precheck.files import Files
from edu_align.config.schema import Config
from edu_align.utils.errors import UserError
from edu_align.utils.words import nearest
from tests.config.conftest import Here

Problems = Callable[..., list[str]]
KEYS = every_key()


def mistyped(key: str) -> str:
    """The key with two neighbouring letters of its last part swapped, or doubled where they are equal."""
    parent, _, last = key.rpartition(".")
    wrong = f"{last[0]}{last[2]}{last[1]}{last[3:]}" if len(last) > 2 and last[1] != last[2] else last + last[-1]
    return f"{parent}.{wrong}" if parent else wrong


@pytest.mark.parametrize("group", Config.__dataclass_fields__)
def test_every_mistyped_key_names_the_right_one(problems: Problems, group: str) -> None:
    keys = [key for key in KEYS if key.partition(".")[0] == group]
    found = problems("trainer=dpo", *(f"{mistyped(key)}=1" for key in keys))
    assert len(found) == len(keys) > 0
    for text, key in zip(found, keys, strict=True):
        assert text.startswith(f"`{mistyped(key)}` is not a key. Did you mean `{key}`?")


@pytest.mark.parametrize("sign", ["", "+", "++", "~"])
def test_no_sign_lets_an_unknown_key_through(problems: Problems, sign: str) -> None:
    value = "" if sign == "~" else "=1"
    assert problems("trainer=dpo", f"{sign}trainer.bata{value}") == [
        "`trainer.bata` is not a key. Did you mean `trainer.beta`?"
    ]
    (found,) = problems(f"{sign}foo{value}")
    assert found.startswith("`foo` is not a key.")
    assert "Root keys: seed, outputs_root" in found


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model=zefyr", "`model=zefyr` is not an option. Did you mean `model=zephyr`?"),
        (
            "trainer=dpo_schema",
            "`trainer=dpo_schema` is not an option. Options of trainer: dpo | grpo | kto | reward | sft.",
        ),
        ("modle=zephyr", "`modle` is not a key. Did you mean `model`?"),
        ("model@other=zephyr", "`model@other` is not a group. Groups: adapter | dataset"),
        ("trainers/x=1", "`trainers/x` is not a group."),
        ("trainer.beta=0.1", "`trainer.beta` belongs to trainer=dpo | trainer=kto | trainer=grpo, and this config has"),
        ("trainer.bata=0.1", "`trainer.bata` is not a key. Did you mean `trainer.beta`? It belongs to trainer=dpo |"),
        ("beta=0.1", "`beta` is not a key. Did you mean `trainer.beta`?"),
        ("dropout=0.1", "`dropout` is not a key. Did you mean `adapter.dropout`?"),
        ("trainer.max_steps=many", "`trainer.max_steps` must be a whole number, got 'many'."),
        ("trainer.max_steps=1.5", "`trainer.max_steps` must be a whole number, got 1.5."),
        ("seed=x", "`seed` must be a whole number, got 'x'."),
        ("seed=null", "`seed` must be a whole number, got None."),
        ("dataset.sources=mathdial", "`dataset.sources` must be a list of text, got 'mathdial'. Write [mathdial]."),
        ("hardware.memory_gb=much", "`hardware.memory_gb` must be a number or null, got 'much'."),
        ("model.bundled=perhaps", "`model.bundled` must be true or false, got 'perhaps'."),
        ("evaluation=off", "`evaluation` holds keys and cannot be 'off': set the keys below it."),
        ("+seed=1", "`+seed`: the key is there already. Drop the `+`: `seed=...`."),
        ("~seed", "`~seed`: keys of the schema cannot be deleted."),
        ("~tracking", "`~tracking`: every config has an option of tracking. Choose one: off | wandb."),
        ("+trainer=dpo", "`+trainer=dpo`: the group is there already. Drop the `+`."),
        ("trainer.args.tf32=true", "`trainer.args.tf32` is new below `trainer.args`. Put a `+` before it"),
        ("~trainer.args.tf32", "`~trainer.args.tf32`: there is no such key to delete."),
        ("model.architecture={vocab_siz:3}", "`model.architecture.vocab_siz` is not a key. Did you mean `model."),
        ("seed", "`seed` cannot be read as key=value"),
        ("run_name=a,=b", "`run_name=a,=b` cannot be read as key=value"),
    ],
)
def test_what_is_said_of_a_bad_override(problems: Problems, override: str, expected: str) -> None:
    (found,) = problems(override)
    assert found.startswith(expected)


def test_every_problem_is_reported_together(problems: Problems) -> None:
    found = problems("trainer=dpo", "trainer.bata=1", "modle=tiny", "seed=x", "trainer.learning_rate=-1", "model=tinny")
    named = ["modle", "model=tinny", "trainer.bata", "seed", "trainer.learning_rate"]
    assert [text.split("`")[1] for text in found] == named


def test_compose_raises_them_as_one_error() -> None:
    with pytest.raises(UserError) as caught:
        compose(["foo=1", "seed=x"])
    assert str(caught.value).startswith("2 problems in the config:\n  - `foo` is not a key.")
    assert "\n  - `seed` must be a whole number, got 'x'." in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("model/mine", "defaults: [tiny, _self_]\nnmae: mine\n", "`model.nmae` is not a key. Did you"),
        ("trainer/mine", "defaults: [dpo, _self_]\nbeta: high\n", "`trainer.beta` must be a number"),
        ("trainer/mine", "defaults: [sft, _self_]\nbeta: 0.1\n", "`trainer.beta` belongs to trainer=dpo"),
        ("trainer/mine", "defaults: [sfd, _self_]\n", "defaults: no config `trainer/sfd`"),
        ("trainer/mine", "algorithm: dpo\n", "names no schema. Begin it with `defaults: [dpo_schema, _"),
        ("hardware/mine", "defaults: [cpu, _self_]\nthreads: 2\nthreads: 3\n", "cannot be read as YAML"),
        ("hardware/mine", "defaults: [cpu, _self_]\nthreads: [2\n", "cannot be read as YAML"),
        ("hardware/mine", "defaults: {cpu: _self_}\n", "cannot be read as YAML: its defaults must be a list"),
        ("hardware/mine", "threads", "must hold `key: value` lines, got str"),
        ("experiment/mine", "# @package _global_\nrun_name: ${\n", "`run_name` must be text or null, got '${'"),
        ("experiment/mine", "# @package hydra.run\ndir: ${\n", "`hydra.run.dir` cannot be read"),
        ("hardware/mine", "- cpu\n", "must hold `key: value` lines, got list"),
        (
            "experiment/mine", "# @package _global_\ndefaults:\n  - override /trainer: dop\n",
            "defaults: `trainer=dop` is not an option. Did you mean `trainer=dpo`?",
        ),
        (
            "experiment/mine", "# @package _global_\ndefaults:\n  - override /tracking: off\n",
            "defaults: `tracking=False` is not an option. YAML reads a bare on or off as true or false",
        ),
        (
            "experiment/mine", "# @package _global_\ntrainer:\n  bata: 1\n",
            "`trainer.bata` is not a key. Did you mean `trainer.beta`?",
        ),
        ("model/tiny", "name: mine\n", "never read, because conf/model/tiny.yaml has its name."),
    ],
)  # fmt: skip
def test_a_mistake_in_a_yaml_file_names_the_file(
    problems: Problems, tmp_path: Path, name: str, text: str, expected: str
) -> None:
    path = tmp_path / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    found = problems(name.replace("/", "="), folder=tmp_path)
    assert found[0].startswith(f"{path}: {expected}")


def test_what_only_the_parser_in_c_reads_is_one_error_too(tmp_path: Path) -> None:
    path = tmp_path / "hardware" / "mine.yaml"
    path.parent.mkdir()
    path.write_text("defaults: [cpu, _self_]\nthreads:\t2\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot be read as YAML: .*mine\.yaml"):
        compose(["hardware=mine"], [tmp_path])


def test_a_mistake_in_edu_aligns_own_files_is_found_too(tmp_path: Path) -> None:
    copytree(conf_dir(), tmp_path / "conf")
    file = tmp_path / "conf" / "trainer" / "sft.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "epoch: 2\n", encoding="utf-8")
    assert check([], Files(tmp_path / "conf", [])) == [
        "conf/trainer/sft.yaml: `trainer.epoch` is not a key. Did you mean `trainer.epochs`?"
    ]


def test_a_folder_of_ones_own_adds_options_and_groups(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [tiny, _self_]\nname: mine\n", encoding="utf-8")
    (tmp_path / "extra").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /trainer: dpo\ntrainer:\n  beta: 0.7\n"
    (tmp_path / "extra" / "x.yaml").write_text(text, encoding="utf-8")
    composed = compose(["model=mine", "+extra=x"], [tmp_path])
    assert (composed.model.name, composed.model.weights, composed.trainer.beta) == ("mine", "random", 0.7)
    assert problems("extra=x", folder=tmp_path) == [
        "`extra=x`: the group is not in the defaults list. Put a `+` before it: `+extra=x`."
    ]


def test_folders_that_only_hydra_searches(here: Here, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [tiny, _self_]\nname: mine\n", encoding="utf-8")
    place = f"hydra.searchpath=[file://{tmp_path}]"
    assert here(place, "model=mine", "--cfg", "job", "-p", "model.name")[:2] == (0, "mine\n")
    for word, said in (("model=mien", "Could not find 'model/mien'"), ("model.nmae=x", "'nmae' not in 'ModelConfig'")):
        code, _, err = here(place, word)
        assert (code, said in err, "Traceback" in err) == (2, True, False), err


def test_a_primary_config_of_ones_own(problems: Problems, tmp_path: Path) -> None:
    text = "defaults:\n  - config\n  - override /trainer: dpo\n  - _self_\ntrainer:\n  beta: 0.5\n  bata: 1\n"
    (tmp_path / "mine.yaml").write_text(text.replace("  - _self_\n", "", 1).replace("config\n", "config\n  - _self_\n"))
    (found,) = problems(folder=tmp_path, primary="mine")
    assert found.startswith(f"{tmp_path}/mine.yaml: `trainer.bata` is not a key.")
    (found,) = problems(folder=tmp_path, primary="mone")
    assert found == "There is no config `mone`. Did you mean `mine`? Configs: config | mine."


def test_the_nearest_word() -> None:
    assert nearest("beta", ["seed", "trainer.beta", "model.beta_x"]) == "trainer.beta"
    assert nearest("tranier.beta", ["trainer.beta", "model.name"]) == "trainer.beta"
    assert nearest("xyz", ["trainer.beta", "model.name"]) is None
