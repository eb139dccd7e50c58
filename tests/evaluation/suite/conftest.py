"""The tests of the suite read the public files once."""

from collections.abc import Iterator

import pytest

from tests.evaluation.suite.real import ROOT
from tests.public_files import read_once


@pytest.fixture(scope="package", autouse=True)
def public_files() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        read_once(patch, ROOT)
        yield
