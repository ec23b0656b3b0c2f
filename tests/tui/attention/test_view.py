"""The Attention tab's rows at every level and size."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import snapshots
from tests.helpers.looks import STEPS, attention_state, inspected
from tinygpt_tui import theme
from tinygpt_tui.attention import maps, view
from tinygpt_tui.attention.state import LEVELS, AttentionState, Choice, Pin
from tinygpt_tui.engine.session import Timeline
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.render.heatmap import Paint
from tinygpt_tui.render.svg import svg
from tinygpt_tui.render.text import mark


@pytest.mark.parametrize("plain_glyphs", [False, True])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [(80, 22), (120, 34)])
def test_snapshot_of_each_level(size: tuple[int, int], level: str, plain_glyphs: bool) -> None:  # noqa: FBT001
    shown = inspected(73)
    made = attention_state(shown, size, level=level, paint=Paint(glyphs=plain_glyphs))
    rows = view.tab(made, *size)
    name = f"attention-{level}-{size[0]}x{size[1]}"
    if plain_glyphs:
        name, rows = f"{name}-ascii", snapshots.as_ascii(rows)
    snapshots.check(name, rows)


def test_snapshot_of_a_comparison() -> None:
    held = Pin(inspected(29, variant="moe"), 2, 0, "head")
    made = attention_state(inspected(31), (80, 22), held, level="head")
    snapshots.check("attention-compared-80x22", view.tab(made, 80, 22))


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 130), st.integers(1, 40)),
    st.sampled_from(LEVELS),
    st.sampled_from([1, 2, 13, 67]),
    st.sampled_from(["head", "mean", "rollout"]),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_every_size_is_filled_exactly(
    size: tuple[int, int], level: str, tokens: int, mode: str, flags: tuple[bool, bool, bool]
) -> None:
    plain_glyphs, incoming, pinned = flags
    columns, lines = size
    shown = inspected(tokens)
    pin = Pin(inspected(5), 0, 0, "head") if pinned else None
    how = {"level": level, "mode": mode, "incoming": incoming}
    made = attention_state(shown, (columns, lines), pin, paint=Paint(glyphs=plain_glyphs), **how)
    rows = view.tab(made, columns, lines)
    assert [width(cells) for cells in rows] == [columns] * lines


@pytest.mark.parametrize("lines", [1, 3, 10])
def test_nothing_to_show_is_a_sentence(lines: int) -> None:
    rows = plain(
        view.tab(AttentionState(choice=Choice(), message="No run yet: n starts one."), 50, lines)
    )
    assert len(rows) == lines
    assert lines == 1 or "No run yet" in rows[1]
    rows = plain(
        view.tab(AttentionState(choice=Choice(), busy=True, timeline=Timeline(STEPS)), 50, 9)
    )
    assert "computing…" in rows[1]


def test_an_error_stands_where_the_text_was_and_the_map_stays() -> None:
    made = replace(
        attention_state(inspected(29), (80, 22), level="head"), message="the engine ended: killed"
    )
    rows = plain(view.tab(made, 80, 22))
    assert "the engine ended: killed" in rows[1]
    assert "query" in rows[2]
    assert "the engine ended" in plain(view.tab(made, 40, 10))[0]


def test_wide_and_unprintable_characters_take_one_cell() -> None:
    shown = replace(inspected(5), texts=("a", "界", "\x1b", "\n", " "))
    assert [mark(text) for text in shown.texts] == ["a", "□", "␛", "⏎", "∙"]
    for level in LEVELS:
        rows = view.tab(attention_state(shown, (80, 22), level=level), 80, 22)
        assert {width(cells) for cells in rows} == {80}


def test_the_picture_has_a_rectangle_for_each_half_and_no_gap() -> None:
    rows = view.tab(attention_state(inspected(29), (80, 22), level="head"), 80, 22)
    made = svg(rows, theme.style)
    assert made.startswith("<svg")
    assert made.count("<rect") > 100
    assert "▀" not in made
    assert 'width="640" height="352"' in made


def test_rollout_is_named_an_approximation() -> None:
    assert maps.head_name(1, 0, "rollout") == "rollout to layer 1 (approximation)"
    assert maps.head_name(1, 0, "mean") == "layer 1 mean of heads"
