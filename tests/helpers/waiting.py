"""Waiting for another process, with a deadline."""

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds until a test gives up waiting."""


def until(condition: Callable[[], object], says: Callable[[], str] = lambda: "") -> None:
    """Wait until the condition holds; `says` describes the situation if it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"the condition never held:\n{says()}"
        time.sleep(0.02)
