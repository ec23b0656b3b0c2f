"""The user's note: kept in the run, atomic, and safe to read from a stranger's run."""

import os
from pathlib import Path

import pytest

from tinygpt.errors import RunError
from tinygpt.run.note import LARGEST_NOTE, first_line, read_note, write_note


def test_a_note_is_read_back_and_a_blank_one_removed(tmp_path: Path) -> None:
    assert read_note(tmp_path) == ""
    assert first_line(tmp_path) == ""
    write_note(tmp_path, "\n# Höhere Rate\n\nschlechter\n\n")
    assert (tmp_path / "note.md").read_text(encoding="utf-8") == "# Höhere Rate\n\nschlechter\n"
    assert first_line(tmp_path) == "Höhere Rate"
    write_note(tmp_path, " \n")
    assert list(tmp_path.iterdir()) == []
    write_note(tmp_path, "")


def test_what_cannot_be_a_note_is_refused(tmp_path: Path) -> None:
    write_note(tmp_path, "x" * (LARGEST_NOTE - 1))
    with pytest.raises(RunError, match=r"has 65,537 bytes: at most 65,536 are kept"):
        write_note(tmp_path, "x" * LARGEST_NOTE)
    assert len(read_note(tmp_path)) == LARGEST_NOTE, "the last one stays"
    with pytest.raises(RunError, match=r"cannot write .*note.md"):
        write_note(tmp_path / "gone", "x")


def test_a_note_of_a_stranger(tmp_path: Path) -> None:
    file = tmp_path / "note.md"
    file.write_bytes(b"\x1b]0;title\x07 words\n")
    assert first_line(tmp_path) == "␛]0;title␇ words"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="not text in UTF-8"):
        read_note(tmp_path)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(RunError, match="not a regular file"):
        read_note(tmp_path)
    assert first_line(tmp_path) == ""


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    (run / "note.md").symlink_to(other)
    write_note(run, "text")
    assert other.read_text() == "mine"
    assert read_note(run) == "text\n"
