"""The engine's replies as Textual messages."""

from __future__ import annotations

from collections.abc import Callable

from textual.message import Message
from textual.widget import Widget

from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.protocol import Reply, Request


class EngineReply(Message):
    """A reply to one of the widget's requests."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


def ask_for(widget: Widget, engine: Engine) -> Callable[[Request], None]:
    """A function that sends a request whose replies reach `widget.on_engine_reply`."""

    def deliver(reply: Reply) -> None:  # called from a thread of the engine's client
        widget.post_message(EngineReply(reply))

    return lambda request: engine.ask(request, deliver)
