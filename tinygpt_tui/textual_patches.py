"""Keys that arrive together, as over a slow link or typed ahead, act as if they had come apart.

Textual hands each key at once to whatever has the focus then. A key that moves the focus, opens a
field or a dialog does so by messages, so the keys behind it in one burst would still reach the old
place: `T` then `0.8` would leave the tab instead of setting a temperature.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial

from rich.console import Console, RenderableType
from rich.control import Control
from textual import events
from textual._compositor import ChopsUpdate
from textual.app import App, ReturnType
from textual.dom import DOMNode

ROUNDS = 3
"""How often all that a key set in motion is waited for: its own handling, the messages that this
sent, the focus that these moved."""
LONGEST = 0.5
"""Seconds after which the next key does not wait any more, whatever became of the one before."""


class OneKeyAtATime(App[ReturnType]):
    """An app that handles a key when the one before has had its effect."""

    def __init__(self) -> None:
        super().__init__()
        self._typed_ahead: deque[events.Key] = deque()
        self._keys = 0
        self._settling = False

    async def on_event(self, event: events.Event) -> None:
        """A key waits for the one before; everything else is handled at once."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._settling:
            if not self._typed_ahead:
                self.set_timer(LONGEST, partial(self._settled, self._keys))
            self._typed_ahead.append(event)
        else:
            await self._handle(event)

    async def _handle(self, key: events.Key) -> None:
        self._keys += 1
        self._settling = True
        await super().on_event(key)
        self._wait(self._keys, ROUNDS)

    def _wait(self, key: int, rounds: int) -> None:
        """Let everyone from the focus up to the app handle what they have, a few times over."""
        if rounds:
            focus: DOMNode = self.focused or self.screen
            self._pass_on(focus.ancestors_with_self, partial(self._wait, key, rounds - 1))
        else:
            self.call_later(self._settled, key)

    def _pass_on(self, nodes: Sequence[DOMNode], then: partial[None]) -> None:
        """Call `then` once each of the nodes, one after the other, has emptied its queue."""
        for place, node in enumerate(nodes):
            if node.call_later(self._pass_on, nodes[place + 1 :], then):
                return
        then()

    async def _settled(self, key: int) -> None:
        if key == self._keys and self._settling:
            self._settling = False
            if self._typed_ahead:
                await self._handle(self._typed_ahead.popleft())
                if self._typed_ahead:
                    self.set_timer(LONGEST, partial(self._settled, self._keys))


class OnlyChanged(ChopsUpdate):
    """An update of parts of lines that sends just these parts.

    Textual's own begins each at the left edge of the widget: one cell that changed in the middle
    of a map costs half of its row.
    """

    def render_segments(self, console: Console) -> str:
        """What is written to the terminal."""
        written = []
        for y, left, right in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                begin, stop = max(x, left), min(end, right)
                if strip is not None and begin < stop:
                    written.append(Control.move_to(begin, y).segment.text)
                    written.append(strip.crop(begin - x, stop - x).render(console))
        return "".join(written)


def only_changed(update: RenderableType | None) -> RenderableType | None:
    """The same update, but for what it would send beside its parts."""
    if type(update) is ChopsUpdate:
        return OnlyChanged(update.chops, update.spans, update.chop_ends)
    return update
