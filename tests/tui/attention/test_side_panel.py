"""The panels beside a map: as many as fit, and more where there is room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.looks import attention_state, inspected
from tinygpt_tui import theme
from tinygpt_tui.attention.side_panel import side_panel
from tinygpt_tui.render.cells import plain, width


def drawn(columns: int, lines: int) -> list[str]:
    shown = inspected(29)
    return plain(side_panel(attention_state(shown, (120, 34)), shown, columns, lines))


def test_what_is_left_goes_to_more_keys_and_then_to_the_heads_of_the_layer() -> None:
    low, high = drawn(60, 19), drawn(60, 40)
    assert sum(" 0.0" in line for line in low) < sum(" 0.0" in line for line in high)
    assert "L1 H0" not in "\n".join(low)
    assert "L1 H0 0.18" in "\n".join(high)
    assert "▸ L1 H1 0.27" in "\n".join(high), "the selected one"


def test_the_text_is_coloured_beside_the_map() -> None:
    assert "But, soft! what light" in "\n".join(drawn(40, 19))


@pytest.mark.parametrize("mode", ["head", "mean"])
@given(st.integers(25, 100), st.integers(3, 50))
def test_every_size_is_filled(mode: str, columns: int, lines: int) -> None:
    shown = inspected(29)
    rows = side_panel(attention_state(shown, (120, 34), mode=mode), shown, columns, lines)
    assert len(rows) == lines
    assert max(map(width, rows)) <= columns
    for cells in rows:
        for span in cells:
            theme.style(span.style)
