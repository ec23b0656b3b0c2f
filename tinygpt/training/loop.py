"""The training of a run, step by step: both variants on the same batches, in lockstep.

Between two steps, in this order: requests and signals are handled; each variant that is at this
step takes it; its records are written; if due, it is evaluated and checkpointed. A variant that
was resumed from an earlier step than the other first catches up alone.

Steps and evaluations may take minutes, so requests, signals and the time limit are noticed in the
middle of them too. What becomes of the work in progress:

- A stop gives up the step or evaluation. The variant is saved as it was after its last whole step,
  and its resume takes up the evaluation or the next step again. The other variant may be a step
  ahead or behind.
- A pause waits there.
- The time limit gives up a step that no variant has taken yet, so that both end at the same one. A
  step that one variant has taken already may be finished by the other, within `overtime`; else it
  ends one step earlier. Evaluations are finished, as the last one would be of the same weights.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Literal

from tinygpt import retention
from tinygpt.errors import TinyGPTError
from tinygpt.run import Control, Record
from tinygpt.training.clocks import RunClock
from tinygpt.training.disk_wait import DiskWait
from tinygpt.training.failures import one_sentence
from tinygpt.training.learner import Learner, StepResult
from tinygpt.training.listening import (
    Listener,
    StopError,
    TimeLimitError,
    background_heartbeat,
)
from tinygpt.training.outcome import Outcome, summary
from tinygpt.training.recording import Recorder
from tinygpt.training.rewarming import fraction
from tinygpt.training.run_end import why_done
from tinygpt.training.session import Session

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
        interrupted: called at least every two seconds; a text (the signal's name) ends the session.
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
        self._clock = RunClock(max(v.progress.wall_seconds for v in self.learners))
        control = Control(session.path)
        self._disk = DiskWait(
            session.writer,
            self._clock,
            step=lambda: self.step,
            stop_requested=lambda: bool(interrupted()) or "stop" in control.poll(),
            sleep=sleep,
        )
        self._listener = Listener(
            control,
            self._clock,
            interrupted=interrupted,
            sleep=sleep,
            heartbeat=lambda: self._disk.write(partial(session.writer.heartbeat, self.step)),
            status=lambda state: self._recorder.status(state, self.step),
            save=lambda: self._recorder.save_all(),  # noqa: PLW0108 - it does not exist yet
        )
        self._compiled: set[str] = set()
        self._recorder = Recorder(session, self._disk, self._clock, observe, self._listener)
        self._time_over = self._clock.seconds >= self._limit

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
            error = "; ".join(v.failure for v in self.learners if v.failure) or None
        except Exception as exception:  # noqa: BLE001 - the run records any of them as its end
            devices = self.session.devices.values()
            error = one_sentence(exception, self.step, self.config, devices)
            trace = traceback.format_exc()
        return self._end(stopped, error, trace)

    @property
    def step(self) -> int:
        """Steps taken by the variant that is furthest behind, of those still training."""
        return min(v.progress.step for v in self._active() or self.learners)

    def _train(self) -> str | None:
        """Step until all variants have finished; returns the reason if stopped before."""
        try:
            for learner in self.learners:
                if learner.pending:  # a resume from the middle of an evaluation
                    self._evaluate_and_save(learner, due=True)
            while self._active():
                self._step()
            self._evaluate_last()
        except StopError as stop:
            self._recorder.save_all()
            return str(stop)
        return None

    def _step(self) -> None:
        """Each variant that is furthest behind takes a step, or gives it up at the time limit."""
        self._listener.look()
        step = self.step
        batches, completed = (
            self.session.batches(step),
            fraction(self.config, step, self._clock.seconds),
        )
        try:
            for learner in self._active():
                if learner.progress.step == step:
                    with self._listener.until(self._step_limit(step)), self._compiling(learner):
                        result = learner.train(batches, completed, self._listener)
                    self._after_step(learner, result)
        except TimeLimitError:
            self._time_over = True
        # Once per step, so that both variants end at the same one.
        self._time_over = self._time_over or self._clock.seconds >= self._limit

    def _compiling(self, learner: Learner) -> AbstractContextManager[None]:
        """Shows that the run is alive while the first step of a session compiles the model."""
        first = learner.variant not in self._compiled
        if learner.compiled and first:
            self._compiled.add(learner.variant)
            return background_heartbeat(self.session.writer, learner.progress.step)
        return nullcontext()

    def _after_step(self, learner: Learner, result: StepResult) -> None:
        """Log, evaluate and save one variant, whichever of them is due."""
        train, step = self.config.train, learner.progress.step
        if learner.finished or step % train.eval_every == 0:
            learner.pending = "evaluation"
        elif self._probe_due(step, result):
            learner.pending = "probe"
        snapshot = retention.snapshot_due(step, train.snapshots)
        periodic = bool(train.checkpoint_every) and step % train.checkpoint_every == 0
        if learner.pending or snapshot or periodic or step % train.log_every == 0:
            self._recorder.log_step(learner, result)
        self._evaluate_and_save(learner, due=snapshot or periodic)

    def _evaluate_and_save(self, learner: Learner, *, due: bool) -> None:
        """Do what is pending for a variant, then save it if that is `due` or there is a reason."""
        if learner.pending == "probe" and not learner.failure:
            learner.pending = "evaluation" if self._may_be_on_target(learner) else None
        improved = (
            learner.pending is not None and not learner.failure and self._recorder.evaluate(learner)
        )
        # A checkpoint that was requested in the middle lacks the evaluation.
        due = due or improved or learner.finished or self._recorder.is_saved(learner)
        if due and not learner.failure:
            self._recorder.save(learner)

    def _probe_due(self, step: int, result: StepResult) -> bool:
        """Whether the loss of a batch is near enough to the target loss to evaluate a part of the
        validation split ahead of schedule; the whole would cost too much."""
        target = self.config.target_loss
        if target is None or step % PROBE_EVERY:
            return False
        return result.loss.item() <= target + PROBE_MARGIN

    def _may_be_on_target(self, learner: Learner) -> bool:
        assert self.config.target_loss is not None
        probed = self._recorder.probe(learner)
        return probed + (learner.progress.probe_bias or 0.0) <= self.config.target_loss

    def _evaluate_last(self) -> None:
        """Evaluate what the time limit ended; or if there was time, on the whole split; and then
        the test split, which takes seconds."""
        for learner in self.learners:
            if not learner.failure and learner.val_loss is None:
                learner.pending = "evaluation"
                self._evaluate_and_save(learner, due=True)
        self._recorder.save_all()
        if self.session.val_tokens and not self._time_over:
            with suppress(TimeLimitError), self._listener.until(self._limit):
                self._recorder.evaluate_whole()
        if self.session.test:
            self._recorder.evaluate_test()

    def _active(self) -> list[Learner]:
        return [] if self._time_over else [v for v in self.learners if not v.finished]

    def _step_limit(self, step: int) -> float:
        """Seconds of the run at which a step is given up."""
        if any(v.progress.step > step for v in self.learners):
            return max(self._limit, self._clock.seconds) + overtime(self._limit)
        return self._limit

    @property
    def _limit(self) -> float:
        """Seconds of the run at which it ends."""
        return 60 * (self.config.minutes or math.inf)

    def _end(self, stopped: str | None, error: str | None, trace: str | None) -> Outcome:
        state: Literal["done", "stopped", "failed"]
        state = "failed" if error else "stopped" if stopped else "done"
        reason = error or stopped or why_done(self.config, self.learners, time_over=self._time_over)
        session = self.session
        models = {
            v.variant: summary(v, session.units, session.whole_units, session.val_tokens)
            for v in self.learners
        }
        outcome = Outcome(state, reason, error, models, trace)
        try:
            self._recorder.end(outcome, max(v.progress.step for v in self.learners))
        except TinyGPTError as refused:
            return self._end(stopped, str(refused), None)
        return outcome


def overtime(limit: float) -> float:
    """Seconds beyond a time limit in seconds that a variant may spend on a step that the other one
    has taken: a twentieth of the limit, but at least 2 s."""
    return max(2.0, limit / 20)
