"""The panels beside the texts of a wide Generate tab: settings, colours, token at the cursor."""

from __future__ import annotations

from tinygpt.escape import printable
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.generate.candidates import HEADINGS, WITH_BAR, inspector
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.settings import SETTINGS, shown
from tinygpt_tui.generate.view import idle
from tinygpt_tui.render.cells import Row, Span, fit, padded, row
from tinygpt_tui.render.panel import rule, titled

MIN_COLUMNS, MIN_LINES = 150, 30
"""Size of the texts from which the sidebar is beside them."""
LEAST, MOST = 50, 66
"""Columns of the sidebar."""


def sidebar_columns(columns: int, lines: int) -> int:
    """Columns of the sidebar in a tab of this size; 0 if it is too small for one."""
    if columns < MIN_COLUMNS or lines < MIN_LINES:
        return 0
    return min(max(columns // 3, LEAST), MOST)


def sidebar(controller: GenerateController, legend: Row, columns: int, lines: int) -> list[Row]:
    """Exactly `lines` rows: the settings with their full names, what colours mean, and the
    candidates at the cursor."""
    rows = sidebar_head(controller, legend, columns)
    text, cursor = controller.text, controller.cursor
    left = lines - len(rows)
    if text is not None and cursor is not None and not controller.listed and left >= HEADINGS + 1:
        chosen = controller.candidate
        rows += inspector(text, cursor, columns, left, candidate=chosen, least=WITH_BAR)
    elif text is not None and not controller.listed:
        words = "← moves the cursor: the candidates for each token"
        rows += [rule(titled("token"), columns), fit(row(Span(f" {words}", "faint")), columns)]
    return [*rows[:lines], *[fit((), columns)] * (lines - len(rows))]


def sidebar_head(controller: GenerateController, legend: Row, columns: int) -> list[Row]:
    """The settings and what colours mean."""
    rows = [rule(titled("settings"), columns), *_settings(controller.params, columns)]
    if legend:
        rows += [rule(titled("colours"), columns), fit(row(" ", *legend), columns)]
    return rows


def _settings(params: SamplingParams, columns: int) -> list[Row]:
    """One setting per row: key, full name, value, and the values that it can have."""
    name = max(len(setting.label) for setting in SETTINGS) + 2
    rows = []
    for setting in SETTINGS:
        value = printable(shown(params, setting))
        unused = idle(params, setting, value)
        parts = row(
            Span(f" {setting.key} ", "key"),
            Span(padded(setting.label, name), "muted"),
            Span(padded(value, 10), "faint" if unused else "strong"),
        )
        about = "" if isinstance(getattr(params, setting.name), bool) else setting.range
        rows.append(fit(row(*parts, Span(about, "faint")), columns))
    return rows
