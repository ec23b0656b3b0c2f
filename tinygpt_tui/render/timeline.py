"""The slider over a run's checkpoints."""

from __future__ import annotations

from tinygpt.formatting import loss
from tinygpt_tui.render.cells import BEST, Row, Span, row


def slider(
    total: int,
    place: int,
    columns: int,
    *,
    tick: str = "┼",
    spacing: int = 4,
    knob: str = "cursor",
    before: str = "bar",
    best: int | None = None,
) -> Row:
    """A line with a knob at checkpoint `place` of `total`, and a tick per checkpoint if they fit.

    Checkpoints are at most `spacing` columns apart. `knob` and `before` are the styles of the knob
    and of the line before it; the checkpoint at place `best` is marked. Empty with fewer than 3
    columns, or a single checkpoint.
    """
    columns = min(columns, spacing * (total - 1) + 1)
    if columns < 3:
        return ()
    line = ["─"] * columns
    ticks = [round(i * (columns - 1) / max(total - 1, 1)) for i in range(total)]
    if 2 * total - 1 <= columns:
        for column in ticks:
            line[column] = tick
    if best is not None:
        line[ticks[best]] = BEST
    at = ticks[place]
    rest = "".join(line[at + 1 :])
    return row(Span("".join(line[:at]), before), Span("●", knob), Span(rest, "faint"))


def position(total: int, place: int, *, playing: bool, best: int | None) -> str:
    """The words beside the slider: "3/20 playing", or the step of the best checkpoint, if that is
    another one."""
    more = " playing" if playing else "" if best is None else f" · {BEST} best {best:,}"
    return f"{place + 1}/{total}{more}"


def checkpoint_parts(name: str | None, step: int, val_loss: float | None) -> list[Span]:
    """What is said of a checkpoint: that it is the best or the newest, its step, its loss."""
    val = [Span(f"val {loss(val_loss)}", "muted")] if val_loss is not None else []
    return [*([Span(name, "accent")] if name else []), Span(f"step {step:,}", "strong"), *val]


def checkpoint_words(name: str | None, step: int, val_loss: float | None) -> list[str]:
    """`checkpoint_parts` without their styles."""
    return [part.text for part in checkpoint_parts(name, step, val_loss)]
