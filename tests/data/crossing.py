"""Whether a split keeps relatives together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from edu_align.records import Record


def crossing_groups(splits: Mapping[str, Iterable[Record]]) -> set[str]:
    """Groups that have records on more than one side."""
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for name, records in splits.items():
        for record in records:
            sides[record.group].add(name)
    return {group for group, names in sides.items() if len(names) > 1}
