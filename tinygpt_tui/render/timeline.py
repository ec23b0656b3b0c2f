"""The slider over a run's checkpoints."""

from __future__ import annotations

from tinygpt_tui.render.cells import Row, Span, row


def slider(
    total: int,
    place: int,
    columns: int,
    *,
    tick: str = "┼",
    spacing: int = 4,
    knob: str = "cursor",
    before: str = "bar",
) -> Row:
    """A line with a knob at checkpoint `place` of `total`, and a tick per checkpoint if they fit.

    Checkpoints are at most `spacing` columns apart. `knob` and `before` are the styles of the knob
    and of the line before it. Empty with fewer than 3 columns, or a single checkpoint.
    """
    columns = min(columns, spacing * (total - 1) + 1)
    if columns < 3:
        return ()
    line = ["─"] * columns
    ticks = [round(i * (columns - 1) / max(total - 1, 1)) for i in range(total)]
    if 2 * total - 1 <= columns:
        for column in ticks:
            line[column] = tick
    at = ticks[place]
    rest = "".join(line[at + 1 :])
    return row(Span("".join(line[:at]), before), Span("●", knob), Span(rest, "faint"))


def position(total: int, place: int, *, playing: bool, following: bool) -> str:
    """The words beside the slider: "3/20 playing"."""
    state = "playing" if playing else "latest" if following else ""
    return f"{place + 1}/{total} {state}".rstrip()
