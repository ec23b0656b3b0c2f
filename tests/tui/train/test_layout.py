"""How the parts of the Train tab share a window."""

import pytest

from tests.helpers.scenes import history
from tinygpt_tui.train.layout import TALL, arrange, layout_of
from tinygpt_tui.train.state import Quantity, TrainState


@pytest.mark.parametrize("overlays", [0, 1, 4])
@pytest.mark.parametrize("columns", [20, 40, 63, 64, 80, 120, 200, 400])
@pytest.mark.parametrize("bottom", [0, 6])
def test_layout_fills_windows_of_any_height_exactly(
    columns: int, overlays: int, bottom: int
) -> None:
    shown: tuple[Quantity, ...] = ("loss", "tokens/s")
    rows = overlays and 1 + overlays
    for lines in range(1, 60):
        case = f"{lines} lines"
        layout = arrange(columns, lines, shown, table=4, overlays=rows, bottom=bottom)
        heights = [height for _, _, height in layout.charts]
        used = sum(heights) if layout.stacked else heights[0]
        others = layout.status + layout.table + layout.overlays + layout.bottom + layout.machine
        assert used + others == lines, case
        assert used >= 1, case
        widths = sum(width for _, width, _ in layout.charts) + (len(layout.charts) - 1)
        assert layout.stacked or widths == columns, case
        if lines >= 22:
            assert layout.overlays == rows, case
            assert layout.bottom == (bottom if not overlays or lines >= TALL else 0), case
            assert layout.status, case
            assert layout.table == 4, case


def test_before_the_first_evaluation_charts_have_the_room_of_what_is_not_there_yet() -> None:
    early, late = (layout_of(TrainState(history(last)), 80, 22) for last in (9, 10))
    assert (early.table, early.bottom) == (3, 0), "no difference, no samples, no load"
    assert late.table == 4
    assert [height for _, _, height in early.charts] == [22 - 3 - 2] * 2


def test_the_panels_take_what_they_need_and_the_charts_the_rest() -> None:
    layout = layout_of(TrainState(history(30)), 200, 48)
    assert layout.bottom == 5
    assert layout.charts[0][2] == 48 - 5 - 4 - 2
