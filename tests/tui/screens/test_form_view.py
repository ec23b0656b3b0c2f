"""The form for a new run as text."""

from pathlib import Path

import pytest

from tests.helpers import snapshots
from tinygpt_tui.launch.measured import MeasuredRun, shape
from tinygpt_tui.launch.surroundings import CorpusSource
from tinygpt_tui.render.cells import Row, plain, width
from tinygpt_tui.screens.form_state import SEARCH, FormState
from tinygpt_tui.screens.form_view import BELOW, Measurements, choice_at, draw, editor, visible
from tinygpt_tui.screens.line_edit import LineEdit

GIVEN = {"preset": "nano", "name": "first", "gpt.layers": "6", "device": "cpu"}


def form(tmp_path: Path, **given: str) -> FormState:
    return FormState(tmp_path, {**GIVEN, **given})


def drawn(
    state: FormState, columns: int, room: int, known: Measurements | None = None
) -> list[Row]:
    shown = visible(state, 0, room)
    return draw(state, known or Measurements(), columns, room + BELOW, shown)


@pytest.mark.parametrize(("columns", "lines"), [(72, 22), (102, 34)])
def test_snapshot_of_the_form(
    tmp_path: Path, columns: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = form(tmp_path)
    assert state.config is not None
    run = MeasuredRun("nano-1", shape(state.config, "cpu", 0, 1), 0.0605)
    monkeypatch.setattr("tinygpt_tui.launch.measured.spare_threads", lambda: 0)
    known = Measurements(
        (run,), 8 * 10**9, CorpusSource("tinyshakespeare", "./tinyshakespeare.txt")
    )
    state.go(SEARCH)
    state.enter()
    state.go("gpt.layers")
    snapshots.check(f"form-{columns}x{lines}", drawn(state, columns, lines - BELOW, known))


@pytest.mark.parametrize("columns", [20, 40, 72])
@pytest.mark.parametrize("room", [1, 5, 40])
def test_rows_have_the_width_and_the_cursor_is_visible(
    tmp_path: Path, columns: int, room: int
) -> None:
    state = form(tmp_path, **{"data": "春眠" * 30, "optim.momentum": "much" * 9})
    state.go(SEARCH)
    state.enter()
    for row in [row for row in state.rows() if row.name]:
        state.go(row.name)
        rows = drawn(state, columns, room)
        assert [width(cells) for cells in rows] == [columns] * (room + BELOW)
        assert sum(text.startswith("▸") for text in plain(rows)) == 1


def test_the_list_does_not_move_while_the_cursor_is_in_it(tmp_path: Path) -> None:
    state = form(tmp_path)
    state.go(SEARCH)
    state.enter()
    state.go("seed")
    assert visible(state, 5, 8) == range(5, 13)
    state.go("preset")
    assert visible(state, 5, 8) == range(8)


def test_a_problem_is_shown_in_place_of_the_help(tmp_path: Path) -> None:
    state = form(tmp_path, steps="many")
    text = "\n".join(plain(drawn(state, 72, 20)))
    assert "Steps 'many' is not a whole number: at least 1" in text
    assert "nano: 2000" in text


def test_a_corpus_with_a_warning(tmp_path: Path) -> None:
    known = Measurements(corpus=CorpusSource("text", "a download", "its losses do not compare"))
    state = form(tmp_path)
    assert "Corpus  text: a download" in "\n".join(plain(drawn(state, 72, 20, known)))
    state.go("data")
    assert "its losses do not compare" in "\n".join(plain(drawn(state, 72, 20, known)))
    named = form(tmp_path, data="shakespeare-standin")
    named.go("data")
    shown = "\n".join(plain(drawn(named, 72, 20, known)))
    assert "a download" not in shown
    assert "compare" not in shown


@pytest.mark.parametrize("cursor", [0, 3, 9, 30])
def test_a_long_line_is_shown_around_its_cursor(cursor: int) -> None:
    line = LineEdit("abcdefghijklmnopqrstuvwxyzABCD", cursor)
    cells = editor(line, "", 8)
    (under,) = (span.text for span in cells if span.style == "reverse")
    assert (under, width(cells)) == ((line.text + " ")[cursor], 8)


def test_a_choice_is_found_by_its_column() -> None:
    found = [choice_at("model", x) for x in range(23, 60)]
    assert [found[0], found[1], found[6], found[7], found[9]] == [
        None,
        "both",
        "both",
        None,
        "dense",
    ]
    assert found[-1] is choice_at("steps", 30) is None
