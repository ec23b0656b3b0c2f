"""Charts, as literal rows and as promises that hold for any numbers."""
# ruff: noqa: FBT001 - as in the functions under test

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.paths import ROOT
from tinygpt.formatting import duration
from tinygpt_tui.render.cells import Row, plain, width
from tinygpt_tui.render.curves import Curve, View, Weight, chart
from tinygpt_tui.render.downsample import time_ticks

NAN = math.nan


def curve(*y: float, name: str = "Dense", style: str = "dense", weight: Weight = "line") -> Curve:
    return Curve(name, style, np.arange(len(y), dtype=float), np.array(y, dtype=float), weight)


def drawn(
    curves: list[Curve],
    view: View,
    columns: int,
    rows: int,
    *,
    ascii: bool = False,
    cursor: float | None = None,
) -> list[str]:
    cells = chart(
        curves, view, columns, rows, title="Loss", x_label="step", ascii=ascii, cursor=cursor
    )
    return plain(cells)


def styles(rows: list[Row], style: str) -> str:
    return "".join(span.text for cells in rows for span in cells if span.style == style)


def test_no_data_yet() -> None:
    assert drawn([], View(0, 0), 24, 6) == [
        "Loss                    ",
        "│                       ",
        "│      no data yet      ",
        "│                       ",
        "└───────────────────────",
        "                        ",
    ]


def test_a_mark_lies_over_all_curves_if_it_is_in_view() -> None:
    flat, marked = curve(2, 2, 2), replace(curve(3, 1, 2), mark=1)
    view = View(0, 2, 1, 3)
    assert drawn([marked, flat], view, 24, 6)[1:4] == [
        " │⠑⠢⢄⡀                  ",
        "2┤⠒⠒⠒⠚⠓⠲⠶⣒⠒⠒⠒⠒⠒⠒⠒⠒⠒⢒⣒⠶⠶⠒",
        " │        ⠉⠒⠤◆⠤⠤⠒⠊⠉⠁    ",
    ]
    assert drawn([marked, flat], view, 24, 6, ascii=True)[3] == " |        oo^ooooo      "
    for elsewhere in (View(0, 2, 1.2, 3), View(1.1, 2, 1, 3), View(0, 2, 2, 3, log_y=True)):
        assert "◆" not in "".join(drawn([marked, flat], elsewhere, 24, 6))
    top = replace(marked, mark=0)
    assert drawn([top, flat], View(0, 2, log_y=True), 24, 6)[1] == " │◆⠢⢄⡀                  "
    for bad in (NAN, -1.0):
        assert "◆" not in "".join(
            drawn([replace(curve(3, bad), mark=1)], replace(view, log_y=True), 24, 6)
        )


def test_one_point_is_seen() -> None:
    assert drawn([curve(2)], View(0, 2, 1, 3), 24, 6) == [
        "Loss             ─ Dense",
        " │                      ",
        "2┤⠛                     ",
        " │                      ",
        " └┬──────────┬─────────┬",
        "  0          1         2",
    ]


def test_nan_is_a_gap() -> None:
    assert drawn([curve(1, 2, NAN, 2, 1)], View(0, 4, 1, 2), 24, 7) == [
        "Loss             ─ Dense",
        "2┤    ⢀⠎          ⠱⡀    ",
        " │   ⡰⠁            ⠈⢆   ",
        " │ ⢀⠎                ⠱⡀ ",
        "1┤⡰⠁                  ⠈⢆",
        " └┬──────────┬─────────┬",
        "  0          2         4",
    ]


def test_ascii_with_cursor() -> None:
    assert drawn([curve(1, 2, NAN, 2, 1)], View(0, 4, 1, 2), 24, 7, ascii=True, cursor=2) == [
        "Loss             o Dense",
        "2+     o    |     o     ",
        " |   oo     |      oo   ",
        " | oo       |        oo ",
        "1+o         |          o",
        " ++---------^----------+",
        "  0         2          4",
    ]


def test_log_leaves_out_what_is_not_positive() -> None:
    view = View(0, 4, log_y=True)
    assert drawn([curve(1, 10, 100, -1, 1000)], view, 24, 8, ascii=True) == [
        "Loss (log)       o Dense",
        "1k+                    o",
        "  |         oo          ",
        "  |       oo            ",
        "  |   oooo              ",
        " 1+ooo                  ",
        "  ++---------+---------+",
        "   0         2         4",
    ]


def test_narrowest() -> None:
    assert drawn([curve(4, 3, 2, 1)], View(0, 3), 12, 4) == [
        "Loss        ",
        "2┤⠉⠑⠒⠒⠒⠤⠤⠤⢄⣀",
        " └┬─────┬───",
        "  0     2   ",
    ]


def test_bold_is_twice_as_thick() -> None:
    assert drawn([curve(4, 2, 1, 1, weight="bold")], View(0, 3), 30, 8)[1:6] == [
        "4┤⠳⢦⣄                         ",
        " │  ⠈⠛⢦⣄⡀                     ",
        " │     ⠈⠙⠶⣤⣀                  ",
        "2┤         ⠉⠛⠳⠶⣤⣤⣀⡀           ",
        " │               ⠉⠙⠛⠶⠶⠶⠶⠶⠶⠶⠶⠶⠶",
    ]


def test_ascii_tells_variants_and_curves_apart() -> None:
    curves = [
        curve(4, 3, 2, 1),
        curve(3, 2, 1, 0, name="MoE", style="moe"),
        curve(4, 2, 1, 1, name="Dense val", style="dense.bold", weight="bold"),
        curve(2, 2, 2, 2, name="MoE val", style="moe.bold", weight="bold"),
    ]
    rows = drawn(curves, View(0, 3), 50, 9, ascii=True)
    assert rows == [
        "Loss        o Dense  x MoE  @ Dense val  # MoE val",
        " |@@@ooooo                                        ",
        " |xxx@@@@@oooooooooooo                            ",
        " |    xxxx@@@@@@      oooooooo                    ",
        " |##############@#@#@#@#@#########################",
        " |                        @@@@@@@@@@@@@@@@@@@@@@@@",
        "0+                                        xxxxxxxx",
        " ++---------------+--------------+----------------",
        "  0               1              2            step",
    ]
    assert all(row.isascii() for row in rows)


def test_nothing_in_view_is_said() -> None:
    assert "no data in view" in drawn([curve(4, 3)], View(5, 9), 30, 6)[2]
    assert "no data yet" not in "".join(drawn([curve(NAN, NAN)], View(0, 3), 30, 6))


def test_below_the_smallest_size_rows_are_blank() -> None:
    assert drawn([curve(1, 2)], View(0, 1), 11, 4) == [" " * 11] * 4
    assert drawn([curve(1, 2)], View(0, 1), 20, 3) == [" " * 20] * 3


def test_times_on_x() -> None:
    rows = chart(
        [curve(*range(11))],
        View(0, 3600),
        60,
        6,
        title="",
        x_label="time",
        x_text=duration,
        x_ticks=time_ticks,
    )
    assert plain(rows)[-1].split() == ["0s", "15:00", "30:00", "45:00", "time"]


def test_cells_carry_the_styles_of_the_palette() -> None:
    curves = [curve(2, 1, style="dense.faint", weight="faint"), curve(1, 2, style="moe")]
    rows = chart(curves, View(0, 1), 40, 8, title="Loss", x_label="step", cursor=0.9)
    used = {span.style for cells in rows for span in cells}
    assert used == {"", "strong", "muted", "dense.faint", "moe", "cursor"}


def test_a_bold_curve_lies_on_top() -> None:
    flat = [1.0] * 7
    curves = [
        curve(*flat, name="val", style="b", weight="bold"),
        curve(*flat, name="train", style="l"),
        curve(*flat, name="raw", style="f", weight="faint"),
    ]
    rows = chart(curves, View(0, 6), 30, 6, title="Loss", x_label="step")[1:]
    assert styles(rows, "b")
    assert not styles(rows, "l") + styles(rows, "f")


def test_curves_of_one_weight_share_their_cells() -> None:
    same = [curve(1, 1), curve(1, 1, name="MoE", style="moe")]
    rows = chart(same, View(0, 1), 30, 6, title="Loss", x_label="step")[1:]
    assert len(styles(rows, "dense")) == len(styles(rows, "moe")) == 14


def test_legend_drops_faint_curves_first() -> None:
    curves = [curve(1, 2, name="raw", style="dense.faint", weight="faint"), curve(1, 2)]
    assert drawn(curves, View(0, 1), 30, 5)[0] == "Loss            ⣿ raw  ─ Dense"
    assert drawn(curves, View(0, 1), 18, 5)[0] == "Loss       ─ Dense"
    assert drawn(curves, View(0, 1), 12, 5)[0] == "Loss        "


def overlaid(name: str, marker: str, *, dashed: bool = False) -> Curve:
    return replace(curve(2, 1, name=name, style="over"), marker=marker, dashed=dashed)


def test_legend_keeps_marked_curves_longest_once_each_and_then_without_names() -> None:
    marked = [overlaid("older", "1"), overlaid("older", "1", dashed=True), overlaid("new", "2")]
    curves = [*marked, curve(1, 2, name="val", weight="bold"), curve(1, 2, name="train")]
    assert drawn(curves, View(0, 1), 42, 5)[0] == "Loss        ━ val  ─ train  1 older  2 new"
    assert drawn(curves, View(0, 1), 32, 5)[0] == "Loss       ━ val  1 older  2 new"
    assert drawn(curves, View(0, 1), 20, 5)[0] == "Loss       ━ val  12"
    assert drawn(curves, View(0, 1), 14, 5)[0] == "Loss     ━ val"


def test_a_dashed_curve_has_gaps_and_a_marker_draws_it_in_ascii() -> None:
    flat = replace(curve(1, 1), marker="7", dashed=True, mark=0)
    row = drawn([flat], View(0, 1, 0, 2), 24, 6, ascii=True)[2]
    assert row == " |77 77 77 77 77 77 77 7"
    assert drawn([flat], View(0, 1, 0, 2), 24, 6)[2] == " │7⠒ ⠒⠒ ⠒⠒ ⠒⠒ ⠒⠒ ⠒⠒ ⠒⠒ ⠒"
    again = drawn([replace(flat, dashed=False)], View(0, 1, 0, 2), 24, 6)[2]
    assert again == " │7" + "⠒" * 21, "the cached raster is whole"


def test_a_dotted_curve_is_sparse_and_shares_the_legend_of_its_mean() -> None:
    edge = replace(curve(1, 1, weight="faint"), marker="7", dotted=True)
    assert drawn([edge], View(0, 1, 0, 2), 24, 6)[2] == " │ ⠒ ⠒ ⠒ ⠒ ⠒ ⠒ ⠒ ⠒ ⠒ ⠒ ⠒"
    mean = replace(curve(0.5, 0.5), marker="7")
    rows = drawn([edge, mean], View(0, 1, 0, 2), 24, 9, ascii=True)
    assert " | . . . . . . . . . . ." in rows
    assert rows[0].count("7") == 1


def test_a_spike_of_a_faint_curve_does_not_flatten_the_others() -> None:
    raw = np.full(1000, 2.0)
    raw[0] = 1e6
    faint = Curve("raw", "f", np.arange(1000.0), raw, "faint")
    line = Curve("train", "l", np.arange(1000.0), np.linspace(4, 1, 1000))
    both = plain(chart([faint, line], View(0, 999), 60, 16, title="", x_label=""))
    alone = plain(chart([faint], View(0, 999), 60, 16, title="", x_label=""))
    assert not any("k" in row.partition("┤")[0] for row in both[1:-2])
    assert any("k" in row.partition("┤")[0] for row in alone[1:-2])


def test_a_line_is_cut_where_it_leaves_the_view() -> None:
    steep = Curve("Dense", "dense", np.array([0.0, 10.0]), np.array([0.0, 1e300]))
    rows = drawn([steep], View(0, 10, 0, 1), 24, 8, ascii=True)
    assert [row[2] for row in rows[1:6]] == ["o"] * 5
    wide = Curve("Dense", "dense", np.array([-1e9, 1e9]), np.array([1.0, 1.0]))
    assert "o" * 20 in "".join(drawn([wide], View(4, 5), 24, 8, ascii=True))


def test_control_characters_do_not_reach_the_terminal() -> None:
    name = curve(1, 2, name="a\x1b[2Jb")
    rows = plain(chart([name], View(0, 1), 40, 6, title="\x07", x_label="\n"))
    assert all(text.isprintable() for text in rows)


WEIGHTS: tuple[Weight, ...] = ("faint", "line", "bold")
values = st.floats(-7, 7) | st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def anything(draw: st.DrawFn) -> tuple[list[Curve], View]:
    curves = []
    for index in range(draw(st.integers(0, 3))):
        y = np.array(draw(st.lists(values, max_size=29)), dtype=float)
        x = np.cumsum(
            np.abs(
                np.array(
                    draw(st.lists(st.floats(0, 1e6), min_size=len(y), max_size=len(y))), dtype=float
                )
            )
        )
        weight: Weight = draw(st.sampled_from(WEIGHTS))
        curves.append(Curve(f"c{index}", f"s{index}", x, y, weight))
    limit = st.none() | values
    view = View(
        draw(st.just(0.0) | values),
        draw(st.just(1e7) | values),
        draw(limit),
        draw(limit),
        log_y=draw(st.booleans()),
    )
    return curves, view


@settings(max_examples=150)
@given(anything(), st.integers(0, 70), st.integers(0, 17), st.booleans(), st.none() | values)
def test_size_is_exact_for_anything(
    data: tuple[list[Curve], View],
    columns: int,
    rows: int,
    ascii: bool,
    cursor: float | None,
) -> None:
    curves, view = data
    cells = chart(
        curves, view, columns, rows, title="Löss", x_label="step", ascii=ascii, cursor=cursor
    )
    assert [width(line) for line in cells] == [columns] * rows
    if ascii:
        assert all(text.isascii() for text in plain(cells[1:]))


def test_plotext_is_not_imported_before_a_chart_is_drawn() -> None:
    body = "import sys, tinygpt_tui.render.curves, tinygpt_tui.render.bars; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", body],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert not {"plotext", "torch", "textual"} & set(done.stdout.split())


def test_a_million_points_keep_their_spike() -> None:
    y = np.full(1_000_000, 2.0)
    y[333_333] = 9.0
    long = Curve("Dense", "dense", np.arange(1e6), y)
    rows = plain(chart([long], View(0, 999_999), 60, 16, title="", x_label="step"))
    assert [text[20:23].strip() != "" for text in rows[1:-2]] == [True] * 13


def grouped(name: str, **changes: object) -> Curve:
    """A curve of a variant, one of three."""
    made = curve(1, 2, name=name, style=name.split(maxsplit=1)[0].lower(), **changes)  # type: ignore[arg-type]
    return replace(made, family=name.split(maxsplit=1)[0])


def test_a_legend_of_families_names_all_kinds_in_the_words_that_fit() -> None:
    kinds = {"faint": ("batch",), "line": ("train (ema 50)", "ema 50", "ema"), "bold": ("val",)}
    curves = [
        replace(grouped(f"{name} {weight}", weight=weight), kinds=kinds[weight])
        for name in ("Dense", "MoE")
        for weight in kinds
    ]
    for head in (
        "Loss         Dense MoE ⣿ batch  ─ train (ema 50)  ━ val",
        "Loss     Dense MoE ⣿ batch  ─ ema 50  ━ val",
        "Loss Dense MoE ⣿ batch ─ ema 50 ━ val",
        "Loss Dense MoE ⣿ batch ─ ema ━ val",
        "Loss      Dense MoE",
    ):
        assert drawn(curves, View(0, 1), len(head), 5)[0] == head
    (head, *_) = drawn(curves, View(0, 1), 45, 5, ascii=True)
    assert head.endswith("Dense MoE .: batch  ox ema 50  @# val")


@pytest.mark.parametrize("plain_glyphs", [False, True])
def test_what_is_cut_off_is_marked(plain_glyphs: bool) -> None:
    up, down = ("^", "v") if plain_glyphs else ("↑", "↓")
    for view, ends in (
        (View(0, 2, 0.0, 2.5), (up, "")),
        (View(0, 2, 1.5, 4.0), ("", down)),
        (View(0, 2, 0.0, 4.0), ("", "")),
        (View(0, 1, 0.0, 2.5), ("", "")),
    ):
        head, *rows = drawn([curve(1, 2, 3)], view, 40, 9, ascii=plain_glyphs)[:-2]
        assert [up in rows[0][:5], down in rows[-1][:5]] == [bool(end) for end in ends]
        assert head.startswith("Loss (clipped)" if any(ends) else "Loss  ")
