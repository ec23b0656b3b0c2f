"""How the parts of the Train tab share a window."""

import pytest

from tinygpt_tui.train.layout import arrange


@pytest.mark.parametrize("overlays", [0, 1, 4])
@pytest.mark.parametrize("columns", [20, 40, 63, 64, 80, 120, 200, 400])
@pytest.mark.parametrize("lines", range(1, 60))
def test_layout_fills_the_window_exactly(columns: int, lines: int, overlays: int) -> None:
    layout = arrange(columns, lines, "both", 2, overlays)
    heights = [height for _, _, height in layout.charts]
    used = sum(heights) if layout.stacked else heights[0]
    others = layout.status + layout.table + layout.overlays + layout.bottom + layout.machine
    assert used + others == lines
    assert used >= 1
    widths = sum(width for _, width, _ in layout.charts) + (len(layout.charts) - 1)
    assert layout.stacked or widths == columns
    if lines >= 22:
        assert layout.overlays == (overlays and 1 + overlays)
        assert layout.bottom >= 5 or overlays
        assert layout.status
        assert layout.table == 4
