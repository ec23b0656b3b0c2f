"""The list of runs as text."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.helpers.runs import make_run
from tinygpt.run import list_runs
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.screens.runs_table import (
    Cell,
    RunEntry,
    age,
    details,
    heading,
    mark_cell,
    row_cells,
    shown_columns,
)


@pytest.fixture
def entry(tmp_path: Path) -> RunEntry:
    path = make_run(tmp_path, "漢字-one", {"preset": "micro"}, "done")
    (run,) = list_runs(tmp_path)
    return RunEntry(run, summary(path))


@pytest.mark.parametrize("width", [5, 20, 40, 51, 61, 71, 73, 95, 120, 166])
def test_rows_are_as_wide_as_the_list(entry: RunEntry, width: int) -> None:
    cells = row_cells(entry, width, mark_cell(None, is_open=False), now=entry.run.created + 7200)
    assert sum(cell_len(cell.text) for cell in cells) == cell_len(heading(width)) == width - 1
    assert heading(width, "name", "▲").strip().startswith("run▲" if width > 5 else "")


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (40, "漢字-one ✓ Done 1.6250"),
        (73, "漢字-one ✓ Done micro 500 1.6250 1.5000 50s"),
        (95, "漢字-one ✓ Done micro 500 1.6250 1.5000 50s 2 h"),
        (112, "漢字-one ✓ Done micro 500 1.6250 1.5000 50s 2 h corpus.txt cpu (1 thre…"),
        (166, "漢字-one ✓ Done micro 500 10,000 1.6250 1.5000 50s 2 h corpus.txt cpu (1 thread)"),
    ],
)
def test_the_most_important_columns_come_first(entry: RunEntry, width: int, words: str) -> None:
    cells = row_cells(entry, width, mark_cell(None, is_open=False), now=entry.run.created + 7200)
    assert "".join(cell.text for cell in cells).split() == words.split()


def test_a_narrow_list_has_names_at_least(entry: RunEntry) -> None:
    assert shown_columns(14) == ["name"]
    assert shown_columns(3) == ["name"]


def test_marks_have_the_number_and_colour_of_their_overlay() -> None:
    assert mark_cell(2, is_open=False) == Cell(" 2", "over.2")
    assert mark_cell(5, is_open=False) == Cell(" +", "strong")
    assert mark_cell(0, is_open=True) == Cell("▸+", "accent")
    assert mark_cell(None, is_open=True) == Cell("▸", "accent")


def test_details(entry: RunEntry) -> None:
    models, facts, path = details(entry)
    assert models.startswith("micro 2/4/64, context 32 · Dense ")
    assert "active)" in models
    assert "50s on cpu (1 thread) · corpus.txt" in facts
    assert path == str(entry.run.path)


def test_age() -> None:
    ages = [age(t) for t in (-3, 59, 3599, 7300, 86400 * 5)]
    assert ages == ["now", "now", "59 min", "2 h", "5 d"]
