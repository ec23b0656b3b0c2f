"""The writer of a process that is not the first: it writes nothing."""

from __future__ import annotations

from pathlib import Path

from tinygpt.run import HEARTBEAT_EVERY, Record, RunWriter, StatusState


class SilentWriter(RunWriter):
    """Has the path of the run, which may not even be on this machine, and takes no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def empty(self) -> bool:
        """Whether metrics.jsonl has no record yet: which this one need not know."""
        return False

    @property
    def last_status(self) -> tuple[StatusState, str | None]:
        """What a run is while others can train with it."""
        return "running", None

    def append(self, record: Record) -> None:
        """Write nothing."""

    def status(self, state: StatusState, step: int, error: str | None = None) -> None:
        """Write nothing."""

    def heartbeat(self, step: int, every: float = HEARTBEAT_EVERY) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Has nothing open."""
