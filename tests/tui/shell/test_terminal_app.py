"""The app suits its terminal."""

from pathlib import Path

import pytest

from tinygpt_tui.app import LabApp
from tinygpt_tui.shell.driver import TerminalDriver
from tinygpt_tui.shell.sixteen_colors import SixteenColorsFilter


@pytest.mark.parametrize(
    ("term", "colorterm", "few"),
    [
        ("xterm", "", True),
        ("screen", "", True),
        ("linux", "", True),
        ("xterm-256color", "", False),
        ("xterm", "truecolor", False),
    ],
)
def test_terminals_with_16_colours(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    term: str,
    colorterm: str,
    few: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLORTERM", colorterm)
    app = LabApp(tmp_path)
    assert app.few_colors == few
    assert any(isinstance(f, SixteenColorsFilter) for f in app._own_filter.filters) == few
    assert app.get_line_filters()[-1] is app.get_line_filters()[-1] is app._own_filter


def test_the_driver_for_a_terminal_is_ours(tmp_path: Path) -> None:
    assert LabApp(tmp_path).driver_class is TerminalDriver
