"""What enters a forward pass together, and what waits."""

from edu_align.models.chat_template import IGNORED
from edu_align.models.queue import Queue, Work

DIALOGUE = list(range(10, 30))


def scored(number: int, ids: list[int]) -> Work:
    return Work(number, ids, [IGNORED, *ids[1:]])


def test_a_dialogues_rows_and_its_prompt_are_one_family() -> None:
    queue = Queue(
        [scored(0, [*DIALOGUE, 1, 2]), scored(1, [5, 6, 7]), Work(2, DIALOGUE), scored(3, [*DIALOGUE, 3])], 99
    )
    assert [[row.number for row in family.rows] for family in queue.families] == [[1], [2, 0, 3]]
    assert [family.tokens for family in queue.families] == [3, 20 + 2 + 1]
    assert [(family.asked, family.longest) for family in queue.families] == [(0, 0), (1, 20)]


def test_shorter_prompts_enter_first_and_passes_are_bounded() -> None:
    queue = Queue([Work(0, [1] * 30), Work(1, [2] * 10), Work(2, [3] * 20)], 35)
    assert [row.number for row in queue.enter(9, 99)] == [1, 2]
    assert [row.number for row in queue.enter(9, 99)] == [0]
    assert not queue


def test_a_row_over_the_bound_enters_alone() -> None:
    queue = Queue([Work(0, [1] * 30), Work(1, [2] * 40)], 5)
    assert [[row.number for row in queue.enter(9, 99)] for _ in range(2)] == [[0], [1]]


def test_no_more_prompts_enter_than_slots_are_free() -> None:
    """Those of one family too, and scored rows need no slot."""
    rows = [*(Work(i, [*DIALOGUE, i]) for i in range(4)), scored(9, [7, 8])]
    queue = Queue(rows, 999)
    assert [row.number for row in queue.enter(2, 99)] == [9]
    assert [row.number for row in queue.enter(3, 99)] == [0, 1, 2]
    assert [row.number for row in queue.enter(0, 99)] == []
    assert [row.number for row in queue.enter(1, 99)] == [3]


def test_prompts_too_long_for_the_slots_wait() -> None:
    queue = Queue([Work(0, [1] * 30), Work(1, [2] * 10)], 999)
    assert [row.number for row in queue.enter(9, 20)] == [1]
    assert [row.number for row in queue.enter(9, 20)] == [0]
