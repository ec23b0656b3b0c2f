"""The slider over a run's checkpoints."""

from __future__ import annotations

from tinygpt_tui.render.cells import Row, Span, row


def slider(total: int, place: int, columns: int) -> Row:
    """A line with a mark a checkpoint where there is room, else with the chosen one alone."""
    dot, line, here = ("┼", "─", "●")
    columns = min(columns, 4 * total - 3)
    if columns < 3:
        return ()
    marks = [line] * columns
    at = [round(i * (columns - 1) / max(total - 1, 1)) for i in range(total)]
    if 2 * total - 1 <= columns:
        for column in at:
            marks[column] = dot
    spot = at[place]
    after = "".join(marks[spot + 1 :])
    return row(Span("".join(marks[:spot]), "bar"), Span(here, "cursor"), Span(after, "faint"))
