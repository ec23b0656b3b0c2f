"""Waiting for what another process does, with a deadline."""

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds until a test gives up on something that has to come."""


def until(condition: Callable[[], object], says: Callable[[], str] = lambda: "") -> None:
    """Wait for it; `says` is asked what there was instead."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it never came:\n{says()}"
        time.sleep(0.02)
