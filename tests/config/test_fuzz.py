"""Thousands of mutated command lines: each is valid, or ends with exit code 2, at once, in words that name the key."""

import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from edu_align.config.keys import every_key
from edu_align.config.schema import GROUP_SCHEMAS
from edu_align.launch import launch

FAST, FULL, PROCESSES = 25, 2200, 30
SECONDS = 1.0  # of processor time; the machine may be shared
KEYS = every_key()
GROUPS = (*GROUP_SCHEMAS, "experiment", "sweep")
HYDRA = (
    "hydra.mode", "hydra.run.dir", "hydra.sweep.dir", "hydra.job.name", "hydra.job.chdir", "hydra.verbose",
    "hydra.output_subdir", "hydra/launcher", "hydra/job_logging", "hydra.searchpath", "hydra.sweeper.params",
    "hydra.job_logging.root.level", "hydra.nope", "hydra", "hydra.job.env_set.A", "hydra/sweeper",
)  # fmt: skip
VALUES = (
    "", "null", "true", "True", "on", "off", "0", "-1", "1", "42", "3.5", "1e-4", "1e400", "-1e400", "nan", "inf",
    "99999999999999999999999", "abc", "'abc'", '"abc"', "'", '"', "'a\"b'", "[]", "[1,2]", "[a,[b,c]]", "{}", "{a:1}",
    "{a:{b:1}}", "[", "]", "{", "}", "(", "a b", "a=b", "a,b", "1,2,3", "range(3)", "range(0,1e9)", "choice(1,2)",
    "interval(0,1)", "glob(*)", "glob(", "shuffle(1,2)", "cast(1)", "int('x')", "str([1,2])", "tag(a,1)", "${seed}",
    "${trainer.beta}", "${nope}", "${nope:1}", "${oc.env:HOME}", "${oc.env:NO_SUCH_VARIABLE}", "${oc.env:NOPE,7}",
    "${", "${}", "${oc.decode:'[1'}", "${oc.select:seed}", "${oc.create:{a:1}}", "${hydra:job.name}", "${now:%Y}",
    "$HOME", "$(touch ran)", "`touch ran`", "; touch ran", "&& touch ran", "| cat", "../../etc/passwd", "/dev/null",
    "\\", "\\n", "\x00", "\x1b[2J", "é", "三", "😀", "\ud800", "\u202e", "x" * 20_000, "9" * 5000, "[" * 300,
    "a." * 300, "- x", "?", "???", "!!python/object/apply:os.system [ls]",
    "*", "&a", "%", "@", "#", "a#b", "a: b", ":", ",", "=",
    "sft", "dpo", "lora", "edu_tutor", "smollm2", "no_such_option", "sft,dpo", "[sft]", "tutor_sft", "beta_lr",
)  # fmt: skip
SEEN: Counter[str] = Counter()
SLOWEST = [0.0]


def misspelt(draw: Any, key: str) -> str:
    at = draw(st.integers(0, len(key) - 1))
    kind = draw(st.integers(0, 4))
    letter = draw(st.sampled_from("aexz._-9É "))
    if kind == 0:
        return key[:at] + key[at + 1 :]
    if kind == 1:
        return key[:at] + letter + key[at:]
    if kind == 2:
        return key.upper()
    return key.rpartition(".")[2] if kind == 3 else f"{key}.{letter}"


@st.composite
def override(draw: Any) -> str:
    """One word of a command line: a key of any kind, perhaps misspelt, a sign, a value of any kind."""
    key = draw(
        st.one_of(
            st.sampled_from(KEYS),
            st.sampled_from(GROUPS),
            st.sampled_from(HYDRA),
            st.sampled_from(
                ("trainer.args.tf32", "trainer.args.nope", "dataset.columns.messages", "dataset.columns.a")
            ),
        )
    )
    if draw(st.integers(0, 3)) == 0:
        key = misspelt(draw, key)
    sign = draw(st.sampled_from(("", "", "", "", "", "+", "++", "~", "+++", "~~", "-")))
    value = draw(
        st.one_of(st.sampled_from(VALUES), st.integers().map(str), st.floats().map(repr), st.text(max_size=12))
    )
    shape = draw(st.integers(0, 20))
    if shape == 0:
        return f"{sign}{key}"
    if shape == 1:
        return f"{sign}{key}@{draw(st.sampled_from(('a', '_global_', '', 'x.y')))}={value}"
    return f"{sign}{key}={value}"


def key_of(word: str) -> str:
    return word.lstrip("+~-").partition("=")[0].partition("@")[0]


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[[list[str]], str]:
    """The entry point's own `launch`, around a job that does nothing; returns what became of the words."""
    monkeypatch.chdir(tmp_path)

    def go(words: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["edu_align.train", *words])
        code, began = 0, time.process_time()
        try:
            launch(lambda cfg: 0.5)
        except SystemExit as end:
            code = int(end.code or 0)
        took = time.process_time() - began
        out, err = capsys.readouterr()
        os.chdir(tmp_path)
        assert not list(tmp_path.rglob("ran"))
        assert "Traceback" not in out + err
        if code == 0:
            return "valid"
        SLOWEST[0] = max(SLOWEST[0], took)
        assert code == 2, (words, code, err)
        assert took < SECONDS, (words, took)
        assert "error: " in err, (words, err)
        assert len(err) < 60_000
        keys = [key_of(word).encode("utf-8", "backslashreplace").decode() for word in words]
        named = [key for key in keys if key[:40] in err or ("." in key and key.rpartition(".")[0] in err)]
        flags = any(word.startswith("-") for word in words)  # argparse answers those
        related = any(f"`{key}`" in err for key in KEYS)  # a rule across keys may name the other one
        assert named or related or flags or not any(map(key_of, words)), (words, err)
        return "refused"

    return go


def fuzz(attempt: Callable[[list[str]], str], examples: int) -> None:
    @seed(7)
    @settings(
        max_examples=examples, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(override(), min_size=1, max_size=2))
    def each(words: list[str]) -> None:
        SEEN[attempt(words)] += 1

    each()


def test_some_mutated_command_lines(attempt: Callable[[list[str]], str]) -> None:
    fuzz(attempt, FAST)


@pytest.mark.slow
def test_many_mutated_command_lines(attempt: Callable[[list[str]], str], capsys: pytest.CaptureFixture[str]) -> None:
    SEEN.clear()
    fuzz(attempt, FULL)
    with capsys.disabled():
        print(f"\n{sum(SEEN.values())} command lines: {dict(SEEN)}; the slowest refusal took {SLOWEST[0]:.2f} s")
    assert sum(SEEN.values()) >= 2000


@pytest.mark.slow
def test_real_processes_answer_at_once(
    program: Callable[..., CompletedProcess[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--cfg job` prints a valid config and stops; the time is the processor's, of the whole process."""
    draw, times, codes = random.Random(3), [], Counter[int]()
    for _ in range(PROCESSES):
        key, value = draw.choice((*KEYS, *GROUPS, *HYDRA[:6])), draw.choice([v for v in VALUES if v.isprintable()])
        word = f"{draw.choice(('', '', '+', '++', '~'))}{key}{draw.choice(('', 'x'))}={value}"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = program(word, "--cfg", "job")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        codes[done.returncode] += 1
        assert done.returncode in (0, 2), (word, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr, word
        if done.returncode == 2:
            times.append(took)
            assert took < SECONDS, (word, took)
    with capsys.disabled():
        print(f"\n{PROCESSES} processes: {dict(codes)}; refusals took {min(times):.2f} to {max(times):.2f} s each")
    assert times
