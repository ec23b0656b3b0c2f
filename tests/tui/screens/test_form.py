"""What the fields of the form accept."""

from pathlib import Path

from tinygpt_tui.screens.form import data_problem


def test_data_problem(tmp_path: Path, corpus_file: Path) -> None:
    assert data_problem("auto") is data_problem(str(corpus_file)) is None
    assert "is a folder" in (data_problem(str(tmp_path)) or "")
    for broken in ("~nobody-here/x", "a\0b", "nothing"):
        assert data_problem(broken)
