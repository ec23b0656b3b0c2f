"""A real engine whose replies are collected."""

import queue

from tests.helpers.waiting import PATIENCE
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.protocol import Opened, Reply, Request, Token, Tokens


class EngineProbe:
    """An engine whose replies are collected."""

    def __init__(self) -> None:
        self.replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.engine = Engine()

    def ask(self, request: Request) -> None:
        self.engine.ask(request, self.replies.put)

    def until_over(self, *jobs: int) -> dict[int, list[Reply]]:
        """All replies until these jobs are over, by job."""
        found: dict[int, list[Reply]] = {job: [] for job in jobs}
        left = set(jobs)
        while left:
            reply = self.replies.get(timeout=PATIENCE)
            found.setdefault(reply.job, []).append(reply)
            if not isinstance(reply, Opened | Tokens):
                left.discard(reply.job)
        return found


def tokens(replies: list[Reply]) -> list[Token]:
    return [token for reply in replies if isinstance(reply, Tokens) for token in reply.tokens]
