"""Command lines of `chat` and `generate`: how they refuse what they do not take, before anything is loaded."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from edu_align.chat import main as chat
from edu_align.generate import main as generate


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (generate, ["run=x", "output=o.jsonl"], "`input` is missing"),
        (generate, ["run=x", "input=i.txt"], "`output` is missing"),
        (generate, ["run=x", "input=i.txt", "output=o.csv"], "`output` must end with .jsonl, got 'o.csv'"),
        (generate, ["run=x", "input=o.jsonl", "output=o.jsonl"], "`output` is the input file"),
        (generate, ["run=x", "input=i.txt", "output=o.jsonl"], "i.txt: there is no such file"),
        (chat, ["run=nowhere"], "`run=nowhere`: no run.json"),
        (chat, ["generation.top_p=0.5"], "`run` is missing"),
        (chat, ["model=smollm2", "--compare"], "`compare=true` sets a tutor beside its base"),
        (chat, ["run=a", "compare=perhaps"], "`compare` must be true or false, got 'perhaps'"),
        (chat, ["run=a", "b", "--compare", "--web"], "the page compares two"),
        (chat, ["run=a", "port=80"], "`port` belongs to the page. Add --web"),
        (chat, ["run=a", "--web", "port=http"], "`port` must be a whole number from 1 to 65535, got 'http'"),
        (chat, ["model=smollm", "generation.top_p=0.5"], "`model=smollm` is not an option. Did you mean"),
        (chat, ["model=tiny", "generation.top_p=2"], "`generation.top_p` must be > 0 and <= 1, got 2"),
        (chat, ["model=tiny", "generation.topp=1"], "`generation.topp` is not a key. Did you mean `generation.top_p`"),
    ],
)
def test_a_mistake_is_one_message(here: Callable[..., Any], main: Any, arguments: list[str], message: str) -> None:
    code, out, err = here(main, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("edu_align: error: ")
    assert message in err


@pytest.mark.parametrize(("main", "name"), [(chat, "edu_align.chat"), (generate, "edu_align.generate")])
def test_help_shows_the_commands(here: Callable[..., Any], main: Any, name: str) -> None:
    code, out, _ = here(main, "--help", "nonsense")
    assert code == 0
    assert f"python -m {name} run=<run>" in out
    assert here(main)[1] == out


def test_mistakes_load_nothing_heavy() -> None:
    script = (
        "import sys\nfrom edu_align.chat import main\nsys.argv = ['chat', 'model=tiny', 'generation.top_p=2']\n"
        "try:\n    main()\nexcept Exception as error:\n    print(type(error).__name__)\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'gradio') if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout == "UserError\n[]\n", result.stderr
