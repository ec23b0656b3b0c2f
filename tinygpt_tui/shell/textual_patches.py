"""Patches of Textual: keys of a burst are handled one at a time, and less is sent per update.

Keys that arrive together, typed ahead or over a slow link, must act as if they had arrived one by
one. Textual passes each key immediately to the focused widget. A key that moves the focus or opens
a field or dialog does so by messages, so the next keys of a burst would still reach the old widget:
`T` then `0.8` would switch tabs instead of setting a temperature.
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
"""How many rounds of messages a key waits for: the handling of the previous key, the messages that
it sent, and the change of focus that these caused."""
TIMEOUT = 0.5
"""Seconds after which the next key is handled in any case."""


class OneKeyAtATime(App[ReturnType]):
    """An app that handles a key only when the previous one has taken effect."""

    def __init__(self) -> None:
        super().__init__()
        self._typed_ahead: deque[events.Key] = deque()
        self._keys = 0
        self._settling = False

    async def on_event(self, event: events.Event) -> None:
        """Make keys wait for the previous one; other events are handled immediately."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._settling:
            if not self._typed_ahead:
                self.set_timer(TIMEOUT, partial(self._settled, self._keys))
            self._typed_ahead.append(event)
        else:
            await self._handle(event)

    async def _handle(self, key: events.Key) -> None:
        self._keys += 1
        self._settling = True
        await super().on_event(key)
        self._wait(self._keys, ROUNDS)

    def _wait(self, key: int, rounds: int) -> None:
        """Wait, `rounds` times, until all nodes from the focus up have emptied their queues."""
        if rounds:
            focus: DOMNode = self.focused or self.screen
            self._pass_on(focus.ancestors_with_self, partial(self._wait, key, rounds - 1))
        else:
            self.call_later(self._settled, key)

    def _pass_on(self, nodes: Sequence[DOMNode], then: partial[None]) -> None:
        """Call `then` after all nodes have emptied their queues, one after the other."""
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
                    self.set_timer(TIMEOUT, partial(self._settled, self._keys))


class OnlyChanged(ChopsUpdate):
    """An update that sends only the changed parts of lines.

    Textual starts each part at the left edge of the widget, so one changed cell in the middle of a
    heatmap would cost half a row.
    """

    def render_segments(self, console: Console) -> str:
        """The text that is written to the terminal."""
        written = []
        for y, left, right in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                begin, stop = max(x, left), min(end, right)
                if strip is not None and begin < stop:
                    written.append(Control.move_to(begin, y).segment.text)
                    written.append(strip.crop(begin - x, stop - x).render(console))
        return "".join(written)


def only_changed(update: RenderableType | None) -> RenderableType | None:
    """The same update, sending only changed parts."""
    if type(update) is ChopsUpdate:
        return OnlyChanged(update.chops, update.spans, update.chop_ends)
    return update
