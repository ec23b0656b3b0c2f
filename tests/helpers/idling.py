"""When an app that is driven by keys has done what a key caused."""

import asyncio
import time
from functools import partial

import pytest

FRAME = 1 / 50
"""Seconds within which the app draws what has changed."""
BUSY = 0.05
"""The share of a core that another thread uses which is at work."""


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a `Pilot` wait as `_idle` does. Textual's own way is to wait until the process hardly
    uses the CPU, up to a second per key of an app that reads a run at the same time."""
    monkeypatch.setattr("textual.pilot.wait_for_idle", _idle)
    monkeypatch.setattr("textual.app.wait_for_idle", partial(_idle, period=FRAME / 2))  # two a key


async def _idle(min_sleep: float = 0, max_sleep: float = 1, *, period: float = FRAME) -> None:
    """Wait a while, then until the loop has nothing to run, and no other thread is at work."""
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    while True:
        used = _by_others()
        await asyncio.sleep(max(period, min_sleep))
        while loop._ready and time.monotonic() - began < max_sleep:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        idle = _by_others() - used < BUSY * period
        if idle or time.monotonic() - began >= max_sleep:
            return


def _by_others() -> float:
    """Seconds of CPU that the other threads of this process have used."""
    return time.process_time() - time.thread_time()
