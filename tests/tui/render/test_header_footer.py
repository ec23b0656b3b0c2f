"""Header and footer: what is clicked is what is drawn."""

import pytest

from tinygpt_tui.keymap import TAB_KEYS, Key, keys_of
from tinygpt_tui.render.cells import plain
from tinygpt_tui.render.header_footer import TITLES, footer_row, header_row, key_at, tab_at


@pytest.mark.parametrize("columns", [35, 59, 80, 200])
@pytest.mark.parametrize("tab", TITLES)
def test_each_tab_is_where_it_is_drawn(tab: str, columns: int) -> None:
    (text,) = plain([header_row(tab, "nano", "text", None, columns)])
    for number, name in enumerate(TITLES, start=1):
        shown = f" {number} {TITLES[name]} " if columns >= 60 or name == tab else f" {number} "
        start = text.index(shown)
        assert {tab_at(x, tab, columns) for x in range(start, start + len(shown))} == {name}
    end = start + len(shown)
    assert tab_at(end, tab, columns) is None


@pytest.mark.parametrize("columns", [20, 80, 200])
@pytest.mark.parametrize("tab", TAB_KEYS)
def test_each_key_is_where_it_is_drawn(tab: str, columns: int) -> None:
    keys = keys_of(tab, has_run=True)
    (text,) = plain([footer_row(keys, columns)])
    clicked: list[Key] = []
    for x in range(columns):
        key = key_at(x, keys, columns)
        if key and key not in clicked:
            clicked.append(key)
    drawn = "".join(f" {key.text} {key.label} " for key in clicked)
    assert text.rstrip() == drawn.rstrip()
