"""What the numbers of one comparison do not show, as far as its own data says so."""

from edu_align.evaluation.suite.summarise import REWARDS, scorer_of
from edu_align.models.content import base_content
from edu_align.reports.comparison.models import Comparison
from edu_align.reports.comparison.samples import COUNT, Sample
from edu_align.utils.words import shorten_list

FEW_GROUPS = 30  # below which a percentile interval over groups is known to be too narrow


def limits(comparison: Comparison, samples: list[Sample]) -> list[str]:
    """Sentences, each about this comparison."""
    return [
        *_groups(comparison),
        *_absent(comparison),
        *_unbeaten(comparison),
        *_style(comparison),
        *_implicit(comparison),
        *_split(comparison),
        *_seeds(comparison),
        *_machines(comparison),
        *(
            [f"Only {len(samples)} of {COUNT} samples can be shown: the stored replies of all models share no more."]
            if len(samples) != COUNT
            else []
        ),
        *_notes(comparison),
    ]


def _groups(comparison: Comparison) -> list[str]:
    sizes = {number.name: number.groups for number in comparison.numbers}
    if not sizes:
        return []
    least = min(sizes, key=lambda name: sizes[name])
    most = max(sizes, key=lambda name: sizes[name])
    span = f"{sizes[least]} ({least}) to {sizes[most]} ({most})" if sizes[least] < sizes[most] else str(sizes[least])
    lines = [f"The numbers rest on {span} independent groups of the {comparison.split} split."]
    alone = [name for name, size in sizes.items() if size == 1]
    few = [name for name, size in sizes.items() if 1 < size < FEW_GROUPS]
    if alone:
        lines.append(f"All items of {shorten_list(alone)} belong to one group: no interval, nothing can be concluded.")
    if few:
        lines.append(
            f"Fewer than {FEW_GROUPS} groups stand behind {shorten_list(few)}: percentile intervals are then "
            "too narrow."
        )
    return lines


def _absent(comparison: Comparison) -> list[str]:
    lines = [_sentence(note) for note in comparison.notes]
    for name in comparison.names():
        missing = [label for label in comparison.labels if label not in comparison.of(name)]
        if missing and scorer_of(name) not in REWARDS:
            lines.append(f"{name} is missing for {shorten_list(missing)}.")
    without = [name for name in comparison.names() if not any(n.baselines for n in comparison.of(name).values())]
    if without:
        lines.append(f"No baseline stands beside {shorten_list(without)}.")
    return lines


def _unbeaten(comparison: Comparison) -> list[str]:
    judged = [number for number in comparison.numbers if number.beats_strongest is not None]
    lost = [number for number in judged if not number.beats_strongest]
    if not lost:
        return []
    return [
        f"{len(lost)} of {len(judged)} numbers (over all models) are not shown to beat the strongest baseline beside "
        "them, so they prove no tutoring by themselves."
    ]


def _style(comparison: Comparison) -> list[str]:
    """Models whose preferences do not need the dialogue."""
    lines = []
    for name in comparison.names():
        if name.split("/")[0].endswith("dialogue_effect"):
            found = comparison.of(name)
            unread = [f"{label} {n.value:+.3f}" for label, n in found.items() if n.low is None or n.low <= 0]
            if unread:
                lines.append(
                    f"{name} is not shown to be above 0 for {shorten_list(unread)}: what the pair accuracy shows there "
                    "is a preference for a style, not a reading of the student."
                )
    return lines


def _implicit(comparison: Comparison) -> list[str]:
    scored = {n.label for n in comparison.numbers if scorer_of(n.name) in REWARDS}
    if not scored:
        return []
    listed = shorten_list([label for label in comparison.labels if label in scored])
    return [
        "An implicit reward is measured against the model that a run started from, or its base model, so it is "
        f"compared with baselines and not with other models ({listed})."
    ]


def _split(comparison: Comparison) -> list[str]:
    if comparison.split != "test":
        return [
            f"Measured on the {comparison.split} split, on which runs may have been chosen: for a claim, measure the "
            "chosen run on test, once."
        ]
    counts = ", ".join(f"{label} {count}" for label, count in comparison.reads.items())
    lines = [f"Times that the test split was read: {counts}."] if counts else []
    if comparison.others:
        lines.append(
            f"{comparison.others} other models of this outputs folder were measured on the test split too: a run that "
            "was chosen among them by those numbers looks better than it is."
        )
    return lines


def _seeds(comparison: Comparison) -> list[str]:
    seeds = {m.label: str(m.record.get("seed", "unknown")) for m in comparison.models if m.run is not None}
    if not seeds:
        return []
    return [
        f"Each run is one training with one seed ({', '.join(f'{label}: {seed}' for label, seed in seeds.items())}); "
        "how much another seed would move a number is in no interval."
    ]


def _machines(comparison: Comparison) -> list[str]:
    machines: dict[str, list[str]] = {}
    for model in comparison.models:
        if model.record.get("machine"):
            machines.setdefault(str(model.record["machine"]), []).append(model.label)
    lines = [f"Trained on {where}: {', '.join(labels)}." for where, labels in machines.items()]
    commits = {str((m.record.get("git") or {}).get("commit")) for m in comparison.models if m.record.get("git")}
    if len(commits) > 1:
        lines.append(f"The runs were made by {len(commits)} different commits of the code.")
    named = sorted({str(m.record["base_model"]) for m in comparison.models if m.record.get("base_model")})
    bases = {base_content(name): name for name in named}
    lines += [f"Base model: {', '.join(bases.values())}; other models may gain more or less."] if bases else []
    return lines


def _notes(comparison: Comparison) -> list[str]:
    """What the metrics and the data say of themselves, each sentence once, with the models it is not common to."""
    labels_by_note: dict[str, list[str]] = {}
    for model in comparison.models:
        for metric, result in model.results.items():
            for note in result.notes:
                labels_by_note.setdefault(f"{metric}: {note}", []).append(model.label)
        for note in (model.record.get("data") or {}).get("notes") or []:
            labels_by_note.setdefault(f"training data: {note}", []).append(model.label)
    everyone = len(comparison.models)
    return [
        _sentence(note if len(labels) >= everyone else f"{note} ({', '.join(dict.fromkeys(labels))})")
        for note, labels in labels_by_note.items()
    ]


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
