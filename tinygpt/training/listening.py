"""What a trainer attends to besides the training: requests, signals and its time limit.

Between two steps `Listener.look` handles whatever is pending. Evaluations, the micro-batches of a
step and the tokens of a sample may take minutes, so they call the listener too, as `Listen`, and
give up their work where it raises. Compiling, and a checkpoint on a slow disk, cannot be given up;
`background_heartbeat` shows that the run is alive.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeAlias

from torch import Tensor

from tinygpt.errors import TinyGPTError
from tinygpt.model.gpt import GPT, Block
from tinygpt.run import HEARTBEAT_EVERY, Control, RunWriter
from tinygpt.training.clocks import RunClock
from tinygpt.world import ALONE, World

LISTEN_EVERY = 1.0
"""Seconds between two looks in the middle of work. Looking lists a directory."""
PAUSE_POLL = 0.2
"""Seconds between two polls of the requests while paused."""

LARGE_BATCH = 5e9
"""Tokens x active parameters of a batch that may take more than a second on a CPU."""
BACKGROUND_SECONDS = 300.0
"""Seconds that heartbeats may come from the background."""

Listen: TypeAlias = Callable[[], None]
"""Called by long work wherever it can be given up: every two seconds of work or more often."""


class StopError(Exception):
    """A signal or a request ended the session; its text is the reason."""


class TimeLimitError(Exception):
    """The time limit has been reached."""


class Listener:
    """Handles requests and signals, writes the heartbeat, and knows the time limit.

    Args:
        control: the requests.
        clock: of the run; stands still while paused.
        interrupted: a text (the signal's name) ends the session.
        sleep: waits while paused.
        heartbeat: tells viewers that the run is alive.
        status: tells viewers that the run is paused, or running again.
        save: saves every variant, as it was after its last whole step.
        world: the processes that train together. What the first one is asked for reaches the others
            between two steps: in the middle of one, none could give up its part alone.
    """

    def __init__(
        self,
        control: Control,
        clock: RunClock,
        *,
        interrupted: Callable[[], str | None],
        sleep: Callable[[float], None],
        heartbeat: Callable[[], None],
        status: Callable[[Literal["running", "paused"]], None],
        save: Callable[[], None],
        world: World = ALONE,
    ) -> None:
        self._control, self._clock, self._world = control, clock, world
        self._interrupted, self._sleep = interrupted, sleep
        self._heartbeat, self._status, self._save = heartbeat, status, save
        self._looked = -math.inf
        self._limit = math.inf

    def __call__(self) -> None:
        """Look, if the last look was `LISTEN_EVERY` seconds ago; otherwise this costs one clock.

        Raises:
            StopError: the work in progress must be given up, because the session ends.
            TimeLimitError: the same, because the limit set by `until` has been reached.
        """
        if time.monotonic() - self._looked < LISTEN_EVERY:
            return
        if self._world.size > 1:
            self._looked = time.monotonic()
            self._world.alive()
            self._heartbeat()
            return
        self.look()
        if self._clock.seconds >= self._limit:
            raise TimeLimitError

    @contextmanager
    def until(self, seconds: float) -> Iterator[None]:
        """Work in the with-block is given up once the clock of the run shows `seconds`."""
        self._limit = seconds
        try:
            yield
        finally:
            self._limit = math.inf

    def look(self) -> None:
        """Write the heartbeat, and handle signals and requests; blocks while paused.

        Raises:
            StopError: one of them is to stop.
        """
        stop = None
        if self._world.first:
            try:
                self._attend()
            except StopError as asked:
                stop = str(asked)
        stop = self._world.agree(stop)
        self._looked = time.monotonic()
        if stop is not None:
            raise StopError(stop)

    def _attend(self) -> None:
        self._heartbeat()
        if "pause" in self._poll():
            with self._clock.stopped():
                self._status("paused")
                while "pause" in self._poll():
                    self._sleep(PAUSE_POLL)
                    self._world.alive()
                    self._heartbeat()
            self._status("running")

    def _poll(self) -> set[str]:
        """The pending requests. Saves if requested; raises StopError if asked to stop."""
        requests = self._control.poll()
        stop = self._interrupted() or ("asked to stop" if "stop" in requests else None)
        for name in requests & {"stop", "checkpoint"}:
            self._control.acknowledge(name)
        if stop:
            raise StopError(stop)
        if "checkpoint" in requests:
            self._save()
        return requests


@contextmanager
def between_blocks(model: GPT, tokens: int, listen: Listen) -> Iterator[None]:
    """In the with-block, `listen` is also called after each block of `model`, forwards and
    backwards, if a batch of `tokens` is large. Not for a compiled model."""
    if tokens * model.config.parameters()[1] < LARGE_BATCH:
        yield
        return

    def after_block(_module: Block, _inputs: object, output: tuple[Tensor, ...]) -> None:
        listen()
        if output[0].requires_grad:
            output[0].register_hook(lambda _: listen())

    hooks = [block.register_forward_hook(after_block) for block in model.blocks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def background_heartbeat(
    writer: RunWriter,
    step: int,
    every: float = HEARTBEAT_EVERY,
    seconds: float = BACKGROUND_SECONDS,
) -> Iterator[None]:
    """Heartbeats from a thread, while one call of a library or the disk blocks this one.

    They end after `seconds`, so that a trainer that hangs in the call counts as stalled then.
    """
    done = threading.Event()

    def beat() -> None:
        for _ in range(round(seconds / every)):
            if done.wait(every):
                return
            with suppress(TinyGPTError):
                writer.heartbeat(step, every)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def no_listener() -> None:
    """A `Listen` for work that nobody interrupts."""
