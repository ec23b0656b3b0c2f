"""The list of runs as text."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.helpers.runs import make_run
from tinygpt.run import list_runs
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.screens.runs_table import RunEntry, age, details, heading, row_cells


@pytest.fixture
def entry(tmp_path: Path) -> RunEntry:
    path = make_run(tmp_path, "漢字-one", {"preset": "micro"}, "done")
    (run,) = list_runs(tmp_path)
    return RunEntry(run, summary(path))


@pytest.mark.parametrize("width", [51, 61, 62, 76, 95, 96, 126])
def test_rows_are_as_wide_as_the_list(entry: RunEntry, width: int) -> None:
    cells = row_cells(entry, width, is_open=False, is_marked=True, now=entry.run.created + 7200)
    assert sum(cell_len(cell.text) for cell in cells) == cell_len(heading(width)) == width - 1
    words = "".join(cell.text for cell in cells).split()
    planned = "500/10,000" if width >= 96 else "500"
    corpus = ["corpus.txt"] if width >= 96 else []
    started = ["2", "h"] if width >= 62 else []
    name = "漢字-one" if width > 51 else "漢字-…"
    assert words == ["+", "✓", "Done", name, planned, "1.625", "1.500", *corpus, *started]


def test_details(entry: RunEntry) -> None:
    models, facts, path = details(entry)
    assert models.startswith("micro 2/4/64, context 32 · Dense ")
    assert "active)" in models
    assert "50s on cpu (1 thread) · corpus.txt" in facts
    assert path == str(entry.run.path)


def test_age() -> None:
    ages = [age(t) for t in (-3, 59, 3599, 7300, 86400 * 5)]
    assert ages == ["now", "now", "59 min", "2 h", "5 d"]
