"""What the app draws holds nothing that a terminal would obey, wherever it came from."""

import asyncio
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.widgets import Static

from tests.helpers.scenes import make_run
from tinygpt_tui.app import LabApp
from tinygpt_tui.shell.line_filters import AsciiFilter, ControlCharacterFilter

EVIL = "x\x1b]0;owned\x07\x1b[2Jy\x9b2J\r\n\u202ez\ud800"
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@given(st.text())
def test_lines_keep_their_width(text: str) -> None:
    (after,) = ControlCharacterFilter().apply([Segment(text)], Color(0, 0, 0))
    assert not OBEYED.search(after.text)
    after.text.encode()
    assert cell_len(after.text) == cell_len(re.sub("[\ud800-\udfff]", "x", text))


@given(st.text())
def test_ascii_lines_keep_their_width(text: str) -> None:
    (after,) = AsciiFilter().apply([Segment(text)], Color(0, 0, 0))
    assert after.text.isascii()
    assert cell_len(after.text) == cell_len(text)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("Dense · step 205 · val –", "Dense | step 205 | val -"),  # noqa: RUF001 - as drawn
        ("███┃··· ██▎│···", "###|... ##.|..."),
        ("○ micro  ● nano  ∙", "o micro  * nano  _"),
        ("╭─ ▔▔ ─╮ 🔎", "+- -- -+ > "),
    ],
)
def test_ascii_lines_stay_readable(drawn: str, expected: str) -> None:
    (after,) = AsciiFilter().apply([Segment(drawn)], Color(0, 0, 0))
    assert after.text == expected


def test_clean_lines_are_passed_through() -> None:
    segments = [Segment("a plain line │ ▀▀")]
    assert ControlCharacterFilter().apply(segments, Color(0, 0, 0)) is segments


@pytest.mark.parametrize("place", ["toast", "static", "title"])
def test_no_widget_lets_it_through(tmp_path: Path, place: str) -> None:
    make_run(tmp_path, "one").close()

    async def drive() -> list[str]:
        app = LabApp(tmp_path)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            if place == "toast":
                app.report_error(EVIL)
            elif place == "static":
                await app.screen.mount(Static(EVIL, markup=False))
            else:
                app.screen.border_title = EVIL
                app.screen.styles.border = ("round", "red")
            for _ in range(50):  # a toast comes when it comes
                await pilot.pause()
                strips = app.screen._compositor.render_strips()
                texts = [s.text for strip in strips for s in strip if not s.control]
                if any("owned" in text for text in texts):
                    break
            return texts

    texts = asyncio.run(drive())
    assert texts
    assert not [text for text in texts if OBEYED.search(text)]
    assert any("owned" in text for text in texts)
