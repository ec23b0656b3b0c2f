"""Untrusted text is made safe for a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.errors import RunError
from tinygpt.escape import printable


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert shown.isprintable()
    shown.encode()
    assert [c for c in text if c.isprintable()] == [
        c for c, was in zip(shown, text, strict=True) if was.isprintable()
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;title\x07b", "a␛]0;title␇b"),
        ("one\ntwo\rthree\t", "one⏎two␍three␉"),
        ("\x7f\x9b31m", "␡�31m"),
        ("abc\u202edef", "abc�def"),
        ("\ud800", "�"),
    ],
)
def test_marks(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_is_kept() -> None:
    assert printable("a\n\tb\x1b", keep="\n\t") == "a\n\tb␛"


@given(st.text())
def test_error_messages_have_no_control_characters(name: str) -> None:
    said = str(RunError(f"there is no run {name}"))
    assert all(unicodedata.category(c)[0] != "C" for c in said)
