"""A process alone, and how several share."""

import pytest

from tinygpt.world import ALONE, World


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [0, 1, 7, 11])
def test_shares_are_even_and_all_of_it(count: int, size: int) -> None:
    shared = []
    for rank in range(size):
        world = World()
        world.rank, world.size = rank, size
        shared.append(range(count)[world.share(count)])
    assert [thing for part in shared for thing in part] == [*range(count)]
    assert max(map(len, shared)) - min(map(len, shared)) <= 1


def test_who_is_alone_decides() -> None:
    assert ALONE.first
    assert ALONE.agree([1, "a"]) == [1, "a"]
