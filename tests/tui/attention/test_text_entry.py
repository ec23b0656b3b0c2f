"""Where the text of the Attention tab comes from."""

import os
from pathlib import Path

import pytest

from tinygpt_tui.attention.controller import AttentionController
from tinygpt_tui.attention.text_entry import MAX_CHARACTERS, inspect_file


@pytest.fixture
def controller(tmp_path: Path) -> AttentionController:
    made = AttentionController(lambda _: None, lambda: 1)
    made.open(tmp_path / "run")
    return made


def test_the_text_of_a_file(controller: AttentionController, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("né\r\nü\r\xff".encode() + b"\xff")
    inspect_file(controller, tmp_path / "a.txt")
    assert controller.text == "né\nü\nÿ\ufffd"
    (tmp_path / "a.txt").write_text("日" * (MAX_CHARACTERS + 7), encoding="utf-8")
    inspect_file(controller, tmp_path / "a.txt")
    assert controller.text == "日" * MAX_CHARACTERS


def test_a_file_without_text_is_named(controller: AttentionController, tmp_path: Path) -> None:
    pipe, wide = tmp_path / "pipe", tmp_path / "wide"
    os.mkfifo(pipe)
    wide.write_text("abc", encoding="utf-16")
    inspect_file(controller, pipe)
    assert controller.message == f"cannot read {pipe}: it is not a regular file"
    inspect_file(controller, wide)
    assert controller.message == f"{wide} is UTF-16 text: save it as UTF-8"
