"""The Experts tab at every size and in every state, as snapshots and sentences."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import snapshots
from tests.helpers.routed import LAYERS, at, experts_state, load_record
from tinygpt_tui.engine.session import Timeline
from tinygpt_tui.experts.selection import ViewSelection
from tinygpt_tui.experts.state import VIEWS, Sorting
from tinygpt_tui.experts.view import tab, visible_experts
from tinygpt_tui.render.cells import plain, width


@pytest.mark.parametrize("plain_glyphs", [False, True])
@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
@pytest.mark.parametrize("view", VIEWS)
def test_snapshot_of_each_view(view: str, size: tuple[int, int], plain_glyphs: bool) -> None:  # noqa: FBT001
    shown = experts_state(view=view, digits=plain_glyphs)
    rows = tab(shown, size[0], size[1] - 2)
    name = f"experts-{view}-{size[0]}x{size[1]}{'-ascii' if plain_glyphs else ''}"
    snapshots.check(name, snapshots.as_ascii(rows) if plain_glyphs else rows)


@given(
    st.sampled_from(VIEWS),
    st.tuples(st.integers(20, 160), st.integers(3, 50)),
    st.booleans(),
    st.booleans(),
    st.integers(0, LAYERS - 1),
)
def test_every_size_is_filled_exactly(
    view: str,
    size: tuple[int, int],
    digits: bool,  # noqa: FBT001
    empty: bool,  # noqa: FBT001
    layer: int,
) -> None:
    columns, lines = size
    shown = experts_state(view=view, digits=digits, layer=layer)
    if empty:
        shown = replace(
            shown, routed_text=None, survey=None, routings=(), inspect_problem="no é here"
        )
    rows = tab(shown, columns, lines)
    assert len(rows) == lines
    assert {width(cells) for cells in rows} == {columns}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"empty_reason": "This run trains only Dense."}, "only Dense"),
        ({"routings": ()}, "appears after the first evaluation"),
        ({"timeline": Timeline(), "routed_text": None, "survey": None}, "No checkpoint yet"),
        ({"inspecting": True}, "routing the text..."),
        ({"surveying": True, "survey": None}, "computing statistics..."),
        ({"view": "table", "surveying": True, "survey": None}, "The table appears when"),
        ({"view": "text", "routed_text": None}, "t: type a text"),
        ({"view": "text", "inspect_problem": "the engine ended"}, "the engine ended"),
        ({"view": "table", "survey_problem": "no corpus"}, "no corpus"),
        ({"view": "text", "timeline": at(100)}, "from step 45"),
        ({"timeline": at(100), "surveying": True}, "table from step 45  computing statistics..."),
        ({"note": "not in the vocabulary: é"}, "not in the vocabulary"),
    ],
)
def test_a_sentence_stands_for_what_is_missing(changes: dict[str, object], says: str) -> None:
    for size in ((80, 22), (120, 34)):
        assert says in "\n".join(plain(tab(experts_state(**changes), *size)))


def test_nothing_else_is_shown_of_a_dense_run() -> None:
    rows = plain(tab(experts_state(empty_reason="This run trains only Dense."), 80, 22))
    assert [line.strip() for line in rows if line.strip()] == ["This run trains only Dense."]


@pytest.mark.parametrize("size", [(80, 22), (120, 34), (58, 12), (200, 58)])
def test_every_expert_can_be_reached_in_the_load(size: tuple[int, int]) -> None:
    share = np.arange(1, 65) / np.arange(1, 65).sum()
    selection = ViewSelection()
    selection.state = experts_state(
        routings=[load_record([share.tolist()] * 4)], routed_text=None, survey=None, layer=3
    )
    seen: set[str] = set()
    for _ in range(64):
        rows = plain(tab(selection.state, *size))[3:]
        marked = f" {selection.state.sorting.expert} "
        assert any(marked in line[3 : size[0] // 2] for line in rows)
        seen |= {line[4:7].strip() for line in rows}
        selection.page_experts(visible_experts(selection.state, size[1]))
    assert seen >= {str(expert) for expert in range(64)}
    assert "of 64" in plain(tab(selection.state, *size))[2]
    selection.next_expert()
    assert selection.state.sorting.expert == 0


def test_a_wide_table_has_examples_of_the_selected_expert() -> None:
    shown = experts_state(view="table", sorting=Sorting(expert=4))
    assert "in expert 4" in "\n".join(plain(tab(shown, 140, 16)))
