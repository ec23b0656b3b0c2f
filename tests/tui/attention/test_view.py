"""The Attention tab's rows at every level and size."""
# ruff: noqa: RUF001 - the commas are Chinese

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.helpers import snapshots
from tests.helpers.listed import listed
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
        view.tab(
            AttentionState(choice=Choice(), busy=True, timeline=Timeline(listed(*STEPS))), 50, 9
        )
    )
    assert "computing…" in rows[1]


def test_an_error_stands_where_the_text_was_and_the_map_stays() -> None:
    made = replace(
        attention_state(inspected(29), (80, 22), level="head"), message="the engine ended: killed"
    )
    rows = plain(view.tab(made, 80, 22))
    assert "the engine ended: killed" in rows[1]
    assert "under the cursor" in rows[2]
    assert "the engine ended" in plain(view.tab(made, 40, 10))[0]


def test_wide_and_unprintable_characters_take_the_cells_there_are() -> None:
    texts = ("a", "界", "\x1b", "\n", " ", "\u0301")
    assert [mark(text) for text in texts] == ["a", "□", "␛", "⏎", "∙", "□"]
    assert [mark(text, 2) for text in texts] == ["a", "界", "␛", "⏎", "∙", "□"]
    shown = replace(inspected(6), texts=texts)
    for level in LEVELS:
        rows = view.tab(attention_state(shown, (80, 22), level=level), 80, 22)
        assert {width(cells) for cells in rows} == {80}


CHINESE = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。" * 3


def chinese(size: int, room: tuple[int, int], level: str, *, glyphs: bool = False) -> list[str]:
    """The tab with a text of Chinese characters, as lines."""
    shown = replace(inspected(size), texts=tuple(CHINESE[:size]))
    made = attention_state(
        shown, room, level=level, query=size - 1, key=2, paint=Paint(glyphs=glyphs)
    )
    return plain(view.tab(made, *room))


@pytest.mark.parametrize("level", ["grid", "head", "window", "text"])
@pytest.mark.parametrize("room", [(80, 22), (120, 34)])
def test_chinese_is_readable_at_every_level(room: tuple[int, int], level: str) -> None:
    rows = chinese(11, room, level)
    assert CHINESE[:11] in rows[1]
    assert "□" not in "".join(rows)
    if level in ("head", "window"):
        assert "不" in "".join(rows[3:]), "the key under the cursor"


@pytest.mark.parametrize("glyphs", [False, True])
def test_a_wide_key_stands_above_its_two_columns(glyphs: bool) -> None:  # noqa: FBT001
    rows = chinese(7, (80, 22), "head", glyphs=glyphs)
    columns = [cell_len(rows[2][: rows[2].index(sign)]) for sign in CHINESE[:7]]
    (each,) = {b - a for a, b in itertools.pairwise(columns)}
    assert each >= 2
    labels = [row[:3].strip() for row in rows[3:]]
    assert [label[0] for label in labels if label][:7] == list(CHINESE[:7])


def test_tokens_that_share_a_line_share_the_columns_of_its_label() -> None:
    texts = tuple(CHINESE[place : place + 3] for place in range(32))
    shown = replace(inspected(32), texts=(*texts[:30], "春眠不觉晓处处", "\n"))
    made = attention_state(shown, (120, 34), level="head", query=3, key=2)
    labels = [line[:7] for line in plain(view.tab(made, 120, 34))[3:]]
    assert any(label.count("…") == 2 for label in labels), "several tokens on a line"
    assert not any("□" in label for label in labels)


def test_where_only_one_column_fits_wide_characters_are_boxes() -> None:
    rows = chinese(31, (80, 22), "head")
    assert rows[2][3:35].rstrip() == "□" * 31
    assert f"query {CHINESE[30]}" in rows[3]


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
