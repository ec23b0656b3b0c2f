"""The training of a run, step by step: both variants on the same batches, in lockstep.

Between two steps, in this order: requests and signals are handled; each variant that is at this
step takes it; its records are written; if due, it is evaluated and checkpointed. A variant that
was resumed from an earlier step than the other first catches up alone. A large model on a GPU is
saved beside the steps that follow: see `tinygpt.training.saving`.

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
from typing import Literal, TypeVar

from tinygpt import retention
from tinygpt.errors import RunError, TinyGPTError
from tinygpt.run import Control, Record
from tinygpt.training.clocks import RunClock
from tinygpt.training.disk_wait import DiskWait
from tinygpt.training.evaluation import is_evaluated_whole, tokens_in
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

T = TypeVar("T")

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
        self._world = session.world
        self._clock = RunClock(max(v.progress.wall_seconds for v in self.learners))
        control, self._wait = Control(session.path), sleep
        self._disk = DiskWait(
            session.writer,
            self._clock,
            step=lambda: self.step,
            stop_requested=lambda: bool(interrupted()) or "stop" in control.poll(),
            sleep=self._sleep,
        )
        self._listener = Listener(
            control,
            self._clock,
            interrupted=lambda: self._asked_to_end(interrupted()),
            sleep=self._sleep,
            world=session.world,
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
        try:
            return self._run()
        finally:
            self._recorder.saver.close()

    def _run(self) -> Outcome:
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
            sentence = one_sentence(exception, self.step, self.config, devices)
            error = self._world.explain(exception, sentence)
            # That another process failed, its own log explains.
            trace = traceback.format_exc() if error.endswith(sentence) else None
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
        self._recorder.saver.collect()
        step = self.step
        batches, completed = (
            self.session.batches(step),
            fraction(self.config, step, self._agreed(self._clock.seconds)),
        )
        try:
            for learner in self._active():
                if learner.progress.step == step:
                    self._world.at(f"step {step + 1:,} of {learner.variant}")
                    with self._listener.until(self._step_limit(step)), self._compiling(learner):
                        result = learner.train(batches, completed, self._listener)
                    self._after_step(learner, result)
        except TimeLimitError:
            self._time_over = True
        # Once per step, so that both variants end at the same one.
        self._time_over = self._time_over or self._agreed(self._clock.seconds >= self._limit)

    def _agreed(self, value: T) -> T:
        """What the clock of the first process says, where that matters."""
        return self._world.agree(value) if self.config.minutes else value

    def _asked_to_end(self, signal: str | None) -> str | None:
        """The signal that ends the session. Where a process dies, torchrun sends one to the others
        too, and the death is the reason."""
        if signal and (gone := self._world.lost()):
            raise RunError(gone)
        return signal

    def _sleep(self, seconds: float) -> None:
        self._world.alive()
        self._wait(seconds)

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
        snapshot = retention.snapshot_due(step, self.session.kept.snapshots)
        # Where the snapshots are the only checkpoints, they are what a resume starts from.
        periodic = step % train.checkpoint_every == 0 if train.checkpoint_every else snapshot
        if learner.pending or snapshot or periodic or step % train.log_every == 0:
            self._recorder.log_step(learner, result)
        self._evaluate_and_save(learner, due=periodic, snapshot=snapshot)

    def _evaluate_and_save(self, learner: Learner, *, due: bool, snapshot: bool = False) -> None:
        """Do what is pending for a variant, then save it if that is `due` or there is a reason.

        If there is no other reason than a `snapshot` to look at, a large model is not saved to be
        resumed from.
        """
        if learner.pending == "probe" and not learner.failure:
            learner.pending = "evaluation" if self._may_be_on_target(learner) else None
        improved = (
            learner.pending is not None and not learner.failure and self._recorder.evaluate(learner)
        )
        # A checkpoint that was requested in the middle lacks the evaluation.
        due = due or improved or learner.finished or self._recorder.saver.is_saved(learner)
        if (due or snapshot) and not learner.failure:
            self._recorder.save(learner, snapshot=not due)

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
        """Evaluate what the time limit ended; or if there was time, on the whole split, unless that
        is large compared with the training; and then the test split."""
        for learner in self.learners:
            if not learner.failure and learner.val_loss is None:
                learner.pending = "evaluation"
                self._evaluate_and_save(learner, due=True)
        self._recorder.save_all()
        trained = max(learner.progress.tokens for learner in self.learners)
        whole = is_evaluated_whole(tokens_in(self.session.whole_validation), trained)
        if self.session.val_tokens and whole and not self._time_over:
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
            v.variant: summary(
                v, session.whole_units if v.whole else session.units, session.val_tokens
            )
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
