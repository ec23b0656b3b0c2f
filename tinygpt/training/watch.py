"""Where each process of a training is, so that one that died or hangs can be named.

Each tells the others once a second, through the store of torch.distributed, how far it has come. A
process that waits for others has nothing to fear: only one that neither moves nor waits hangs.
Waiting on purpose, as in a pause, is moving: see `Watch.alive`.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import Protocol

from tinygpt.run.presence import this_host

EVERY = 1.0
"""Seconds between two signs."""
SILENT = 4.0
"""Seconds without a sign after which a process is gone, if there are other signs of that."""
PATIENCE = 10.0
"""Seconds to look for the cause where others have failed."""


class Store(Protocol):
    """What is needed of a store of torch.distributed."""

    def set(self, key: str, value: str) -> None:
        """Store a value."""

    def get(self, key: str) -> bytes:
        """A stored value; waits for it."""

    def check(self, keys: list[str]) -> bool:
        """Whether all of them are stored."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What a process tells of itself."""

    host: str
    place: str
    """What it does."""
    waiting: bool
    """Whether it waits for others there."""
    still: float
    """Seconds since it last moved."""
    count: int


@dataclass(frozen=True, slots=True)
class _Seen:
    sign: Sign
    at: float
    """When it was first seen, by the clock here."""


class Watch:
    """Sends the signs of this process, and reads those of the others.

    Args:
        store: shared by all processes, and used by no other thread.
        rank: of this process.
        size: how many there are.
    """

    def __init__(
        self,
        store: Store,
        rank: int,
        size: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._rank, self._size, self._clock = store, rank, size, clock
        self.timeout = math.inf
        """Seconds after which a process that does not move hangs."""
        self.on_hang: Callable[[str], None] = lambda _: None
        """Called from the thread with a sentence, in the first process that does not hang."""
        # Written by the main thread alone; the thread that sends signs reads them.
        self._place, self._waiting, self._moved = "starts", False, clock()
        self._host, self._count = this_host(), 0
        self._seen: dict[int, _Seen] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to send signs, every `EVERY` seconds."""
        self.exchange()
        self._thread.start()

    def close(self) -> None:
        """Send no more."""
        self._done.set()
        self._thread.join()

    def at(self, place: str, *, waiting: bool = False) -> None:
        """This process has moved to a place: a clause such as "step 3 of moe"."""
        self._place = place
        self.wait(waiting=waiting)

    def wait(self, *, waiting: bool = True) -> None:
        """This process waits for others, or no longer, where it is."""
        self._waiting = waiting
        self.alive()

    def alive(self) -> None:
        """This process is where it was, and on purpose."""
        self._moved = self._clock()

    def failed(self, sentence: str) -> None:
        """Tell the others why this process ends."""
        with self._lock, suppress(Exception):
            self._store.set(f"failed/{self._rank}", sentence)

    def exchange(self) -> None:
        """Send a sign, and read those of the others."""
        with self._lock:
            self._count += 1
            self._store.set(f"sign/{self._rank}", json.dumps(astuple(self._own_sign())))
            for rank in range(self._size):
                if rank != self._rank and self._store.check([f"sign/{rank}"]):
                    self._see(rank, Sign(*json.loads(self._store.get(f"sign/{rank}"))))

    def blame(self, patience: float = PATIENCE) -> str | None:
        """A sentence on the process that failed or is gone, where that must be one of the others;
        None if it cannot be told. Waits for signs for at most `patience` seconds."""
        end = self._clock() + patience
        while True:
            with suppress(Exception), self._lock:
                for rank in range(self._size):
                    if rank != self._rank and self._store.check([f"failed/{rank}"]):
                        return self._store.get(f"failed/{rank}").decode()
            silent = {rank: self._silence(rank) for rank in self._seen}
            longest = max(silent, key=lambda rank: silent[rank], default=None)
            if longest is not None and silent[longest] > SILENT:
                return f"{self.name(longest)} has ended without a word: killed, or out of memory?"
            if self._clock() > end or self._done.wait(EVERY / 4):
                return None

    def lost(self) -> str | None:
        """As `blame`, but None once each of the others has given another sign."""
        before = {rank: seen.sign.count for rank, seen in self._seen.items()}
        while any(seen.sign.count == before.get(rank) for rank, seen in self._seen.items()):
            if gone := self.blame(patience=0.0):
                return gone
            self._done.wait(EVERY / 4)
        return None

    def name(self, rank: int) -> str:
        """A process, as errors name it."""
        seen = self._seen.get(rank)
        host = self._host if rank == self._rank else seen.sign.host if seen else "?"
        return f"rank {rank} on {host}"

    def hanging(self) -> dict[int, str]:
        """The processes that hang, each with what it did last."""
        now, found = self._clock(), {}
        for rank, seen in sorted({**self._seen, self._rank: _Seen(self._own_sign(), now)}.items()):
            silence = now - seen.at
            still = silence if seen.sign.waiting else silence + seen.sign.still
            if still > self.timeout:
                found[rank] = seen.sign.place
        return found

    def _own_sign(self) -> Sign:
        still = self._clock() - self._moved
        return Sign(self._host, self._place, self._waiting, still, self._count)

    def _see(self, rank: int, sign: Sign) -> None:
        before = self._seen.get(rank)
        if before is None or before.sign.count != sign.count:
            self._seen[rank] = _Seen(sign, self._clock())

    def _silence(self, rank: int) -> float:
        return self._clock() - self._seen[rank].at

    def _run(self) -> None:
        while not self._done.wait(EVERY):
            with suppress(Exception):  # the store may be gone before this process
                self.exchange()
            hanging = self.hanging()
            others = [rank for rank in range(self._size) if rank not in hanging]
            if hanging and others and others[0] == self._rank:
                self.on_hang(self._hang(hanging))
                return

    def _hang(self, hanging: dict[int, str]) -> str:
        which = "; ".join(f"{self.name(rank)} ({place})" for rank, place in hanging.items())
        return f"no progress for {self.timeout:g} s: {which}"


def leave(status: int) -> None:
    """End this process now: its main thread may be in a call that never returns."""
    os._exit(status)
