"""Clicks in the Experts tab select what is drawn there."""

from dataclasses import replace

import pytest

from tests.helpers.routed import EXPERTS, LAYERS, TEXT, experts_state
from tinygpt_tui.experts.clicks import clicked
from tinygpt_tui.experts.state import VIEWS
from tinygpt_tui.experts.view import tab
from tinygpt_tui.render.cells import plain

SIZES = pytest.mark.parametrize("size", [(80, 22), (120, 34), (200, 48)])


@SIZES
@pytest.mark.parametrize("digits", [False, True])
def test_each_character_of_the_text(size: tuple[int, int], digits: bool) -> None:  # noqa: FBT001
    """Also with the numbers of experts below it."""
    made = experts_state(view="text", digits=digits)
    for cursor in range(len(TEXT)):
        drawn = tab(replace(made, cursor=cursor), *size)
        (place,) = (
            (x, y)
            for y, row in enumerate(drawn)
            for x, style in enumerate(s for span in row for s in [span.style] * len(span.text))
            if y > 2 and "reverse bold" in style
        )
        found = clicked(made, size, *place)
        assert found is not None
        assert found.cursor == cursor


@SIZES
def test_views_and_layers(size: tuple[int, int]) -> None:
    made = experts_state()
    head = plain(tab(made, *size))[1]
    for view in VIEWS:
        found = clicked(made, size, head.index(f" {view} ") + 1, 1)
        assert found is not None
        assert found.view == view
    for layer in range(LAYERS):
        found = clicked(made, size, head.index("layer") + 6 + 2 * layer, 1)
        assert found is not None
        assert found.layer == layer
    assert clicked(made, size, len(head) - 1, 1) is None


@SIZES
def test_headings_sort_the_table(size: tuple[int, int]) -> None:
    made = experts_state(view="table")
    rows = plain(tab(made, *size))
    y = next(y for y, row in enumerate(rows) if " token " in row)
    for expert in range(EXPERTS):
        x = rows[y].index("▾0") + 1 if not expert else rows[y].index(f" {expert} ") + 1
        found = clicked(made, size, x, y)
        assert found is not None
        assert found.sorting.expert == expert
        assert found.sorting.order == ("lift" if expert else "count"), "the second click"
    for word, order in (("token", "name"), ("count", "count")):
        found = clicked(made, size, rows[y].index(word), y)
        assert found is not None
        assert found.sorting.order == order
    assert clicked(made, size, 3, y + 2) is None
