"""Where pages end."""

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from app.limits import MAX_VERSIONS
from app.sync.page import page_end

items = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=MAX_VERSIONS), min_size=1)


def head_of(sizes: list[list[int]], limit: int) -> list[tuple[int, int]]:
    every = [(10 * seq, size) for seq, item in enumerate(sizes, 1) for size in item]
    return every[: limit + MAX_VERSIONS]


@given(items, st.integers(1, 20), st.integers(0, 60))
def test_a_page_holds_as_many_whole_items_as_fit(
    sizes: list[list[int]], limit: int, max_bytes: int
) -> None:
    wanted, so_far, versions = 10, 0, 0
    for number, item in enumerate(sizes, 1):
        so_far += sum(item)
        if number > 1 and (versions >= limit or so_far > max_bytes):
            break
        wanted = 10 * number
        versions += len(item)
    assert page_end(head_of(sizes, limit), limit, max_bytes) == wanted


@given(items, st.integers(1, 20), st.integers(0, 60))
def test_what_a_page_ends_with_was_seen_whole(
    sizes: list[list[int]], limit: int, max_bytes: int
) -> None:
    head = head_of(sizes, limit)
    end = page_end(head, limit, max_bytes)
    seen = {seq: len(list(rows)) for seq, rows in groupby(head, key=lambda row: row[0])}
    assert seen[end] == len(sizes[end // 10 - 1])
