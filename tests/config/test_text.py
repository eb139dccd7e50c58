"""A text key takes what was typed: in train and plan, in the programs with run=, in a sweep, and in a shell again."""

import random
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from edu_align.config.arguments import key_values, parse, quoted
from edu_align.config.compose import compose
from edu_align.config.schema import Config
from edu_align.config.stored import stored_config
from edu_align.config.text import as_argument, for_hydra, text_of
from edu_align.utils.errors import UserError
from tests.config.conftest import Here

Problems = Callable[..., list[str]]
TYPED = [
    ("run_name", "2024_01_15"), ("run_name", "007"), ("run_name", "1e5"), ("run_name", "true"), ("run_name", ".5"),
    ("init_from", "4e2"), ("init_from", "12345678"), ("init_from", "nan"), ("model.revision", "1_000"),
    ("outputs_root", "donnés"), ("outputs_root", "Läufe (neu) [2]"), ("outputs_root", "実験"),
    ("tracking.project", "é"), ("dataset.split_seed", "-0"), ("objective", "eval/a b"), ("model.name", "a:b"),
    ("tracking.group", "50%"),
    ("dataset.system_prompt", "Use #tags # here"), ("dataset.system_prompt", "Be kind, ask first: why = what?"),
    ("dataset.system_prompt", "It's \"so\" {x} [y] (z) & \\(a\\) \\ 'q'"), ("dataset.system_prompt", " blanks "),
    ("dataset.system_prompt", "line\nline"), ("dataset.system_prompt", "["), ("dataset.system_prompt", "{a: 1}"),
    ("dataset.system_prompt", "[1, 2]"), ("dataset.system_prompt", "- x"), ("dataset.system_prompt", "a: b"),
    ("dataset.system_prompt", "~"), ("dataset.system_prompt", "f(x)"), ("dataset.system_prompt", "???!"),
]  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config.yaml of a run."""
    path = tmp_path_factory.mktemp("run") / "config.yaml"
    OmegaConf.save(compose(["tracking=off"]), path)
    return path


def parsed(word: str) -> object:
    return OverridesParser.create().parse_override(word).value()


def chosen(config: object, key: str) -> object:
    return OmegaConf.select(OmegaConf.create(OmegaConf.to_container(OmegaConf.structured(config))), key)


@pytest.mark.cases("A14")
@pytest.mark.parametrize(("key", "text"), TYPED, ids=[f"{key}={text!r}" for key, text in TYPED])
def test_every_reader_gives_the_text_that_was_typed(kept: Path, key: str, text: str) -> None:
    """As it stands, and as an error shows it, through a shell and back."""
    for several in (False, "," not in text):
        (word,) = for_hydra([f"{key}={text}"], several)
        assert parsed(word) == text
        assert for_hydra([word], several) == [word]
    config = stored_config(kept, {key: text})
    assert chosen(config, key) == text
    (typed,) = shlex.split(as_argument(key, text))
    assert parsed(for_hydra([typed], True)[0]) == text
    assert text_of(key, typed.partition("=")[2]) == text


@pytest.mark.cases("A14")
def test_a_whole_command_line_composes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pairs (1).jsonl").write_text("{}\n", encoding="utf-8")
    local = ["dataset=local", "tracking=off"]
    for path in ("pairs (1).jsonl", "~/pairs (1).jsonl"):
        words = [*local, f"dataset.path={path}", "run_name=2024_01_15", "+dataset.columns.prompt=Frage (neu)"]
        made = compose([*words, "tracking.tags=[2024_01, 4e2, ok]", "init_from=null", "model.revision="])
        assert Path(made.dataset.path).resolve() == (tmp_path / "pairs (1).jsonl").resolve()
        assert (made.run_name, made.init_from, made.model.revision) == ("2024_01_15", None, "")
        assert made.dataset.columns == {"prompt": "Frage (neu)"}
        assert made.tracking.tags == ["2024_01", "4e2", "ok"]
    assert compose(["outputs_root=out", "run_name=${outputs_root}-a"]).run_name == "out-a"


@pytest.mark.cases("A14")
@pytest.mark.parametrize("key", ["dataset.system_prompt", "run_name", "init_from", "export.gguf", "outputs_root"])
@pytest.mark.parametrize("word", ["None", "none", "NULL"])
def test_only_null_is_null(here: Here, kept: Path, key: str, word: str) -> None:
    code, _, err = here(f"{key}={word}")
    assert code == 2
    assert f"`{key}={word}`: only null is no value. Write {key}=null" in err
    with pytest.raises(UserError) as caught:
        stored_config(kept, {key: word})
    assert str(caught.value) in err
    (typed,) = shlex.split(err.rpartition("this very text ")[2].strip().removesuffix("."))
    assert text_of(key, typed.partition("=")[2]) == word
    assert text_of(key, "null") is None


@pytest.mark.cases("A14")
def test_the_program_takes_the_text_too(here: Here) -> None:
    words = ["run_name=2024_01_15", "dataset.system_prompt=Ask #1, then (2)", "--cfg", "job", "-p"]
    assert here(*words, "run_name") == (0, "2024_01_15\n", "")
    assert here(*words, "dataset.system_prompt")[1] == "Ask #1, then (2)\n"


def test_words_of_an_enumeration_stay_words(problems: Problems) -> None:
    assert for_hydra(["hardware.quantization=none", "hardware.sharding=none"], False)[0].endswith("=none")
    assert compose(["hardware.packing=off", "hardware.quantization=none"]).hardware.packing == "off"
    (found,) = problems(*for_hydra(["trainer=dpo", "trainer.loss_type=ipo,hinge"], False))
    assert found.startswith("`trainer.loss_type=ipo,hinge` gives several values. Add -m")


@pytest.mark.cases("A14")
def test_in_a_sweep_commas_part_the_texts() -> None:
    (word,) = for_hydra(["run_name=2024_01, a b,4e2"], several=True)
    swept = OverridesParser.create().parse_override(word)
    assert [parsed(f"run_name={value}") for value in swept.sweep_string_iterator()] == ["2024_01", "a b", "4e2"]
    kept = ["run_name=choice(a,b)", "run_name='a,b','c'", "seed=1,2", "--multirun", "~run_name", "trainer=sft,dpo"]
    assert for_hydra(kept, several=True) == kept


@pytest.mark.cases("A14")
def test_a_yaml_file_says_where_it_holds_no_text(problems: Problems, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\nrun_name: 2024_01_15\ninit_from: '4e2'\ndataset:\n  system_prompt: None\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text, encoding="utf-8")
    found = [re.sub(r"^\S+ ", "", one) for one in problems("experiment=mine", folder=tmp_path)]
    assert found == [
        '`run_name` must be text, and YAML reads 20240115 here. Put what you mean in quotes: "...".',
        "`dataset.system_prompt`: None is a text to YAML. Write null for no value.",
    ]


def test_a_path_in_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "experiment").mkdir()
    text = '# @package _global_\noutputs_root: "~/out"\ndataset:\n  system_prompt: "a ~/b"\n'
    (tmp_path / "experiment" / "mine.yaml").write_text(text, encoding="utf-8")
    made = compose(["experiment=mine", "init_from=~/runs/a"], [tmp_path])
    assert (made.outputs_root, made.init_from) == (f"{tmp_path}/out", f"{tmp_path}/runs/a")
    assert made.dataset.system_prompt == "a ~/b"
    words = parse(["run=~/runs/a", "output=~/x"], ["output"])
    assert (words.runs, words.own) == ([f"{tmp_path}/runs/a"], {"output": f"{tmp_path}/x"})
    assert key_values(["run=~/a"], ["run"], "run") == {"run": f"{tmp_path}/a"}


def test_what_the_program_quotes_is_read_back() -> None:
    source, signs = random.Random(0), "ab'\"\\ ,=#~(){}[]$ü\n\t:.+-1%*@?|"
    for _ in range(300):
        text = "".join(source.choice(signs) for _ in range(source.randint(0, 8)))
        assert parsed(f"run_name={quoted(text)}") == text
        assert parsed(f"run_name={quoted(text, chr(34))}") == text


def test_each_stage_of_a_chain_gets_a_name_from_the_text_that_was_typed() -> None:
    from edu_align.training.chain import stages

    made = stages(["tutor_sft_cpu", "tutor_dpo_cpu"], ["run_name='2024_01'", "outputs_root='a b'", "tracking=off"])
    assert [config.run_name for _, config in made] == ["2024_01-tutor_sft_cpu", "2024_01-tutor_dpo_cpu"]
    assert isinstance(OmegaConf.to_object(made[0][1]), Config)


@pytest.mark.parametrize("word", ["hardware=cpu", "dataset=mrbench", "generation=5", "model.architecture=llama"])
def test_a_group_of_a_finished_run_is_not_chosen_again(kept: Path, word: str) -> None:
    key, _, value = word.partition("=")
    with pytest.raises(UserError) as caught:
        stored_config(kept, {key: value})
    assert f"`{word}`: a run keeps the options" in str(caught.value)
    (advised,) = re.findall(r"such as (\S+)=8\.", str(caught.value))
    assert chosen(stored_config(kept, {advised: "8"}), advised) == 8
