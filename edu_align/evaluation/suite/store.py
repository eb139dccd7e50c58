"""Results on disk, one file a metric, so that a suite that was cut off goes on and a base model is measured once.

outputs_root/evaluations/<model>-<key>/
  subject.json                    which model that is: base, trained files, number format, chat template
  <split>/<metric>-<key>.json     {"key": what it depends on, "code": versions, "lists": [...], "result": ...}
  test_reads.jsonl                a line each time that anything was measured on the test split

Items, groups and weights repeat in every series; a file holds each different list once, under `lists`.
"""

import functools
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edu_align.evaluation.suite.data import Settings, SuiteData
from edu_align.evaluation.suite.registry import reads
from edu_align.evaluation.suite.results import MetricResult
from edu_align.evaluation.suite.subject import LoadedSubject
from edu_align.runs.environment import package_versions
from edu_align.utils.errors import UserError
from edu_align.utils.files import write_json
from edu_align.utils.hashing import digest, sha256
from edu_align.utils.jsonl import append_row, read_rows

FOLDER = "evaluations"
READS = "test_reads.jsonl"
# Modules of `evaluation` that only show what was measured: a change there leaves results as they are.
SHOWING = ("suite/summarise.py", "suite/store.py", "suite/run.py", "suite/several.py", "suite/pooling.py", "lm_eval.py")
JUDGE = "judge"  # folder whose answers have a cache of their own
MODELS = ("answers.py", "generation.py", "scoring.py")  # modules of `models` that decide what is asked of a model


@dataclass(frozen=True)
class Store:
    """The results of one model on one split."""

    subject: LoadedSubject
    data: SuiteData
    settings: Settings

    @property
    def model_folder(self) -> Path:
        config = self.subject.weights.config
        return Path(config.outputs_root) / FOLDER / f"{config.model.name}-{self.subject.key}"

    def key(self, metric: str) -> dict[str, Any]:
        """Everything that a stored result depends on, as JSON."""
        return {
            "model": self.subject.identity,
            "data": {part: self.data.fingerprint(part) for part in reads(metric)},
            "settings": asdict(self.settings),
            "metric": metric,
            "code": code_content(),
        }

    def path(self, metric: str) -> Path:
        return self.model_folder / self.settings.split / f"{metric}-{digest(self.key(metric))[:8]}.json"

    def read(self, metric: str) -> MetricResult | None:
        """The stored result, or None. Raises UserError for a file that is no result."""
        path = self.path(metric)
        return read_result(path) if path.is_file() else None

    def write(self, metric: str, result: MetricResult) -> None:
        """Whole or not at all."""
        path = self.path(metric)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (self.model_folder / "subject.json").exists():
            write_json(self.model_folder / "subject.json", self.subject.identity)
        write_json(path, {"key": self.key(metric), "versions": package_versions(), **_packed(result)}, indent=None)

    def note_read(self, metrics: Sequence[str]) -> list[str]:
        """Write down that the test split is read now; returns the times of earlier reads by this model."""
        file = self.model_folder / READS
        earlier = [row["time"] for row in read_rows(file, skip_damaged=True) if "time" in row]
        file.parent.mkdir(parents=True, exist_ok=True)
        append_read(file, metrics)
        return earlier


def append_read(file: Path, metrics: Sequence[str]) -> None:
    """One line: when, by which version, and which metrics."""
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "edu_align": package_versions()["edu_align"]}
    append_row(file, {**line, "metrics": list(metrics)})


def read_result(path: Path) -> MetricResult:
    """A stored result. Raises UserError, which names the file, for anything else."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        lists = stored["lists"]
        plain = stored["result"]
        for series in _every_series(plain):
            series |= {name: lists[series[name]] for name in ("items", "groups", "values", "weights")}
        return MetricResult.of(plain)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is not a stored result ({error!r}). Delete it, and it is measured again.") from None


@functools.cache
def code_content() -> str:
    """Over the source of every module that decides a number of the suite, given what models say."""
    package = Path(__file__).resolve().parents[1]
    shown = {package / name for name in SHOWING}
    files = sorted(f for f in package.rglob("*.py") if f not in shown and package / JUDGE not in f.parents)
    files += [package.parent / "models" / name for name in MODELS]
    sources = (f"{file.relative_to(package.parent)}\n{file.read_text(encoding='utf-8')}" for file in files)
    return sha256("\n".join(sources))[:16]


def _packed(result: MetricResult) -> dict[str, Any]:
    """{"lists": every different list once, "result": the result with each list's number in its place}."""
    plain = result.as_json()
    lists: list[Any] = []
    known: dict[tuple[Any, ...], int] = {}
    for series in _every_series(plain):
        for name in ("items", "groups", "values", "weights"):
            content = tuple(series[name])
            if content not in known:
                known[content] = len(lists)
                lists.append(content)
            series[name] = known[content]
    return {"lists": lists, "result": plain}


def _every_series(plain: dict[str, Any]) -> list[dict[str, Any]]:
    return [*plain["measured"].values(), *(s for rules in plain["baselines"].values() for s in rules.values())]
