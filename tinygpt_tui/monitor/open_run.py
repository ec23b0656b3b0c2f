"""The run that the app shows: which one to open first, and its history and state."""

from __future__ import annotations

from pathlib import Path

from textual.message_pump import MessagePump

from tinygpt.errors import TinyGPTError
from tinygpt.run import RunState, current_run, read_config, request
from tinygpt.run.control import Request
from tinygpt.run.presence import this_host
from tinygpt_tui.monitor.follower import Follower, RunUpdate, RunUpdated
from tinygpt_tui.monitor.history import History


class OpenRun:
    """The open run, if any: its directory, history and state, kept current by a `Follower`."""

    def __init__(self, target: MessagePump) -> None:
        """`target` receives a `RunUpdated` for every change of the open run."""
        self._target = target
        self._sequence = 0
        self.follower: Follower | None = None
        self.path: Path | None = None
        self.history = History()
        self.state: RunState | None = None
        self.requested: Request | None = None
        """What the trainer was asked for here and has not been seen to do: pause, resume, stop."""

    @property
    def live(self) -> bool:
        """Whether the run is being trained."""
        return self.state is not None and self.state.active

    @property
    def trainer_pid(self) -> int | None:
        """The process that trains the run, if that is on this machine."""
        status = self.state.status if self.state and self.live else None
        return status.pid if status and status.host == this_host() else None

    @property
    def phase(self) -> str | None:
        """The name of its state: "live", "done", ..."""
        return self.state.state if self.state else None

    @property
    def conditions(self) -> set[str]:
        """What a key may need of the open run (`keymap.Key.needs`), as far as it is met."""
        state = self.state
        known = {
            "run": self.path is not None,
            "live": self.live,
            "training": self.live and self.phase != "queued",
            "resumable": state is not None and (state.resumable or state.done),
        }
        return {name for name, met in known.items() if met}

    @property
    def labels(self) -> dict[str, str]:
        """What the keys of these actions do to it now, where that differs."""
        if self.phase == "queued":
            return {"pause": "start now", "stop": "unqueue"}
        return {"pause": "resume"} if self.pausing else {}

    @property
    def summary(self) -> tuple[object, ...]:
        """What the header shows of it, to be compared."""
        return self.path, self.corpus, self.phase, self.requested

    @property
    def corpus(self) -> str:
        """The name of its corpus, and its tokens unless they are characters: "books · bpe 1,024";
        empty before that is known."""
        start = self.history.start
        if start is None:
            return ""
        name, tokens = str(start.corpus.get("name", "")), start.tokenizer or {}
        kind, size = tokens.get("kind", "char"), tokens.get("vocab_size")
        return name if kind == "char" or type(size) is not int else f"{name} · {kind} {size:,}"

    @property
    def pausing(self) -> bool:
        """Whether the run is paused, or was asked to pause."""
        return self.requested == "pause" or (self.phase == "paused" and self.requested != "resume")

    def request(self, what: Request) -> None:
        """Send a request to the trainer; RunError if it cannot be sent."""
        assert self.path is not None
        request(self.path, what)
        if what != "checkpoint":
            self.requested = what
        self.poll_now()

    def open(self, path: Path | None) -> None:
        """Follow the run directory `path` instead of the current one; None only closes that."""
        if self.follower:
            self.follower.stop()
            self.follower = None
        self.path, self.history, self.state = path, History(), None
        self.requested = None
        self._sequence += 1
        if path is not None:
            self.follower = Follower(path, self._target, self._sequence)
            self.follower.start()

    def is_current(self, message: RunUpdated) -> bool:
        """Whether a message is about the open run: one about the previous run may arrive late."""
        return message.sequence == self._sequence

    def apply(self, update: RunUpdate) -> None:
        """Add an update to the history, and take over its state."""
        if update.restarted:
            self.history = History()
        self.history.add(update.items)
        self.state = update.state or self.state
        if self.requested and self.state and _fulfilled(self.requested, self.state):
            self.requested = None

    def poll_now(self) -> None:
        """Read the directory without waiting for the next period."""
        if self.follower:
            self.follower.poll_now()


def _fulfilled(requested: Request, state: RunState) -> bool:
    """Whether a run's state is what was asked for, or can no longer become that."""
    if requested == "resume":
        return state.state != "paused"
    if requested == "begin":
        return state.state != "queued"
    return not state.active or (requested == "pause" and state.state == "paused")


def choose_run(out: Path, named: Path | None) -> tuple[Path | None, str | None]:
    """The run to open first, and a notice if it is neither `named` nor being trained.

    Raises:
        RunError: `out` cannot be listed.
    """
    if named is not None:
        return named, None
    run = current_run(out)
    if run is None:
        return None, None
    if run.state.active:
        return run.path, None
    return run.path, f"No training is running; showing the latest run, {run.name}"


def planned_minutes(run: Path) -> float | None:
    """The time limit in run.toml; None without one, or before the file is written."""
    try:
        minutes = read_config(run).get("minutes")
        return float(minutes) if isinstance(minutes, int | float) else None
    except (TinyGPTError, OverflowError):
        return None
