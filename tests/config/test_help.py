"""What --help answers: one screen, a group, an option, a key; all of it from conf/ and the schema."""

import re
from pathlib import Path

import pytest

from edu_align.config.comments import choices, conf_dir, entries, groups, options
from edu_align.config.help import WIDTH, help_text
from edu_align.config.help_pages import explained
from edu_align.config.keys import typed_keys
from tests.config.conftest import Here

CONF = [conf_dir()]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    text = "# A model of mine.\ndefaults: [tiny, _self_]\n# Called so.\nname: mine\n"
    (tmp_path / "model" / "mine.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_help_is_one_screen_with_every_option_and_root_key(here: Here, mine: Path) -> None:
    code, text, err = here("--help", "--config-dir", str(mine))
    words = text.replace("*", "").split()
    assert (code, err, text) == (0, "", help_text("edu_align.train", [*CONF, mine]))
    assert text.startswith("edu_align: python -m edu_align.train ")
    assert {path.stem for path in conf_dir().glob("[!h]*/*.yaml")} | {"mine", "trainer.<key>"} <= {*words}
    assert {key for key in typed_keys() if "." not in key} <= {*words}
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "sft*" in text


def test_a_group_names_its_options_and_keys_with_their_values(here: Here, mine: Path) -> None:
    code, text, _ = here("--help", "trainer")
    assert code == 0
    assert re.search(r"\n  sft\* +Supervised fine-tuning", text)
    assert "\n  trainer.batch_size=8    (another in 4 options)\n" in text
    assert "\n  trainer.beta=0.1    (trainer=dpo | trainer=kto | trainer=grpo)\n" in text
    assert re.search(r"\n  mine +A model of mine\.\n", here("--help", "model", f"--config-dir={mine}")[1])


@pytest.mark.parametrize("name", [*groups(CONF), "evaluation", "model.architecture", "hydra/launcher"])
def test_every_group_and_part_is_explained(name: str) -> None:
    text = explained(name, CONF)
    assert text.startswith(f"{name}: ") or name == "hydra/launcher"
    assert all(len(line) <= WIDTH or "=[" in line for line in text.splitlines())


def test_an_option_is_printed_with_values_and_comments(here: Here, mine: Path) -> None:
    code, text, _ = here("trainer=dpo", "--help")
    assert code == 0
    for entry in entries(conf_dir() / "trainer" / "dpo.yaml"):
        assert f"\ntrainer.{entry.key}={entry.value}\n    {entry.comment.split()[0]}" in text
    assert "\nmodel.name=mine\n    Called so.\n" in here("model=mine", "-h", "-cd", str(mine))[1]
    experiment = explained("experiment=tutor_dpo", CONF)
    assert "\ntrainer=dpo\n" in experiment
    assert "\ntrainer.batch_size=16\n    Effective batch: pairs per optimizer step" in experiment


def test_a_key_is_printed_with_what_the_schema_knows_of_it(here: Here) -> None:
    assert here("--help", "trainer.beta")[1] == (
        "trainer.beta=<a number>\n\n"
        "    Strength of the pull towards the reference model, > 0 (equation 7). Lower drifts further from\n"
        "    it. Without a reference: simpo and cpo multiply log-probabilities by it (simpo's authors: 2 or\n"
        "    more), in orpo it is the weight of the odds ratio.\n\n"
        "    Weight of the KL divergence from the reference model, the adapter being off; 0 computes no\n"
        "    reference model.\n\n"
        "    Strength of the pull towards the reference model, > 0 (equation 7 of the paper). Lower drifts\n"
        "    further from it.\n\n"
        "  must be     > 0 (dpo | kto), >= 0 (grpo)\n"
        "  0.1         trainer=dpo | kto\n"
        "  0.04        trainer=grpo\n"
        "  belongs to  trainer=dpo | trainer=kto | trainer=grpo\n"
        "  run's id    another value is another run\n"
        "  of TRL's    beta\n"
    )
    seed = here("--help", "seed")[1]
    assert "  default     42\n" in seed
    assert "  one of      auto | float32 | bfloat16 | float16\n" in explained("hardware.dtype", CONF)
    assert "no part of it" in explained("outputs_root", CONF)
    assert explained("trainer.args.tf32", CONF).startswith("trainer.args=<a mapping")


def test_every_key_is_explained() -> None:
    for key in typed_keys():
        assert "\n\n    " in explained(key, CONF), key


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("trainr", "Did you mean `trainer`?"),
        ("trainer.bata", "Did you mean `trainer.beta`?"),
        ("trainer=dop", "Did you mean `trainer=dpo`?"),
        ("dpo", "Did you mean `trainer=dpo`?"),
        ("sed", "Did you mean `seed`?"),
        ("hydra.run.dir", "--hydra-help explains its keys."),
        ("zzzz", "Groups: model | dataset"),
    ],
)
def test_an_unknown_name_is_one_message_with_the_nearest(here: Here, word: str, meant: str) -> None:
    code, out, err = here("--help", word)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert meant in err


def test_the_defaults_list_and_a_broken_file_are_read(tmp_path: Path) -> None:
    assert choices(conf_dir() / "config.yaml")["trainer"] == ("sft", "how it learns: sft | dpo | kto | reward | grpo")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "broken.yaml").write_text("name: [", encoding="utf-8")
    assert list(options([tmp_path], "model")) == ["broken"]
    with pytest.raises(Exception, match=r"broken.yaml: cannot be read as YAML"):
        explained("model=broken", [*CONF, tmp_path])
