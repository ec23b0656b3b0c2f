"""How the state of a run is shown: a glyph, a word and a style, each of which is unambiguous."""

from __future__ import annotations

from typing import NamedTuple

from tinygpt.run import RunState
from tinygpt.run.control import Request
from tinygpt_tui.render.cells import Row, Span, row


class Look(NamedTuple):
    """How one state is shown."""

    glyph: str
    word: str
    style: str


LOOKS = {
    "new": Look("○", "Starting", "muted"),
    "queued": Look("◷", "Queued", "warn"),
    "live": Look("●", "Live", "good"),
    "paused": Look("‖", "Paused", "warn"),
    "stalled": Look("◌", "Stalled", "bad"),
    "done": Look("✓", "Done", "good"),
    "stopped": Look("■", "Stopped", "warn"),
    "failed": Look("✗", "Failed", "bad"),
    "killed": Look("†", "Killed", "bad"),
    "unreadable": Look("?", "Unreadable", "bad"),
}


REQUESTED: dict[Request | None, Look] = {
    "pause": Look("‖", "Pausing…", "warn"),
    "resume": Look("●", "Resuming…", "good"),
    "stop": Look("■", "Stopping…", "warn"),
}


def badge(state: RunState | None, requested: Request | None = None) -> Row:
    """Glyph and word of a run's state, or of what was `requested` of its trainer; empty if it is
    unknown."""
    if state is None:
        return ()
    look = REQUESTED.get(requested, LOOKS[state.state])
    return row(Span(f"{look.glyph} {look.word}", look.style))
