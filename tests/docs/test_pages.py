"""What the documentation promises of itself: links lead somewhere, rows are read, every metric and key has an entry."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

from edu_align.config.keys import base_schema, leaves
from edu_align.config.metrics import RUN_METRICS
from edu_align.config.schema import GROUP_SCHEMAS, METRICS, Config
from edu_align.data.readers import iter_rows
from edu_align.data.rows.columns import Columns
from edu_align.data.rows.reader import RowReader
from edu_align.data.rows.words import LeftOut
from edu_align.evaluation.suite.form import PANEL

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference.md"
PAGES = sorted(
    path
    for pattern in (
        "README.md",
        "docs/*.md",
        "ARCHITECTURE.md",
        "RELIABILITY.md",
        "outputs/README.md",
        "experiments/README.md",
        "experiments/*/README.md",
        "edu_align/tutoring/DATA_CARD.md",
    )
    for path in ROOT.glob(pattern)
)
_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
_FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as MkDocs and forges make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", _FENCED.sub("", text_of(page)), re.MULTILINE):
        found.add(re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, anchor in _LINK.findall(_FENCED.sub("", text_of(page))):
        if re.match(r"\w+:", target):
            continue
        meant = (page.parent / target).resolve() if target else page
        assert meant.exists(), f"{page}: {target} is not there"
        assert not anchor or anchor in anchors(meant), f"{page}: {target} has no heading #{anchor}"


def test_every_page_is_linked_from_the_navigation() -> None:
    listed = set(
        re.findall(r"^ +- [^:\n]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert {page.name for page in DOCS.glob("*.md")} <= listed


def test_the_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= 150


def shown_rows() -> list[tuple[str, str]]:
    """`(shape, row)` of docs/data.md: the rows below each heading that names a shape."""
    return [
        (heading.strip(), row)
        for heading, rows in re.findall(
            r"^### (\w+)\n(?:(?!^#).)*?```jsonl\n(.*?)```", text_of(DOCS / "data.md"), re.M | re.S
        )
        for row in rows.strip().splitlines()
    ]


@pytest.mark.parametrize(("shape", "row"), shown_rows())
def test_a_row_that_is_shown_is_read_as_the_shape_it_stands_under(shape: str, row: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(row + "\n", encoding="utf-8")
    views = ["conversation", "preference"] if shape in ("preference", "responses") else ["conversation"]
    views = ["labels"] if shape == "labels" else views
    for view in views:
        for format in ("auto", shape):
            reader = RowReader(Columns({}), view, format)
            (record,) = reader.records(iter_rows(file), str(file))
            assert not isinstance(record, LeftOut)
            assert list(reader.tally.shapes) == [shape]


def test_every_shape_is_shown_with_a_row() -> None:
    from edu_align.data.sources.local import FORMATS

    assert {shape for shape, _ in shown_rows()} == set(FORMATS) - {"auto"}


def test_the_example_file_is_read_whole() -> None:
    reader = RowReader(Columns({}), "preference")
    file = DOCS / "examples" / "fractions.csv"
    records = list(reader.records(iter_rows(file), str(file)))
    assert len(records) == 48
    assert not any(isinstance(record, LeftOut) for record in records)


def test_every_metric_has_an_entry_in_the_glossary() -> None:
    named = set(re.findall(r"`([\w/]+)`", text_of(DOCS / "glossary.md")))
    kept = {name.partition("/")[2] for name in RUN_METRICS}
    assert {*METRICS, *PANEL, *kept} <= named


def test_the_reference_is_what_the_comments_and_the_schema_say() -> None:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert text_of(REFERENCE) == module.page(), "run `python docs/reference.py`, which writes docs/reference.md"


def test_the_reference_has_every_key() -> None:
    expected = {key for key in leaves(Config) if key.partition(".")[0] not in GROUP_SCHEMAS}
    for group, schemas in GROUP_SCHEMAS.items():
        for schema in (base_schema(group), *schemas.values()):
            expected |= {f"{group}.{key}" for key in leaves(schema)}
    entries = dict(re.findall(r"^### `([\w.]+)`\n\n(.*)$", text_of(REFERENCE), re.MULTILINE))
    assert set(entries) == expected
    assert [key for key, comment in entries.items() if not comment] == []
