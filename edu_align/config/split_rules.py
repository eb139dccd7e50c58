"""What the keys of the split ask of one another: `dataset.folds`, `validation_fold`, the fractions, `leave_out`."""

from collections.abc import Iterator
from typing import Any

Values = dict[str, Any]


def problems_of_split(values: Values) -> Iterator[str]:
    """A problem for parts that leave nothing to train on, a fold that there is not, and a source left out in vain."""
    yield from _fractions(values) if values.get("dataset.folds") is None else _folds(values)
    if "local" in (values.get("dataset.leave_out") or []):
        yield "`dataset.leave_out` takes public sources, got local. Take rows out of your own file instead."


def _folds(values: Values) -> Iterator[str]:
    """With `dataset.folds` every question is trained on in all folds but one: there is no test part to measure on."""
    folds: int = values["dataset.folds"]
    fold, split = values.get("dataset.validation_fold"), values.get("evaluation.split")
    if folds >= 2 and fold is not None and fold >= folds:
        yield f"`dataset.validation_fold` must be <= {folds - 1} with dataset.folds={folds}, got {fold}."
    if split not in (None, "validation"):
        yield (
            f"`evaluation.split={split}`: with dataset.folds={folds} a run trains on questions of the test split, and "
            "only its fold is held out. Set evaluation.split=validation."
        )


def _fractions(values: Values) -> Iterator[str]:
    test, validation = values.get("dataset.test_fraction", 0), values.get("dataset.validation_fraction", 0)
    if 0 < test < 1 and 0 < validation < 1 and test + validation >= 1:
        yield (
            "`dataset.test_fraction` + `dataset.validation_fraction` must be < 1, to leave something to train on, "
            f"got {test} + {validation}."
        )
        return
    fold = values.get("dataset.validation_fold", 0)
    if 0 < test < 1 and 0 < validation < 1 and fold > 0 and test + (fold + 1) * validation > 1 + 1e-9:
        most = int((1 - test) / validation + 1e-9) - 1
        yield (
            f"`dataset.validation_fold` must be <= {most} with a test part of {test} and validation parts of "
            f"{validation}, got {fold}."
        )
