"""The training of a run, step by step: both variants on the same batches, in lockstep.

Between two steps, in this order: requests and signals are handled; each variant that is at this
step takes it; its records are written; if due, it is evaluated and checkpointed. A variant that
was resumed from an earlier step than the other first catches up alone.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Literal

from tinygpt import retention
from tinygpt.errors import TinyGPTError
from tinygpt.run import Control, Record
from tinygpt.training.clocks import RunClock
from tinygpt.training.disk_wait import DiskWait
from tinygpt.training.learner import Learner, StepResult
from tinygpt.training.outcome import Outcome, one_sentence, summary
from tinygpt.training.recording import Recorder
from tinygpt.training.session import Session

PAUSE_POLL = 0.2
"""Seconds between two polls of the requests while paused."""
PROBE_EVERY = 20
"""Optimizer steps between two checks whether the target loss is reached."""
PROBE_MARGIN = 0.15
"""How far above the target, in nats, the loss of a batch may be for such a check: more than the
averaged weights gain over the current ones, and than one batch is harder than another."""


class Loop:
    """Trains a session to its end.

    Args:
        session: what to train, and where to write.
        observe: called with each record after it was written.
        interrupted: called between steps; a text (the signal's name) ends the session.
        sleep: waits while paused.
    """

    def __init__(
        self,
        session: Session,
        *,
        observe: Callable[[Record], None] = lambda _: None,
        interrupted: Callable[[], str | None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.session, self.config, self.learners = session, session.config, session.learners
        self._interrupted, self._sleep = interrupted, sleep
        self._control = Control(session.path)
        self._clock = RunClock(max(v.progress.wall_seconds for v in self.learners))
        self._disk = DiskWait(
            session.writer,
            self._clock,
            step=lambda: self.step,
            stop_requested=lambda: bool(interrupted()) or "stop" in self._control.poll(),
            sleep=sleep,
        )
        self._recorder = Recorder(session, self._disk, self._clock, observe)
        self._time_over = self._time_fraction() >= 1

    def run(self) -> Outcome:
        """Train until every variant has finished, or a stop is requested.

        An exception in a step ends the session as failed; the last checkpoints stay intact.
        """
        stopped: str | None = None
        error: str | None = None
        trace: str | None = None
        try:
            self._recorder.status("running", self.step)
            self._recorder.save_untrained()
            stopped = self._train()
            if stopped:
                self._recorder.save_all()
            error = "; ".join(v.failure for v in self.learners if v.failure) or None
        except Exception as exception:  # noqa: BLE001 - the run records any of them as its end
            error = one_sentence(exception, self.step)
            trace = traceback.format_exc()
        return self._end(stopped, error, trace)

    @property
    def step(self) -> int:
        """Steps taken by the variant that is furthest behind, of those still training."""
        return min(v.progress.step for v in self._active() or self.learners)

    def _train(self) -> str | None:
        """Step until all variants have finished; returns the reason if stopped before."""
        while active := self._active():
            step = self.step
            if reason := self._handle_requests(step):
                return reason
            batches = self.session.batches(step)
            fraction = self._fraction(step)
            self._time_over = self._time_fraction() >= 1  # once per step: both end at the same one
            for learner in active:
                if learner.progress.step == step:
                    self._after_step(learner, learner.train(batches, fraction))
            self._disk.write(partial(self.session.writer.heartbeat, step + 1))
        return None

    def _after_step(self, learner: Learner, result: StepResult) -> None:
        """Log, evaluate and save one variant, whichever of them is due."""
        train, step = self.config.train, learner.progress.step
        last = learner.finished or self._time_over
        evaluated = last or step % train.eval_every == 0 or self._may_be_on_target(learner, result)
        snapshot = retention.snapshot_due(step, train.snapshots)
        periodic = bool(train.checkpoint_every) and step % train.checkpoint_every == 0
        if evaluated or snapshot or periodic or step % train.log_every == 0:
            self._recorder.log_step(learner, result)
        improved = evaluated and not learner.failure and self._recorder.evaluate(learner)
        # Asked again: by this evaluation it may have reached the target, or failed.
        due = snapshot or periodic or improved or last or learner.finished
        if due and not learner.failure:
            self._recorder.save(learner)

    def _may_be_on_target(self, learner: Learner, result: StepResult) -> bool:
        """Whether to evaluate ahead of schedule, because the target loss may be reached.

        Decided on part of the validation split, as a whole evaluation would cost too much.
        """
        target, due = self.config.target_loss, learner.progress.step % PROBE_EVERY == 0
        if target is None or not due or result.loss.item() > target + PROBE_MARGIN:
            return False
        probed = learner.evaluate(self.session.probe).loss
        return probed + (learner.progress.probe_bias or 0.0) <= target

    def _handle_requests(self, step: int) -> str | None:
        """Handle signals and requests; returns the reason if one of them is to stop.

        Blocks while paused.
        """
        requests, stop = self._poll()
        if stop or "pause" not in requests:
            return stop
        with self._clock.stopped():
            self._recorder.status("paused", step)
            while not stop and "pause" in requests:
                self._sleep(PAUSE_POLL)
                self._disk.write(partial(self.session.writer.heartbeat, step))
                requests, stop = self._poll()
        if not stop:
            self._recorder.status("running", step)
        return stop

    def _poll(self) -> tuple[set[str], str | None]:
        """The pending requests, and the reason to stop if there is one. Saves if requested."""
        requests = self._control.poll()
        stop = self._interrupted() or ("asked to stop" if "stop" in requests else None)
        if "stop" in requests:
            self._control.acknowledge("stop")
        if "checkpoint" in requests:
            self._control.acknowledge("checkpoint")
            self._recorder.save_all()
        return requests, stop

    def _active(self) -> list[Learner]:
        return [] if self._time_over else [v for v in self.learners if not v.finished]

    def _fraction(self, step: int) -> float:
        """Share of the run completed, 0 to 1: by steps or by time, whichever is larger."""
        return min(1.0, max(self._time_fraction(), step / (self.config.steps or math.inf)))

    def _time_fraction(self) -> float:
        return self._clock.seconds / 60 / (self.config.minutes or math.inf)

    def _end(self, stopped: str | None, error: str | None, trace: str | None) -> Outcome:
        state: Literal["done", "stopped", "failed"]
        state = "failed" if error else "stopped" if stopped else "done"
        reason = error or stopped or self._why_done()
        models = {v.variant: summary(v) for v in self.learners}
        outcome = Outcome(state, reason, error, models, trace)
        try:
            self._recorder.end(outcome, max(v.progress.step for v in self.learners))
        except TinyGPTError as refused:
            return self._end(stopped, str(refused), None)
        return outcome

    def _why_done(self) -> str:
        if self.config.target_loss and all(v.on_target for v in self.learners):
            return f"target loss of {self.config.target_loss:g} reached"
        if self._time_fraction() >= 1:
            return f"time limit of {self.config.minutes:g} min reached"
        return f"{self.config.steps:,} steps"
