"""Which part of a list is visible."""

from hypothesis import given
from hypothesis import strategies as st

from tinygpt_tui.render.scroll import around


def test_the_place_is_in_the_middle_or_the_list_at_its_end() -> None:
    assert around(0, 5, 12) == range(5)
    assert around(6, 5, 12) == range(4, 9)
    assert around(11, 5, 12) == range(7, 12)
    assert around(3, 20, 12) == range(12)


@given(st.integers(1, 60), st.data())
def test_every_place_can_be_shown(total: int, data: st.DataObject) -> None:
    place, room = data.draw(st.integers(0, total - 1)), data.draw(st.integers(1, 70))
    shown = around(place, room, total)
    assert place in shown
    assert len(shown) == min(room, total)
