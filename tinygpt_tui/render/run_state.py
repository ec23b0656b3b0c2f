"""How the state of a run is shown: a glyph, a word and a style, each of which is unambiguous."""

from __future__ import annotations

from typing import NamedTuple

from tinygpt.run import RunState
from tinygpt_tui.render.cells import Row, Span, row


class Look(NamedTuple):
    """How one state is shown."""

    glyph: str
    word: str
    style: str


LOOKS = {
    "new": Look("○", "Starting", "muted"),
    "live": Look("●", "Live", "good"),
    "paused": Look("‖", "Paused", "warn"),
    "stalled": Look("◌", "Stalled", "bad"),
    "done": Look("✓", "Done", "good"),
    "stopped": Look("■", "Stopped", "warn"),
    "failed": Look("✗", "Failed", "bad"),
    "killed": Look("†", "Killed", "bad"),
    "unreadable": Look("?", "Unreadable", "bad"),
}


def badge(state: RunState | None) -> Row:
    """Glyph and word of a run's state; empty if it is unknown."""
    if state is None:
        return ()
    look = LOOKS[state.state]
    return row(Span(f"{look.glyph} {look.word}", look.style))
