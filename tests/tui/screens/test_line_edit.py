"""Editing one line of text."""

import pytest

from tinygpt_tui.screens.line_edit import LineEdit


@pytest.mark.parametrize(
    ("keys", "text", "cursor"),
    [
        ([], "to be or", 8),
        (["left", "left", "x"], "to be xor", 7),
        (["home", "delete", "T"], "To be or", 1),
        (["backspace"], "to be o", 7),
        (["ctrl+w"], "to be ", 6),
        (["ctrl+w", "ctrl+w"], "to ", 3),
        (["ctrl+w"] * 5, "", 0),
        (["left", "ctrl+u"], "r", 0),
        (["ctrl+a", "right", "ctrl+k"], "t", 1),
        (["home", "left", "backspace"], "to be or", 0),
        (["end", "right", "delete"], "to be or", 8),
    ],
)
def test_keys(keys: list[str], text: str, cursor: int) -> None:
    line = LineEdit.at_end("to be or")
    for key in keys:
        pressed = line.pressed(key, key if len(key) == 1 else None)
        assert pressed is not None
        line = pressed
    assert line == LineEdit(text, cursor)


def test_other_keys_are_not_taken() -> None:
    assert LineEdit().pressed("f5", None) is LineEdit().pressed("escape", "\x1b") is None


def test_the_first_line_of_what_is_pasted() -> None:
    assert LineEdit("ac", 1).inserted("b\tB\nd") == LineEdit("abBc", 3)
    assert LineEdit("ac", 1).inserted("") == LineEdit("ac", 1)
