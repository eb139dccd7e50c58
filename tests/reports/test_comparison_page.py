"""The page and the Markdown of a comparison: what stands in them, and that no reply can break them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edu_align.evaluation.suite.results import MetricResult, Series
from edu_align.reports.comparison import samples as sampling
from edu_align.reports.comparison import tables
from edu_align.reports.comparison.models import Comparison
from edu_align.reports.comparison.tables import wrong_pairs
from edu_align.reports.comparison.write import write_comparison
from edu_align.reports.words import in_words
from tests.reports.comparison_builders import EVIL, compared, series, three
from tests.reports.pages import Page, check_self_contained

COMMAND = "python -m edu_align.report runs=[tutor-dpo]"


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any) -> tuple[Comparison, Path, list[str]]:
    """Three models that answer with markup."""
    place = tmp_path_factory.mktemp("made")
    comparison = compared(three(place, says=EVIL), reads={"base": 2, "SFT": 1, "DPO": 1}, others=6)
    path, limits = write_comparison(comparison, place / "report", COMMAND)
    return comparison, path, limits


def test_every_number_stands_on_a_page_that_loads_nothing_and_fits_a_phone(made: Any) -> None:
    comparison, path, _ = made
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    wanted = [tables.marks_legend(comparison), "over all 36 differences", COMMAND]
    for number in comparison.numbers:
        wanted += [f"{number.value:.3f} [{number.low:.3f}, {number.high:.3f}]", number.name, in_words(number.name)]
        wanted += [tables.difference_text(gap, "", 0.05) for gap in number.differences.values()]
    assert [words for words in wanted if words not in page.text] == []
    check_self_contained(text)
    assert "logp" not in " ".join(re.findall(r'class="axis[^"]*">([^<]*)', text))
    assert page.text.index("replies side by side") < page.text.index("What changed") < page.text.index("All numbers")


def test_replies_are_text_and_stay_in_their_cells(made: Any) -> None:
    page = Page(made[1].read_text(encoding="utf-8"))
    first = sampling.samples(made[0].models)[0]
    assert all(EVIL in reply and reply in page.text for reply in first.replies.values())
    assert page.tags.count("article") == sampling.COUNT
    assert re.findall(r"<h4>(.*?)</h4>", made[1].read_text(encoding="utf-8"))[:4] == [
        "DPO",
        "base",
        "SFT",
        "human tutor",
    ]
    markdown = made[1].with_name("report.md").read_text(encoding="utf-8")
    assert not re.search(r"<script|!\[a\]", markdown)
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE)
    assert len(blocks) == 2 + sampling.COUNT
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_samples_are_chosen_by_content_whatever_the_order(tmp_path: Path) -> None:
    models = three(tmp_path)
    chosen = sampling.samples(models)
    every = sorted(sampling.digest_of(row["prompt"]) for row in models[0].results["form"].examples)
    for each in (chosen, sampling.samples(models[::-1])):
        assert [one.digest for one in each] == every[:20]
    assert all(set(one.replies) == {"base", "SFT", "DPO"} and one.reference for one in chosen)


def test_where_the_suite_kept_no_replies_those_of_training_are_shown(tmp_path: Path) -> None:
    base, sft, dpo = (replace(model, results={"leak": model.results["leak"]}) for model in three(tmp_path))
    assert sampling.samples([base, sft, dpo]) == []
    turns = [{"role": "user", "content": EVIL}]
    rows = [
        {"when": when, "prompt": turns, "reply": reply, "reference_reply": "What is 12 | 3?"}
        for when, reply in (("before", "The answer is 36."), ("after", ""))
    ]
    (dpo.run / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (sample,) = sampling.samples([base, sft, dpo])
    assert (sample.replies, sample.reference) == ({"SFT": "The answer is 36.", "DPO": ""}, "What is 12 | 3?")
    path, _ = write_comparison(compared([base, sft, dpo]), tmp_path / "report", COMMAND)
    markdown = path.with_name("report.md").read_text(encoding="utf-8")
    assert "| DPO | (empty) |\n| reference | What is 12 \\| 3? |" in markdown
    assert "reference" in Page(path.read_text(encoding="utf-8")).text


def test_the_corpus_stands_by_misconception(tmp_path: Path) -> None:
    def marks(found: float) -> MetricResult:
        rows = [(f"{name}{n}", name, found, 1.0) for name in ("adds_tops", "drops_zero") for n in range(4)]
        return MetricResult("corpus", "exact", {mark: Series.of(rows) for mark in tables.MARKS})

    models = three(tmp_path)
    assert tables.by_misconception(compared(models)) == []
    with_corpus = [replace(model, results={**model.results, "corpus": marks(n / 4)}) for n, model in enumerate(models)]
    comparison = compared(with_corpus)
    assert tables.by_misconception(comparison) == [
        ["misconception", "prompts", "base", "SFT", "DPO"],
        ["adds_tops", "4", "0.00 / 0.00 / 0.00", "0.25 / 0.25 / 0.25", "0.50 / 0.50 / 0.50"],
        ["drops_zero", "4", "0.00 / 0.00 / 0.00", "0.25 / 0.25 / 0.25", "0.50 / 0.50 / 0.50"],
    ]
    path, _ = write_comparison(comparison, tmp_path / "report", COMMAND)
    for file in (path, path.with_name("report.md")):
        said = file.read_text().replace("<wbr>", "")
        assert all(words in said for words in ("By misconception", "drops_zero", "0.25 / 0.25 / 0.25"))


def test_words_say_what_moved_and_what_beats_nothing(made: Any) -> None:
    comparison = made[0]
    said = {line.split(":")[0]: line for line in tables.changes(comparison)}
    assert set(said) == {"SFT against base", "DPO against base", "DPO against SFT"}
    rows = {row[0]: [int(count) for count in row[1:]] for row in tables.change_counts(comparison)[1:]}
    assert set(rows) == set(said)
    better, worse, different, unshown, unbeaten = rows["DPO against base"]
    assert f"DPO is better in {better} of {better + worse + different + unshown} numbers" in tables.headline(comparison)
    assert f"{unbeaten} of its numbers beat no plain rule" in tables.headline(comparison)
    gaps = [n.differences["base"] for n in comparison.numbers if n.label == "DPO" and n.differences]
    shown = sum(gap.excludes_0 for gap in gaps)
    assert shown > 9
    assert f"{shown} of {len(gaps)} differences have an interval that excludes 0" in said["DPO against base"]
    base = next(line for line in tables.not_beaten(comparison) if line.startswith("base,"))
    lost = [n.name for n in comparison.numbers if n.label == "base" and n.beats_strongest is False]
    assert lost
    assert all(name in base for name in lost)
    said = f"base: {9 - len(lost)} of 9 numbers beat the strongest baseline beside them."
    assert said in tables.beside_baselines(comparison)


def test_limits_come_from_the_data(made: Any, tmp_path: Path) -> None:
    said = " ".join(made[2])
    for words in (
        "40 independent groups of the test split", "base 2, SFT 1, DPO 1", "6 other models of this outputs folder",
        "SFT: 1, DPO: 2", "a laptop, 2 cores: SFT, DPO", "compared with baselines and not with other models (SFT, DPO)",
    ):  # fmt: skip
        assert words in said
    assert "samples can be shown" not in said
    assert "dialogue_effect/mean_logp is not shown to be above 0" not in said
    few = compared(three(tmp_path, prompts=5), split="validation", notes=("bridge left out: it is not there",))
    said = " ".join(write_comparison(few, tmp_path / "report", COMMAND)[1])
    assert "Only 5 of 20 samples can be shown" in said
    assert "bridge left out: it is not there." in said
    assert "measure the chosen run on test, once" in said
    assert "Times that the test split was read" not in said


def test_a_preference_that_needs_no_dialogue_is_called_a_style(tmp_path: Path) -> None:
    models = three(tmp_path)
    effect = models[2].results["effect"]
    none = replace(series(0.0, 0), items=next(iter(effect.measured.values())).items)
    models[2].results["effect"] = replace(effect, measured={"dialogue_effect/mean_logp": none})
    said = write_comparison(compared(models), tmp_path / "report", COMMAND)[1]
    (line,) = [line for line in said if line.startswith("dialogue_effect/mean_logp is not shown")]
    assert "above 0 for DPO +0.000: what the pair accuracy shows there is a preference for a style" in line


def test_a_base_alone_has_no_differences_and_says_so(tmp_path: Path) -> None:
    alone = compared(three(tmp_path)[:1])
    text = Page(write_comparison(alone, tmp_path / "report", COMMAND)[0].read_text(encoding="utf-8")).text
    assert alone.tests == 0
    assert "No run here has logged reward margins" in text
    assert "Nothing was compared" in text


def test_wrongly_ordered_pairs_are_listed_and_cannot_break_the_page(tmp_path: Path) -> None:
    row = {"number": "pair_accuracy/implicit", "prompt": [{"role": "user", "content": EVIL}], "chosen": EVIL}
    models = three(tmp_path)
    dpo = models[-1]
    rows = tuple({**row, "item": f"p{n}", "apart": 9.0 - n, "rejected": f"{EVIL} {n}"} for n in range(12))
    result = replace(dpo.results["pair_accuracy"], examples=rows)
    models[-1] = replace(dpo, results={**dpo.results, "pair_accuracy": result})
    path, _ = write_comparison(compared(models), tmp_path / "report", COMMAND)
    (found,) = wrong_pairs(models)
    assert found.wrong == sum(value == 0 for value in result.measured["pair_accuracy/implicit"].values) > 10
    title = f"DPO, pair_accuracy/implicit: {found.wrong} of 200 pairs, 10 shown"
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert title in page.text
    assert [cells[0] for cells in found.table()[1:]] == [f"{9 - n}.000" for n in range(10)]
    assert f"{EVIL} 9" in page.text
    assert f"{EVIL} 10" not in page.text
    check_self_contained(text)
    markdown = path.with_name("report.md").read_text(encoding="utf-8")
    assert f"### {title}" in markdown
    assert not re.search(r"<script|!\[a\]", markdown)
