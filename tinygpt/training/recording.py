"""What a training writes: records, evaluations, samples, checkpoints, and the run's status."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from tinygpt import checkpoint
from tinygpt.errors import TinyGPTError, TinyGPTWarning
from tinygpt.generation import decoding
from tinygpt.run import (
    EndRecord,
    EvalRecord,
    Record,
    RoutingRecord,
    SampleRecord,
    TrainRecord,
    checkpoint_dir,
    list_steps,
)
from tinygpt.training.clocks import RunClock
from tinygpt.training.disk_wait import DiskWait
from tinygpt.training.evaluation import Evaluation, RoutingStatistics, perplexity
from tinygpt.training.learner import FinalLosses, Learner, StepResult
from tinygpt.training.listening import Listen, background_heartbeat, no_listener
from tinygpt.training.outcome import Outcome
from tinygpt.training.saving import Saver
from tinygpt.training.session import Session


class Recorder:
    """Evaluates and saves the variants of a session, and records the results.

    Args:
        session: what is trained, and the run directory to write to.
        disk: writes, and waits while the disk is full.
        clock: of the run.
        observe: called with each record after it was written.
        listen: called in the middle of evaluations and samples; what it raises gives them up,
            before anything of them is recorded.
    """

    def __init__(
        self,
        session: Session,
        disk: DiskWait,
        clock: RunClock,
        observe: Callable[[Record], None] = lambda _: None,
        listen: Listen = no_listener,
    ) -> None:
        self.session, self.config, self.writer = session, session.config, session.writer
        self.disk = disk
        self._clock, self._observe, self._listen = clock, observe, listen
        self._train_tokens = len(session.batches.tokens)
        progress = {v.variant: v.progress for v in session.learners}
        self._logged = {name: (p.step, p.train_seconds) for name, p in progress.items()}
        self.saver = Saver(session, disk, self._write)
        self._world = session.world

    def status(self, state: Literal["running", "paused"], step: int) -> None:
        """Write the run's status, with the variants that have failed already.

        A run that is paused has nothing more to write.
        """
        if state == "paused":
            self.saver.finish()
        failures = "; ".join(v.failure for v in self.session.learners if v.failure)
        self.disk.write(partial(self.writer.status, state, step, failures or None))

    def log_step(self, learner: Learner, result: StepResult) -> None:
        """Write the train record; the variant fails if its loss is not finite.

        On CUDA this waits for the device.
        """
        progress, variant = learner.progress, learner.variant
        loss, norm = torch.stack((result.loss, result.grad_norm)).tolist()
        learner.read_clock()
        step, seconds = self._logged[variant]
        self._logged[variant] = (progress.step, progress.train_seconds)
        took = max(progress.train_seconds - seconds, 1e-9)
        self._write(
            TrainRecord(
                **self._common(learner),
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
                self._fail(learner, f"the {what} is {value}{self._where(learner)}")
                break

    def evaluate(self, learner: Learner) -> bool:
        """Evaluate, write the results and a sample; returns whether the loss is the best so far.

        What takes long comes first: an evaluation that is given up has changed nothing.
        """
        progress = learner.progress
        world = self._world
        world.at(f"the evaluation of {learner.variant} after step {progress.step:,}")
        validation = learner.evaluate(self.session.validation, self._listen, world=world)
        on_train = learner.evaluate(self.session.train_sample, self._listen, world=world)
        if not math.isfinite(validation.loss):
            self._fail(learner, f"the validation loss is {validation.loss}")
            return False
        probed = self.probe(learner) if self.config.target_loss is not None else None
        sampled = self.config.train.sample_tokens and world.first
        text = self._sample_text(learner) if sampled else None
        learner.pending = None
        progress.val_loss, progress.train_loss = validation.loss, on_train.loss
        progress.evaluated_step = progress.step
        if probed is not None:
            progress.probe_bias = validation.loss - probed
        improved = progress.best_val_loss is None or validation.loss < progress.best_val_loss
        if improved:
            progress.best_val_loss, progress.best_step = validation.loss, progress.step
        if learner.on_target and progress.seconds_to_target is None:
            progress.seconds_to_target = progress.train_seconds
        progress.wall_seconds = self._clock.seconds
        self._write_evaluation(learner, validation)
        if validation.routing:
            self._write_routing(learner, validation.routing)
        if text is not None:
            self._write_sample(learner, text)
        return improved

    def probe(self, learner: Learner) -> float:
        """Loss over part of the validation split."""
        return learner.evaluate(self.session.probe, self._listen, world=self._world).loss

    def evaluate_whole(self) -> None:
        """Evaluate the last and the best model of each variant on the whole validation split.

        All or none of the variants, so that their losses compare.
        """
        for learner, losses in self._final_losses(self.session.whole_validation):
            learner.whole = losses

    def evaluate_test(self) -> None:
        """Evaluate the last and the best model of each variant on the test split."""
        for learner, losses in self._final_losses(self.session.test):
            learner.test = losses

    def _final_losses(self, windows: list[Tensor]) -> list[tuple[Learner, FinalLosses]]:
        """By the first process alone, which has the best checkpoints."""
        if not self._world.first:
            return []
        learners = [v for v in self.session.learners if not v.failure]
        return [(learner, self._losses_over(windows, learner)) for learner in learners]

    def _losses_over(self, windows: list[Tensor], learner: Learner) -> FinalLosses:
        best_step = learner.progress.best_step

        def listen() -> None:
            self._listen()
            self.session.release()

        last = learner.evaluate(windows, listen).loss
        if best_step == learner.progress.step:
            return FinalLosses(last, last)
        assert best_step is not None
        try:
            folder = checkpoint_dir(self.session.path, learner.variant, best_step)
            with background_heartbeat(self.writer, learner.progress.step):
                best = checkpoint.load(folder, learner.device).model
        except TinyGPTError as error:
            warnings.warn(
                f"the best checkpoint is not evaluated again: {error}",
                TinyGPTWarning,
                stacklevel=2,
            )
            return FinalLosses(last, None)
        return FinalLosses(last, learner.evaluate(windows, listen, best).loss)

    def save(self, learner: Learner, *, snapshot: bool = False, wait: bool = False) -> None:
        """Write a checkpoint, then its record, then thin out the older checkpoints.

        A `snapshot` is to look at: of a large model, the weights alone are saved, in bf16. On a GPU
        such a model is trained on meanwhile, unless this is to `wait`. Losses are checked every
        `log_every` steps only, so the weights are checked here.
        """
        if not learner.weights_finite:
            self._fail(learner, "a weight is not finite")
            return
        learner.read_clock()
        learner.progress.wall_seconds = self._clock.seconds
        self.saver.save(learner, weights_only=snapshot, wait=wait)

    def save_untrained(self) -> None:
        """Save the first snapshot: the models before their first step."""
        for learner in self.session.learners:
            steps = list_steps(self.session.path, learner.variant)
            if learner.progress.step == 0 and 0 not in steps:
                self.save(learner)

    def save_all(self) -> None:
        """Save every variant that has not failed and has stepped since the last checkpoint that can
        be resumed from. All is on disk when this returns."""
        self.saver.finish()
        for learner in self.session.learners:
            if not learner.failure and not self.saver.is_saved(learner):
                self.save(learner, wait=True)

    def end(self, outcome: Outcome, step: int) -> None:
        """Write the end record and the last status.

        Raises:
            TinyGPTError: they cannot be written; not raised for an outcome that is an error.
        """
        record = EndRecord(
            time=time.time(),
            state=outcome.state,
            reason=outcome.reason,
            error=outcome.error,
            models=outcome.models,
        )
        if outcome.error:  # it may be the disk's, so do not wait for the disk
            self.saver.abandon()
            with suppress(TinyGPTError):
                self.writer.append(record)
                self._observe(record)
            with suppress(TinyGPTError):
                self.writer.status(outcome.state, step, outcome.error)
            return
        self.saver.finish()
        self._write(record)
        self.disk.write(partial(self.writer.status, outcome.state, step))

    def _write_evaluation(self, learner: Learner, validation: Evaluation) -> None:
        progress, units = learner.progress, self.session.units
        assert progress.train_loss is not None
        assert progress.best_val_loss is not None
        assert progress.best_step is not None
        record = EvalRecord(
            **self._common(learner),
            epoch=self._epoch(learner),
            val_loss=validation.loss,
            train_loss=progress.train_loss,
            perplexity=perplexity(validation.loss),
            bits_per_char=units.nats_per_character(validation.loss) / math.log(2),
            best_val_loss=progress.best_val_loss,
            best_step=progress.best_step,
            train_seconds=progress.train_seconds,
            wall_seconds=progress.wall_seconds,
            context=self.config.gpt.context,
            val_tokens=self.session.val_tokens,
            bits_per_byte=units.bits_per_byte(validation.loss),
            nats_per_char=units.nats_per_character(validation.loss),
        )
        learner.evaluations.append(record)
        self._write(record)

    def _write_routing(self, learner: Learner, routing: RoutingStatistics) -> None:
        learner.progress.expert_load = routing.load
        self._write(
            RoutingRecord(
                **self._common(learner),
                load=routing.load,
                entropy=routing.entropy,
                worst_over_mean=routing.worst_over_mean,
                mean_top1=routing.mean_top1,
                dead=routing.dead,
            )
        )

    def _sample_text(self, learner: Learner) -> str:
        """A text from the same prompt and seed each time, so that samples can be compared."""
        train = self.config.train
        params = decoding.SamplingParams(
            seed=self.config.seed, max_new_tokens=train.sample_tokens, temperature=0.8
        )
        text = []
        for event in decoding.stream(
            learner.result, self.session.tokenizer, train.sample_prompt, params
        ):
            text.append(event.text)
            self._listen()
        return "".join(text)

    def _write_sample(self, learner: Learner, text: str) -> None:
        self._write(
            SampleRecord(
                **self._common(learner),
                prompt=self.config.train.sample_prompt,
                seed=self.config.seed,
                text=text,
            )
        )

    def _fail(self, learner: Learner, what: str) -> None:
        """End this variant; the other one continues."""
        step, saved = learner.progress.step, self.saver.last(learner.variant)
        kept = "no checkpoint was written"
        if saved is not None:
            kept = f"the last good checkpoint is {checkpoint_dir('', learner.variant, saved)}"
        learner.failure = f"{learner.variant} failed at step {step}: {what}; {kept}"
        self.status("running", step)

    def _where(self, learner: Learner) -> str:
        """In which processes the loss is not finite, if there are several and not in all."""
        if self._world.size == 1:
            return ""
        bad = self._world.gather((~learner.own_loss.isfinite()).to(torch.uint8)[None]).tolist()
        names = [self._world.name(rank) for rank, is_bad in enumerate(bad) if is_bad]
        return f" on {' and '.join(names)}" if 0 < len(names) < len(bad) else ""

    def _epoch(self, learner: Learner) -> float:
        return learner.progress.tokens / self._train_tokens

    def _common(self, learner: Learner) -> dict[str, Any]:
        """The fields that all records of a model have."""
        progress = learner.progress
        return {
            "time": time.time(),
            "model": learner.variant,
            "step": progress.step,
            "tokens": progress.tokens,
        }

    def _write(self, record: Record) -> None:
        self.disk.write(partial(self.writer.append, record))
        self._observe(record)
