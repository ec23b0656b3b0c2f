"""Follows a run directory and sends what is new to one tracker."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tinygpt.errors import RunError
from tinygpt.files.folder_lock import sole_holder
from tinygpt.run.checkpoints import list_variant
from tinygpt.run.layout import checkpoint_dir, read_config
from tinygpt.run.reader import MetricsReader
from tinygpt.run.records import EndRecord, Record, StartRecord
from tinygpt.tracking.protocol import TrackedRun, Tracker
from tinygpt.tracking.rows import Rows, VariantRow, resumes
from tinygpt.tracking.state import TrackingState, make_folder, read_tracking, write_tracking

BATCH = 5000
"""Records that are sent before it is noted down that they were."""

Note = Callable[[str], None]


def open_tracker(name: str, run: TrackedRun) -> Tracker:
    """The run opened in the tracker `name`. Loads the tracker's package."""
    module = importlib.import_module(f"tinygpt.tracking.trackers.{name}")
    tracker: Tracker = module.Run(run)
    return tracker


def follow(
    path: Path,
    name: str,
    *,
    is_over: Callable[[], bool],
    wait: Callable[[], None],
    note: Note,
    live: bool = False,
    model: bool = False,
    open_tracker: Callable[[str, TrackedRun], Tracker] = open_tracker,
) -> int:
    """Send the run directory `path` to the tracker `name`, until `is_over` and all is sent; returns
    how many rows that were.

    `wait` returns when there may be new records; `note` tells the user where to look. With `live`,
    the run is tracked after a resume too; with `model`, its best model is sent at the end.

    Raises:
        RunError: the run or what is known of its tracking cannot be read, or another process sends
            it to the same tracker.
        Exception: whatever the tracker raises.
    """
    folder = make_folder(path, name)
    with sole_holder(folder) as alone:
        if not alone:
            raise RunError(f"another process is sending {path} there")
        state = read_tracking(folder)
        state.live, state.model = state.live or live, state.model or model
        state.problem = ""
        follower = _Follower(path, name, state, note, open_tracker, live=live)
        write_tracking(folder, state)
        while True:
            over = is_over()  # asked first, so that what was written before it is read
            follower.send_new()
            if over:
                break
            wait()
        follower.finish(model=model or (state.model and live))
        return follower.count


class _Follower:
    def __init__(
        self,
        path: Path,
        name: str,
        state: TrackingState,
        note: Note,
        open_tracker: Callable[[str, TrackedRun], Tracker],
        *,
        live: bool,
    ) -> None:
        self._path, self._name, self._state, self._note = path, name, state, note
        self._live, self._open_tracker = live, open_tracker
        self._reader = MetricsReader(path)
        self._rows = Rows(resumes(path), state.sent)
        self._start: StartRecord | None = None
        self._end: EndRecord | None = None
        """The end of the run, unless it was resumed after it."""
        self._open: dict[str, Tracker] = {}
        self.count = 0
        """The rows that were sent."""

    def send_new(self) -> None:
        """Send the rows that are complete, and note down that they were sent."""
        while records := self._reader.read(BATCH):
            if self._reader.restarted:
                raise RunError(f"{self._reader.path} was replaced by another file")
            for record in records:
                self._read(record)
            self._save()

    def finish(self, *, model: bool) -> None:
        """Send the last rows if the run has ended, and close the tracked runs. A run that needs
        neither is not opened again."""
        if self._end is not None:
            self._send(self._rows.rest())
            self._save()
        if self._start is not None and (model or (self._end and not self._state.finished)):
            for variant in self._start.models:
                self._tracker(variant)
        for variant, tracker in self._open.items():
            best = _best_checkpoint(self._path, variant)
            failed = self._end is None or self._end.state == "failed"
            tracker.finish(self._summary(variant, best), best if model else None, failed=failed)
        if self._open:
            self._state.finished = self._end is not None
            write_tracking(self._path / self._name, self._state)

    def _read(self, record: Record) -> None:
        if isinstance(record, StartRecord):
            self._start = record
        self._end = record if isinstance(record, EndRecord) else None
        self._send(self._rows.add(record))

    def _send(self, rows: Iterator[VariantRow]) -> None:
        for variant, row in rows:
            tracker = self._tracker(variant)
            if row.step > tracker.last_step:
                tracker.log(row)
                self.count += 1

    def _save(self) -> None:
        if self._rows.sent == self._state.sent:
            return
        for tracker in self._open.values():
            tracker.flush()
        self._state.sent, self._state.finished = dict(self._rows.sent), False
        write_tracking(self._path / self._name, self._state)

    def _tracker(self, variant: str) -> Tracker:
        """The variant's tracked run, which is opened with its first row."""
        if variant not in self._open:
            config = read_config(self._path)
            run = TrackedRun(
                path=self._path,
                folder=self._path / self._name,
                variant=variant,
                group=str(config.get("group") or self._path.resolve().name),
                id=self._state.id(variant),
                sent=self._state.sent.get(variant, -1),
                live=self._live,
                config=config | self._facts(variant),
            )
            write_tracking(self._path / self._name, self._state)  # its id, before it is used
            places = {tracker.where for tracker in self._open.values()}
            self._open[variant] = tracker = self._open_tracker(self._name, run)
            if tracker.where not in places:
                self._note(tracker.where)
        return self._open[variant]

    def _facts(self, variant: str) -> dict[str, Any]:
        start = self._start
        if start is None:  # its line is damaged
            return {"variant": variant}
        return {"variant": variant, "device": start.device, **start.models[variant]}

    def _summary(self, variant: str, best: Path | None) -> dict[str, float | int | str]:
        """The results of a variant, as far as they are numbers or text."""
        end = self._end
        found: Mapping[str, Any] = {} if end is None else end.models.get(variant, {})
        summary = {k: v for k, v in found.items() if isinstance(v, float | int | str)}
        if end is not None:
            summary |= {"state": end.state, "reason": end.reason}
        return summary | ({} if best is None else {"best_checkpoint": str(best.resolve())})


def _best_checkpoint(run: Path, variant: str) -> Path | None:
    step = list_variant(run, variant).step("best")
    return None if step is None else checkpoint_dir(run, variant, step)
