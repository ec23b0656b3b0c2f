"""Sorting and filtering the list of runs."""

from pathlib import Path

import pytest

from tests.helpers.runs import make_run
from tinygpt.run import list_runs
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.screens.runs_order import SORT_KEYS, RunsOrder
from tinygpt_tui.screens.runs_table import COLUMNS, RunEntry


@pytest.fixture
def entries(tmp_path: Path) -> list[RunEntry]:
    """Three runs, the newest first: B, a, c; c has no MoE."""
    make_run(tmp_path, "B", {"preset": "micro"}, "done", step=200, wall=90.0, losses=(1.5, 1.75))
    make_run(tmp_path, "a", {"preset": "nano"}, "stopped", ago=60.0, step=500, losses=(1.25, 1.5))
    make_run(tmp_path, "c", {"model": "dense"}, "done", ago=120.0, step=300, losses=(1.75,))
    return [RunEntry(run, summary(run.path)) for run in list_runs(tmp_path)]


def names(order: RunsOrder, entries: list[RunEntry]) -> str:
    return "".join(entry.run.name for entry in order.apply(entries))


@pytest.mark.parametrize(
    ("column", "forward", "backward"),
    [
        ("started", "Bac", "caB"),
        ("name", "aBc", "cBa"),
        ("state", "Bca", "aBc"),
        ("preset", "Bac", "acB"),
        ("step", "acB", "Bca"),
        ("dense", "aBc", "cBa"),
        ("moe", "aBc", "Bac"),
        ("time", "Bac", "acB"),
        ("corpus", "Bac", "Bac"),
        ("device", "Bac", "Bac"),
    ],
)
def test_sorting(column: str, forward: str, backward: str, entries: list[RunEntry]) -> None:
    order = RunsOrder(column)
    assert names(order, entries) == forward
    assert names(order.reversed(), entries) == backward
    assert {order.arrow, order.reversed().arrow} == {"▲", "▼"}
    assert (order.arrow == "▼") == (column in ("started", "step", "time"))


def test_every_column_can_be_sorted_by() -> None:
    assert set(COLUMNS) - {"mark"} == set(SORT_KEYS)


def test_the_next_column_is_a_visible_one() -> None:
    shown = ["mark", "name", "moe"]
    order = RunsOrder("moe", is_reversed=True, words="w")
    assert order.by_next(shown) == RunsOrder("name", words="w")
    assert order.by_next(shown).by_next(shown).column == "moe"
    assert RunsOrder("started").by_next(shown).column == "name", "which is not shown"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", "Bac"),
        ("NANO", "ac"),
        ("done", "Bc"),
        ("stopped nano", "a"),
        ("corpus.txt", "Bac"),
        ("cpu thread", "Bac"),
        ("b", "B"),
        ("nano micro", ""),
    ],
)
def test_filtering(words: str, found: str, entries: list[RunEntry]) -> None:
    assert names(RunsOrder(words=words), entries) == found
