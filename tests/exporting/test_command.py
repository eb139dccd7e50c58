"""The program: what it refuses, where it writes, and what it leaves alone."""

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from edu_align.config.arguments import parse
from edu_align.export import GROUPS, OWN
from edu_align.exporting.checks import metadata
from edu_align.exporting.write import RECORD, check_output, is_exported, written_aside
from edu_align.runs.finished import run_config
from edu_align.utils.errors import UserError
from tests.exporting.conftest import Runs, Say, copied

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run=nope"], "`run=nope`: no run.json in nope"),
        ([], "`run` is missing"),
        (["model=tiny"], "`run` is missing"),
        (["run=sft", "export.ggfu=f16"], "`export.ggfu` is not a key. Did you mean `export.gguf`?"),
        (["run=sft", "exprot.gguf=f16"], "`exprot.gguf=f16` cannot be set here. Did you mean `export.gguf`?"),
        (["run=sft", "ouput=x"], "`ouput=x` cannot be set here. Did you mean `output`?"),
        (["run=sft", "hardware=cpu"], "`hardware=cpu` cannot be set here"),
        (["run=sft", "trainer.beta=1"], "`trainer.beta=1` cannot be set here"),
        (["run=sft", "export.gguf=q4"], "`export.gguf` must be one of f32 | f16 | bf16 | q8_0 | "),
        (["run=sft", "export.gguf=q4_k_m"], "q4_k_m is written by llama.cpp alone. Set export.quantizer=<llama.cpp's"),
        (["run=sft", "export.quantizer=x"], "to blocks of few bits, and `export.gguf` is null. Set export.gguf=q4_k_m"),
        (["run=sft", "export.gguf=f16", "export.quantizer=x"], "and `export.gguf` is f16. Set export.gguf=q4_k_m, or"),
        (
            ["run=sft", "export.gguf=q4_0", "export.converter=x"],
            "none that `export.converter` writes. Set export.quanti",
        ),
        (
            ["run=sft", "export.gguf=q6_k", "export.quantizer=./x"],
            "`export.quantizer=./x`: there is no program x. Give",
        ),
        (["run=sft", "export.dtype=int8"], "`export.dtype` must be one of auto | float32"),
        (["run=sft", "export.private=perhaps"], "export.private=perhaps: "),
        (["run=sft", "export.converter=x"], "`export.gguf` is null"),
        (["run=sft", "export.gguf=f16", "export.converter=x"], "`export.converter=x`: x is no file"),
        (["run=sft", "export.push_to_hub=tutor"], "`export.push_to_hub` must be owner/name on the hub, got 'tutor'"),
        (["run=sft", "--cfg", "hydra"], "Give --cfg job"),
        (["run=sft", "output=/proc/nowhere/x"], "`output=/proc/nowhere/x` cannot be written"),
    ],
)
def test_a_mistake_is_one_message(refused: Say, runs: Runs, words: list[str], message: str) -> None:
    runs("sft")
    err = refused(*words)
    assert message in err
    assert err.count("\n") == 1


def test_a_run_that_is_not_finished_or_has_no_weights(refused: Say, runs: Runs) -> None:
    run = copied(runs("sft").path, "robbed")
    (run / "adapter" / "adapter_model.safetensors").unlink()
    assert "adapter/adapter_model.safetensors is gone" in refused("run=robbed")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "state": "failed"}))
    assert "that run is 'failed', not finished" in refused("run=robbed")


def test_mistakes_help_and_the_config_load_nothing_heavy(runs: Runs, outputs: Path) -> None:
    runs("sft")
    script = (
        "import sys\nfrom edu_align.export import main\nsys.argv = ['export', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as error:\n    print(error.code)\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'gguf') if name in sys.modules])\n"
    )
    root, nowhere = f"outputs_root={outputs}", str(outputs / "no-token")
    environment = {"PATH": "", "HF_HOME": nowhere, "XDG_CONFIG_HOME": nowhere}
    for words, last in (
        ([root, "run=sft", "export.gguf=q4"], "2\n[]\n"),
        ([root, "run=sft", "export.push_to_hub=a/b"], "2\n[]\n"),
        ([root, "run=sft", "--cfg", "job"], "\n[]\n"),
        (["--help"], "\n[]\n"),
    ):
        command = [sys.executable, "-c", script.format(words=words)]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
        assert done.stdout.endswith(last), done.stdout[-500:] + done.stderr[-500:]
        assert time.monotonic() - began < 10  # a tenth of that on an idle machine; torch alone takes longer


def test_the_config_is_shown(ok: Say, runs: Runs) -> None:
    runs("dpo")
    shown = yaml.safe_load(ok("run=dpo", "--cfg", "job", "export.gguf=q8_0", "generation.top_p=0.5"))
    assert (shown["export"]["gguf"], shown["generation"]["top_p"]) == ("q8_0", 0.5)
    assert (shown["model"]["name"], shown["adapter"]["name"], shown["seed"]) == ("tiny", "lora", 42)


def test_it_lands_in_the_runs_folder_and_is_made_once(ok: Say, refused: Say, runs: Runs) -> None:
    folder = runs("sft").path / "export"
    assert f"exported to {folder}" in ok("run=sft")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert ok(f"run={runs('sft').path}") == f"edu_align: {folder} holds this export already\n"
    assert "holds another export: gguf was None, now f16" in refused("run=sft", "export.gguf=f16")
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    ok("run=sft", "export.gguf=f16", "export.overwrite=true")
    assert (folder / "gguf" / "sft-f16.gguf").is_file()
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".export")] == []


def test_other_things_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    for name, message in (("file", "must be a folder"), ("folder", "is a folder with other things in it")):
        with pytest.raises(UserError, match=message):
            check_output(tmp_path / name)
    (tmp_path / "empty").mkdir()
    for name in ("empty", "new/and/deep"):
        check_output(tmp_path / name)
        assert not is_exported(tmp_path / name, {}, overwrite=False, records=tmp_path)


def test_an_export_is_whole_or_not_there(tmp_path: Path) -> None:
    output = tmp_path / "out"

    def fail_half_way() -> None:
        with written_aside(output) as folder:
            (folder / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []
    for turn in ("first", "second"):
        with written_aside(output) as folder:
            (folder / turn).write_text("x")
            (folder / RECORD).write_text("{}")
        assert {path.name for path in output.iterdir()} == {turn, RECORD}
    with pytest.raises(RuntimeError):
        fail_half_way()
    assert (output / "second").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_llama_cpps_converter(ok: Say, refused: Say, runs: Runs, tmp_path: Path) -> None:
    """A converter is any program with llama.cpp's command line; this one writes with our writer."""
    runs("sft")
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
        "from transformers import AutoTokenizer\nfrom edu_align.exporting.gguf import write_gguf\n"
        "folder, *rest = sys.argv[1:]\noptions = dict(zip(rest[::2], rest[1::2]))\n"
        "write_gguf(Path(folder), AutoTokenizer.from_pretrained(folder), Path(options['--outfile']), "
        "options['--outtype'], 'by the script, for ' + options['--model-name'])\n"
    )
    out = ok("run=sft", f"output={tmp_path / 'out'}", "export.gguf=f16", f"export.converter={tmp_path}")
    assert "GGUF (f16), loaded back: 72 of 72 greedy tokens are the same" in out
    name = metadata(tmp_path / "out" / "gguf" / "sft-f16.gguf", "general.name")
    assert name == {"general.name": "by the script, for sft"}
    script.write_text("raise SystemExit('No module named sentencepiece')")
    err = refused("run=sft", f"output={tmp_path / 'no'}", "export.gguf=f16", f"export.converter={script}")
    assert (
        "convert_hf_to_gguf.py ended with code 1 and wrote no f16: No module named sentencepiece. Install what" in err
    )
    assert not (tmp_path / "no").exists()


def documented() -> list[tuple[str, str]]:
    """`(page, command)` of every `python -m edu_align.export` in the documentation."""
    pages = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "experiments").glob("*/README.md")),
    ]
    command = re.compile(r"python -m edu_align\.export\b[^\n`]*")
    return [
        (page.relative_to(ROOT).as_posix(), found)
        for page in pages
        for found in command.findall(page.read_text(encoding="utf-8").replace("\\\n", " "))
    ]


def test_there_are_commands_to_check() -> None:
    assert {"docs/use.md", "experiments/llama2_stack/README.md"} <= {page for page, _ in documented()}


@pytest.mark.parametrize(("page", "command"), documented())
def test_a_documented_command_is_taken(runs: Runs, outputs: Path, page: str, command: str) -> None:
    words = shlex.split(re.sub(r"<[^>\n]*>", "some/name", command.partition("#")[0]))[3:]
    found = parse(words, OWN, groups=GROUPS)
    assert found.runs, f"{page} names no run"
    runs("sft")
    run_config("sft", found.overrides, str(outputs))
