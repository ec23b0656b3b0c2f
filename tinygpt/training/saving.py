"""Saves the variants of a run: of a large model on a GPU, beside the steps that follow.

Such a save copies the variant to the memory of the CPU, and a thread writes it. At most one is in
progress: the next one waits for it. All that others see is done between two steps, by `collect`:
the record is written once the folder is complete, and what went wrong in the thread is raised.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path

import torch
from torch import Tensor

from tinygpt import checkpoint, retention
from tinygpt.checkpoint import Snapshot
from tinygpt.device import device_type
from tinygpt.errors import TinyGPTError
from tinygpt.run import CheckpointRecord, Record
from tinygpt.training.disk_plan import is_large
from tinygpt.training.disk_wait import DiskWait
from tinygpt.training.learner import Learner
from tinygpt.training.listening import background_heartbeat
from tinygpt.training.session import Session


def saves_beside_steps(learner: Learner) -> bool:
    """Whether a variant is saved while it is trained on.

    A small model is saved faster than it is copied. On a CPU a step of a large one takes far longer
    than its save, and the copy would take a quarter more of the memory that training needs.
    """
    return is_large(learner.model.config) and device_type(learner.device) != "cpu"


@dataclass(frozen=True, slots=True)
class _Save:
    """What is saved, and what is to be recorded and kept of it."""

    snapshot: Snapshot
    weights_only: bool
    best: int | None
    """The best step when it was saved: a later one is not on disk yet."""
    large: bool


class Saver:
    """Writes checkpoints and their records, and thins out the older ones.

    Args:
        session: what is saved, and where.
        disk: waits while the disk is full.
        record: writes a record.
    """

    def __init__(self, session: Session, disk: DiskWait, record: Callable[[Record], None]) -> None:
        self._session, self._disk, self._record = session, disk, record
        self._last = {v.variant: v.progress.step for v in session.learners if v.progress.step}
        self._thread = ThreadPoolExecutor(1, "save")
        self._saving: tuple[_Save, Future[Path]] | None = None
        self._pruning: Future[None] | None = None

    def save(self, learner: Learner, *, weights_only: bool = False, wait: bool = False) -> None:
        """Save a variant as it is now; if that is done beside the steps, only its copy is made.

        With `weights_only`, it is to look at. With `wait`, it is on disk when this returns. Of
        several processes, the first one saves for all.
        """
        if not self._session.world.first:
            if not weights_only:
                self._last[learner.variant] = learner.progress.step
            return
        self.finish()
        large = is_large(learner.model.config)
        save = _Save(learner.snapshot(), weights_only and large, learner.progress.best_step, large)
        if wait or not saves_beside_steps(learner):
            self._report(save, self._disk.write(partial(self._write_alive, save)))
            with self._alive() if large else nullcontext():
                self._prune(save)
            return
        save = dataclasses.replace(
            save, snapshot=copied(save.snapshot, weights_only=save.weights_only)
        )
        self._saving = save, self._thread.submit(self._write, save)

    def collect(self) -> None:
        """Report the save in progress, if it is done. Costs nothing if there is none.

        Raises:
            TinyGPTError: it could not be written.
        """
        if self._saving and self._saving[1].done():
            self._collect()

    def finish(self) -> None:
        """Wait for the save in progress, report it, and wait until the older ones are thinned out.

        Raises:
            TinyGPTError: it could not be written.
        """
        if self._saving:
            self._collect()
        if self._pruning:
            pruning, self._pruning = self._pruning, None
            pruning.result()

    def abandon(self) -> None:
        """As `finish`, for a run that ends with an error: a save that failed is not tried again."""
        if self._saving:
            save, written = self._saving
            self._saving = None
            with suppress(TinyGPTError):
                self._session.writer.append(self._record_of(save, written.result()))

    def close(self) -> None:
        """Wait for the thread; what it has not begun is not done."""
        self._thread.shutdown(cancel_futures=True)

    def is_saved(self, learner: Learner) -> bool:
        """Whether there is a checkpoint of a variant's last step to resume from, or will be one."""
        step = learner.progress.step
        if self._saving and not self._saving[0].weights_only:
            saving = self._saving[0].snapshot
            if (saving.variant, saving.step) == (learner.variant, step):
                return True
        return self._last.get(learner.variant) == step

    def last(self, variant: str) -> int | None:
        """The step of the last checkpoint to resume from that is on disk."""
        return self._last.get(variant)

    def _collect(self) -> None:
        assert self._saving
        save, written = self._saving
        self._saving = None
        # What a full disk refused the thread is written here, once there is space.
        tries = chain([partial(self._result, written)], repeat(partial(self._write_alive, save)))

        def next_try() -> Path:
            return next(tries)()

        self._report(save, self._disk.write(next_try))
        self._pruning = self._thread.submit(self._prune, save)

    def _write(self, save: _Save) -> Path:
        return checkpoint.save(self._session.path, save.snapshot, weights_only=save.weights_only)

    def _write_alive(self, save: _Save) -> Path:
        with self._alive():
            return self._write(save)

    def _result(self, written: Future[Path]) -> Path:
        with self._alive():
            return written.result()

    def _report(self, save: _Save, path: Path) -> None:
        if not save.weights_only:
            self._last[save.snapshot.variant] = save.snapshot.step
        self._record(self._record_of(save, path))

    def _record_of(self, save: _Save, path: Path) -> CheckpointRecord:
        taken = save.snapshot
        return CheckpointRecord(
            time=time.time(),
            model=taken.variant,
            step=taken.step,
            tokens=taken.tokens,
            path=str(path.relative_to(self._session.path)),
            val_loss=taken.val_loss,
        )

    def _prune(self, save: _Save) -> None:
        kept = self._session.kept
        retention.prune(
            self._session.path,
            save.snapshot.variant,
            kept.snapshots,
            save.best,
            resumable=kept.resumable,
            reduce=checkpoint.reduce_to_weights if save.large else None,
        )

    def _alive(self) -> AbstractContextManager[None]:
        """Viewers see that the run is alive while the training waits for a disk."""
        step = max(learner.progress.step for learner in self._session.learners)
        return background_heartbeat(self._session.writer, step)


def copied(snapshot: Snapshot, *, weights_only: bool) -> Snapshot:
    """A snapshot that the steps to come do not change, in the memory of the CPU.

    With `weights_only`, no more of it than will be written.
    """
    parts = (snapshot.weights, snapshot.training)
    if weights_only:
        parts = (checkpoint.in_bf16(snapshot.weights), {})
    weights, training = ({name: _copy(t) for name, t in part.items()} for part in parts)
    for device in {t.device for part in parts for t in part.values() if t.is_cuda}:
        torch.cuda.synchronize(device)
    return dataclasses.replace(snapshot, weights=weights, training=training)


def _copy(tensor: Tensor) -> Tensor:
    """On CUDA it is not there before the device is synchronized."""
    if not tensor.is_cuda:
        return tensor.detach().to("cpu", copy=True)
    # Page-locked memory is copied to at the full speed of the bus; torch keeps it for later saves.
    try:
        place = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    except RuntimeError:  # the system does not allow so much of it
        return tensor.detach().cpu()
    return place.copy_(tensor.detach(), non_blocking=True)
