"""The losses without each part of a model, as the tabs know them, and the requests for them.

They take longer than any other measurement, one pass per head and per expert, so they are requested
by a key alone.
"""

from __future__ import annotations

from collections.abc import Callable

from tinygpt.data.excerpts import TextSource
from tinygpt_tui.engine.protocol import (
    AblationRequest,
    AblationResult,
    Failed,
    Reply,
    Request,
    StopRequest,
)
from tinygpt_tui.engine.session import Requests

CACHED = 16
"""Checkpoints whose ablations are kept."""


class AblationCache:
    """The ablations of checkpoints, by step directory. One is measured at a time; of those that are
    requested meanwhile, the last one follows."""

    def __init__(self, ask: Callable[[Request], None], new_job: Callable[[], int]) -> None:
        """`ask` sends a request, `new_job` returns an unused job number."""
        self._ask, self._new_job = ask, new_job
        self._known: Requests[str, AblationResult] = Requests(CACHED)
        self._next: tuple[str, TextSource] | None = None

    @property
    def pending(self) -> bool:
        """Whether the engine is measuring."""
        return self._known.job is not None

    def clear(self) -> None:
        """Forget all, and stop what is being measured: another run is open."""
        if self._known.job is not None:
            self._ask(StopRequest(self._known.job))
        self._known, self._next = Requests(CACHED), None

    def of(self, path: str | None) -> AblationResult | None:
        """Those of a step directory, if they are known."""
        return None if path is None else self._known.find(path)

    def problem(self, path: str | None) -> str:
        """Why those of a step directory could not be measured; empty if that is not so."""
        return "" if path is None else self._known.errors.get(path, "")

    def request(self, path: str, text: TextSource) -> None:
        """Measure a step directory, unless it is known; also if that failed before."""
        self._known.errors.pop(path, None)
        if path in self._known or (self.pending and path == self._known.key):
            return
        self._next = path, text
        self._send_next()

    def handle(self, reply: Reply) -> bool:
        """Apply a reply of the engine; returns whether it was the answer."""
        if reply.job != self._known.job:
            return False
        if isinstance(reply, AblationResult):
            self._known.answered(reply)
        elif isinstance(reply, Failed):
            why = f"The loss without each part cannot be measured: {reply.why}"
            self._known.answered(None, why)
        self._send_next()
        return True

    def _send_next(self) -> None:
        if self._next is None or self.pending:
            return
        (path, text), self._next = self._next, None
        job = self._new_job()
        self._known.sent(job, path)
        self._ask(AblationRequest(job, path, text))
