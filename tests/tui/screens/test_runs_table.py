"""The list of runs as text."""

from tinygpt_tui.screens.runs_table import age


def test_age() -> None:
    assert [age(t) for t in (-3, 59, 3599, 7300, 86400 * 5)] == [
        "now",
        "now",
        "59 min",
        "2 h",
        "5 d",
    ]
