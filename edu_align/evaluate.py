"""Measure a finished run again: `python -m edu_align.evaluate run=<run> evaluation.split=validation`.

The run's own config is used. Keys of `evaluation`, `hardware` and `dataset`, and `data_root`, can be set; the results
go into the run's evaluation.json and a table is printed.
"""

import sys
from pathlib import Path
from typing import Any

from edu_align.errors import UserError, entry_point

ADJUSTABLE = ("evaluation", "hardware", "dataset", "data_root")
HELP = """\
edu_align: python -m edu_align.evaluate run=<run> [outputs_root=outputs] [key=value ...]

  run                a finished run: its folder, its name under outputs_root/runs, or its id
  evaluation.split   validation | test, and every other key of evaluation, hardware and dataset
  data_root          where the data sets are now, if they moved
"""


def main() -> None:
    words = sys.argv[1:]
    if not words or {"-h", "--help"} & set(words):
        print(HELP, end="")
        return
    given = dict(_split(word) for word in words)
    outputs = Path(given.pop("outputs_root", "outputs"))
    if "run" not in given:
        raise UserError(
            "`run` is missing. Give run=<folder of a finished run, its name under outputs_root/runs, or its id>."
        )
    evaluate(given.pop("run"), given, outputs)


def _split(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"every argument is key=value, got {word!r}. Example: run=my_run evaluation.split=validation.")
    if key not in ("run", "outputs_root") and key.split(".")[0] not in ADJUSTABLE:
        raise UserError(
            f"`{key}={value}` cannot be set here: a finished run keeps its settings. What can: {', '.join(ADJUSTABLE)}."
        )
    return key, value


def evaluate(run: str, overrides: dict[str, str], outputs: Path) -> dict[str, Any]:
    """Measure the model that `run` started from and the one it made; returns and writes {before, after}."""
    from edu_align.config.stored import stored_config
    from edu_align.data.training import trained_groups, training_data
    from edu_align.runs.folder import ancestors, find_run
    from edu_align.runs.writing import write_json

    folder = find_run("run", run, outputs)
    config = stored_config(folder.path / "config.yaml", overrides)
    start = find_run("init_from", folder.record["init_from"], outputs) if folder.record["init_from"] else None
    data = training_data(config, trained_groups([folder.path, *ancestors(start)]))
    print(data.describe(), flush=True)

    from edu_align.evaluation.held_out import held_out, measure_model, summarise
    from edu_align.evaluation.stages import Stage
    from edu_align.evaluation.tables import results_table, text

    held = held_out(config, data)
    before = measure_model(config, start.path if start else None, held)
    after = measure_model(config, folder.path, held)
    results = {"before": summarise(config, held, before, None), "after": summarise(config, held, after, before)}
    write_json(folder.path / "evaluation.json", results)
    print("\n".join(text(results_table([Stage(label, None, result) for label, result in results.items()]))))
    return results


if __name__ == "__main__":
    entry_point(main)
