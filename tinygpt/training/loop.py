"""The training of a run, step by step: both variants on the same batches, in lockstep.

What happens between two steps, in this order: requests and signals are obeyed; each variant that is
at this step takes it; its records are written; where one is due, it is evaluated, then
checkpointed. A variant that a resume took back further than the other catches up alone first.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import torch

from tinygpt import checkpoint, retention
from tinygpt.errors import TinyGPTError
from tinygpt.generation import decoding
from tinygpt.run import (
    CheckpointRecord,
    Control,
    EndRecord,
    EvalRecord,
    Record,
    RoutingRecord,
    SampleRecord,
    StatusState,
    TrainRecord,
    checkpoint_dir,
    list_steps,
)
from tinygpt.training.evaluation import Evaluation, evaluate
from tinygpt.training.learner import Learner, StepResult
from tinygpt.training.session import Session

T = TypeVar("T")

PAUSE_POLL = 0.2
"""Seconds between two looks at control/ while paused."""
DISK_FULL_POLL = 2.0
"""Seconds between two tries to write to a disk that was full."""
PROBE_EVERY = 20
"""Optimizer steps between two looks whether a target loss is reached."""
NEAR = 0.15
"""Nats that the loss of a batch may be above the target for such a look: more than the average of
the weights is better than the weights, and than a batch is harder than the others."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session of training ended."""

    state: Literal["done", "stopped", "failed"]
    reason: str
    error: str | None
    models: dict[str, dict[str, Any]]
    """The numbers of the closing table, a variant each."""
    trace: str | None = None
    """Where an unexpected exception came from, for a developer."""


class Loop:
    """Trains a session to its end.

    Args:
        session: what to train, and where to write.
        observe: handed each record once it is written.
        interrupted: asked between two steps; a text (the signal's name) ends the session.
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
        self.session, self.config = session, session.config
        self.learners, self.writer = session.learners, session.writer
        self._observe, self._interrupted, self._sleep = observe, interrupted, sleep
        self._control = Control(session.path)
        self._train_tokens = len(session.batches.tokens)
        self._began = time.monotonic()
        self._wall_before = max(v.progress.wall_seconds for v in self.learners)
        self._logged = {
            v.variant: (v.progress.step, v.progress.train_seconds) for v in self.learners
        }
        self._saved = {v.variant: v.progress.step for v in self.learners if v.progress.step}
        self._waited = 0.0
        self._time_over = self._time_fraction() >= 1

    def run(self) -> Outcome:
        """Train until every variant is over, or until asked to stop; then say how it ended.

        An exception in a step is an end too: recorded as failed, with the last checkpoints whole.
        """
        stopped: str | None = None
        error: str | None = None
        trace: str | None = None
        try:
            self._status("running", self.step)
            self._save_untrained()
            stopped = self._train()
            if stopped:
                self._save_all()
            error = "; ".join(v.failure for v in self.learners if v.failure) or None
        except Exception as exception:  # noqa: BLE001 - whatever it is, the run must say so
            error = self._describe(exception)
            trace = traceback.format_exc()
        return self._end(stopped, error, trace)

    @property
    def step(self) -> int:
        """The step that is next: of the variant that is furthest behind, of those that go on."""
        return min(v.progress.step for v in self._going() or self.learners)

    @property
    def wall_seconds(self) -> float:
        """Seconds of this run over all its sessions, without pauses."""
        return self._wall_before + time.monotonic() - self._began - self._waited

    def _train(self) -> str | None:
        """Step until all is over; the reason if something asked to stop before."""
        while going := self._going():
            step = self.step
            if reason := self._handle_requests(step):
                return reason
            batches = self.session.batches(step)
            fraction = self._fraction(step)
            self._time_over = self._time_fraction() >= 1  # once a step: lockstep ends together
            for learner in going:
                if learner.progress.step == step:
                    self._take_step(learner, learner.train(batches, fraction))
            self._on_disk(partial(self.writer.heartbeat, step + 1))
        return None

    def _take_step(self, learner: Learner, result: StepResult) -> None:
        """What follows one variant's step: records, evaluation, checkpoint."""
        train, progress = self.config.train, learner.progress
        step = progress.step
        last = learner.finished or self._time_over
        evaluated = last or step % train.eval_every == 0 or self._may_be_on_target(learner, result)
        framed = retention.snapshot_due(step, train.snapshots)
        periodic = bool(train.checkpoint_every) and step % train.checkpoint_every == 0
        if evaluated or framed or periodic or step % train.log_every == 0:
            self._log(learner, result)
        improved = evaluated and not learner.failure and self._evaluate(learner)
        if not learner.failure and (framed or periodic or improved or last or learner.finished):
            self._save(learner)

    def _may_be_on_target(self, learner: Learner, result: StepResult) -> bool:
        """Whether a whole evaluation is worth its time: a part of the validation split says so.

        Between two evaluations a training would go on for long past its target.
        """
        target, due = self.config.target_loss, learner.progress.step % PROBE_EVERY == 0
        if target is None or not due or result.loss.item() > target + NEAR:
            return False
        return self._probe(learner) + (learner.progress.probe_bias or 0.0) <= target

    def _probe(self, learner: Learner) -> float:
        """The loss over a part of the validation split."""
        with learner.precision():
            return evaluate(learner.result, self.session.probe).loss

    def _log(self, learner: Learner, result: StepResult) -> None:
        """Write the train record, and fail if it is not finite. This waits for the device."""
        progress, variant = learner.progress, learner.variant
        loss, norm = result.loss.item(), result.grad_norm.item()
        learner.read_clock()
        step, seconds = self._logged[variant]
        self._logged[variant] = (progress.step, progress.train_seconds)
        took = max(progress.train_seconds - seconds, 1e-9)
        self._write(
            TrainRecord(
                **self._about(learner),
                epoch=self._epoch(learner),
                loss=loss,
                lr=result.learning_rate,
                grad_norm=norm,
                tokens_per_second=(progress.step - step) * self.config.batch_tokens / took,
                train_seconds=progress.train_seconds,
            )
        )
        for what, value in (("loss", loss), ("norm of the gradient", norm)):
            if not math.isfinite(value):
                self._fail(learner, f"the {what} is {value}")
                break

    def _fail(self, learner: Learner, what: str) -> None:
        """One variant cannot go on; the other may."""
        step, saved = learner.progress.step, self._saved.get(learner.variant)
        kept = "no checkpoint was written"
        if saved is not None:
            kept = f"the last good checkpoint is {checkpoint_dir('', learner.variant, saved)}"
        learner.failure = f"{learner.variant} failed at step {step}: {what}; {kept}"
        self._status("running", step)

    def _status(self, state: Literal["running", "paused"], step: int) -> None:
        """Say how the run is, with what failed already."""
        failures = "; ".join(v.failure for v in self.learners if v.failure)
        self._on_disk(partial(self.writer.status, state, step, failures or None))

    def _on_disk(self, write: Callable[[], T]) -> T:
        """Write; where the disk is full, wait until somebody makes room and write then.

        Whatever is written here is taken back whole when it fails, so that it can be tried again.
        """
        before, waited = self.writer.last_status, None
        while True:
            try:
                done = write()
                break
            except TinyGPTError as error:
                if not error.disk_full:
                    raise
                waited = self._wait_for_disk(error)
        if waited and self.writer.last_status == waited:
            with suppress(TinyGPTError):
                self.writer.status(before[0], self.step, before[1])
        return done

    def _wait_for_disk(self, error: TinyGPTError) -> tuple[StatusState, str | None]:
        """Pause once more, and what the status says meanwhile; raises `error` if the training is
        asked to end."""
        began = time.monotonic()
        with suppress(TinyGPTError):
            self.writer.status("paused", self.step, f"{error}; it goes on when there is room")
        self._sleep(DISK_FULL_POLL)
        self._waited += time.monotonic() - began
        if self._interrupted() or "stop" in self._control.poll():
            raise error
        return self.writer.last_status

    def _evaluate(self, learner: Learner) -> bool:
        """Evaluate, and write what was found; whether it is the best so far."""
        with learner.precision():
            found = evaluate(learner.result, self.session.validation)
            on_train = evaluate(learner.result, self.session.train_sample)
        progress = learner.progress
        if not math.isfinite(found.loss):
            self._fail(learner, f"the validation loss is {found.loss}")
            return False
        progress.val_loss, progress.train_loss = found.loss, on_train.loss
        progress.evaluated_step = progress.step
        if self.config.target_loss is not None:
            progress.probe_bias = found.loss - self._probe(learner)
        improved = progress.best_val_loss is None or found.loss < progress.best_val_loss
        if improved:
            progress.best_val_loss, progress.best_step = found.loss, progress.step
        if learner.on_target and progress.seconds_to_target is None:
            progress.seconds_to_target = progress.train_seconds
        progress.wall_seconds = self.wall_seconds
        self._write_evaluation(learner, found)
        self._sample(learner)
        return improved

    def _write_evaluation(self, learner: Learner, found: Evaluation) -> None:
        progress, about = learner.progress, self._about(learner)
        assert progress.train_loss is not None
        assert progress.best_val_loss is not None
        assert progress.best_step is not None
        self._write(
            EvalRecord(
                **about,
                epoch=self._epoch(learner),
                val_loss=found.loss,
                train_loss=progress.train_loss,
                perplexity=perplexity(found.loss),
                bits_per_char=found.loss / math.log(2),
                best_val_loss=progress.best_val_loss,
                best_step=progress.best_step,
                train_seconds=progress.train_seconds,
                wall_seconds=progress.wall_seconds,
                context=self.config.gpt.context,
            )
        )
        if found.routing:
            progress.expert_load = found.routing.load
            self._write(
                RoutingRecord(
                    **about,
                    load=found.routing.load,
                    entropy=found.routing.entropy,
                    worst_over_mean=found.routing.worst_over_mean,
                    mean_top1=found.routing.mean_top1,
                    dead=found.routing.dead,
                )
            )

    def _sample(self, learner: Learner) -> None:
        """A text from the fixed prompt and seed, so that one sees the same dice rolled again."""
        train = self.config.train
        if not train.sample_tokens:
            return
        params = decoding.SamplingParams(
            seed=self.config.seed, max_new_tokens=train.sample_tokens, temperature=0.8
        )
        text = decoding.generate(
            learner.result, self.session.tokenizer, train.sample_prompt, params
        )
        self._write(
            SampleRecord(
                **self._about(learner),
                prompt=train.sample_prompt,
                seed=self.config.seed,
                text=text,
            )
        )

    def _save(self, learner: Learner) -> None:
        """Write a checkpoint, then say so, then thin out the older ones.

        Losses are looked at every `log_every` steps; what is saved has to be sound at any.
        """
        progress, variant = learner.progress, learner.variant
        if not learner.weights_finite:
            self._fail(learner, "a weight is not finite")
            return
        learner.read_clock()
        progress.wall_seconds = self.wall_seconds
        path = self._on_disk(lambda: checkpoint.save(self.session.path, learner.snapshot()))
        self._saved[variant] = progress.step
        self._write(
            CheckpointRecord(
                **self._about(learner),
                path=str(path.relative_to(self.session.path)),
                val_loss=learner.val_loss,
            )
        )
        retention.prune(self.session.path, variant, self.config.train.snapshots, progress.best_step)

    def _save_untrained(self) -> None:
        """The first snapshot: the model before its first step."""
        for learner in self.learners:
            there = list_steps(self.session.path, learner.variant)
            if learner.progress.step == 0 and 0 not in there:
                self._save(learner)

    def _save_all(self) -> None:
        """Checkpoint every variant that is past its last one and sound."""
        for learner in self.learners:
            if not learner.failure and self._saved.get(learner.variant) != learner.progress.step:
                self._save(learner)

    def _handle_requests(self, step: int) -> str | None:
        """Signals and requests; the reason to stop if one asks for that. A pause waits in here."""
        paused: float | None = None
        waited = self._waited
        while True:
            requests = self._control.poll()
            stop = self._interrupted() or ("asked to stop" if "stop" in requests else None)
            if "stop" in requests:
                self._control.acknowledge("stop")
            if "checkpoint" in requests:
                self._control.acknowledge("checkpoint")
                self._save_all()
            if stop or "pause" not in requests:
                break
            if paused is None:
                paused = time.monotonic()
                self._status("paused", step)
            self._sleep(PAUSE_POLL)
            self._on_disk(partial(self.writer.heartbeat, step))
        if paused is not None:
            # All of it, and no part twice: a wait for room is a part of the pause.
            self._waited = waited + time.monotonic() - paused
            if not stop:
                self._status("running", step)
        return stop

    def _fraction(self, step: int) -> float:
        """Share of the run that is done: by steps or by time, whichever is further."""
        return min(1.0, max(self._time_fraction(), step / (self.config.steps or math.inf)))

    def _time_fraction(self) -> float:
        return self.wall_seconds / 60 / (self.config.minutes or math.inf)

    def _going(self) -> list[Learner]:
        return [] if self._time_over else [v for v in self.learners if not v.finished]

    def _epoch(self, learner: Learner) -> float:
        return learner.progress.tokens / self._train_tokens

    def _about(self, learner: Learner) -> dict[str, Any]:
        """What every record of a model begins with."""
        progress = learner.progress
        return {
            "time": time.time(),
            "model": learner.variant,
            "step": progress.step,
            "tokens": progress.tokens,
        }

    def _write(self, record: Record) -> None:
        self._on_disk(partial(self.writer.append, record))
        self._observe(record)

    def _describe(self, exception: Exception) -> str:
        """One sentence for the user."""
        if isinstance(exception, TinyGPTError):
            return str(exception)
        if out_of_memory(exception):
            return (
                f"out of memory after step {self.step}: choose a smaller --train.batch (a larger "
                "--train.accumulate makes up for it), --gpt.context or --gpt.width"
            )
        what = (str(exception).strip() or type(exception).__name__).splitlines()[0]
        return f"{type(exception).__name__} after step {self.step}: {what}"

    def _end(self, stopped: str | None, error: str | None, trace: str | None) -> Outcome:
        state: Literal["done", "stopped", "failed"]
        state = "failed" if error else "stopped" if stopped else "done"
        reason = error or stopped or self._why_done()
        models = {v.variant: self.summary(v) for v in self.learners}
        end = EndRecord(time=time.time(), state=state, reason=reason, error=error, models=models)
        step = max(v.progress.step for v in self.learners)
        if error:  # of the disk, perhaps: waiting for it would be for ever
            with suppress(TinyGPTError):
                self.writer.append(end)
                self._observe(end)
            with suppress(TinyGPTError):
                self.writer.status(state, step, error)
            return Outcome(state, reason, error, models, trace)
        try:
            self._write(end)
            self._on_disk(partial(self.writer.status, state, step))
        except TinyGPTError as refused:
            return self._end(stopped, str(refused), None)
        return Outcome(state, reason, error, models, trace)

    def _why_done(self) -> str:
        if self.config.target_loss and all(v.on_target for v in self.learners):
            return f"reached the target loss of {self.config.target_loss:g}"
        if self._time_fraction() >= 1:
            return f"{self.config.minutes:g} minutes are over"
        return f"all {self.config.steps} steps are taken"

    def summary(self, learner: Learner) -> dict[str, Any]:
        """One variant's numbers, as ``--json`` prints them."""
        progress = learner.progress
        total, active = learner.model.parameter_counts()
        summary: dict[str, Any] = {
            "step": progress.step,
            "tokens": progress.tokens,
            "train_seconds": progress.train_seconds,
            "wall_seconds": progress.wall_seconds,
            "val_loss": progress.val_loss,
            "best_val_loss": progress.best_val_loss,
            "perplexity": None if progress.val_loss is None else perplexity(progress.val_loss),
            "params_total": total,
            "params_active": active,
            "tokens_per_second": progress.tokens / max(progress.train_seconds, 1e-9),
            "seconds_to_target": progress.seconds_to_target,
        }
        if learner.model.config.moe:
            summary["expert_load"] = progress.expert_load
        return summary


def out_of_memory(exception: Exception) -> bool:
    """Whether there was too little of it, on the device or here."""
    # On a CPU torch raises a plain RuntimeError.
    words = ("allocate memory", "not enough memory", "out of memory")
    said = any(text in str(exception) for text in words)
    return isinstance(exception, MemoryError | torch.OutOfMemoryError) or said


def perplexity(loss: float) -> float:
    """exp of a loss in nats; infinite rather than an overflow."""
    return math.exp(loss) if loss < 700 else math.inf
