"""One variant in training: its model, its optimizers and its progress."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from tinygpt.checkpoint import Snapshot
from tinygpt.config import VARIANTS, RunConfig
from tinygpt.device import (
    autocast_context,
    device_type,
    matmul_dtype,
    on_device,
)
from tinygpt.errors import CheckpointError
from tinygpt.model.gpt import GPT
from tinygpt.optim import (
    DeviceRates,
    Muon,
    make_optimizers,
    schedule,
    set_learning_rate,
    update_matrices,
)
from tinygpt.run import EvalRecord
from tinygpt.training.captured_step import CapturedStep
from tinygpt.training.clocks import Stopwatch
from tinygpt.training.compiled import CompiledOrEager
from tinygpt.training.evaluation import TOKENS, Evaluation, evaluate
from tinygpt.training.gradients import Gradients
from tinygpt.training.listening import Listen, between_blocks, no_listener
from tinygpt.training.optimizer_state import flat_state, load_flat_state
from tinygpt.training.progress import Progress, progress_of
from tinygpt.training.weight_average import EVERY, WeightAverage
from tinygpt.world import ALONE, World

Pending: TypeAlias = Literal["probe", "evaluation"]
"""A check whether the target loss may be reached, or an evaluation."""

_CURRENT = "model."
"""Prefix of the current weights in the training state, where their average is what is saved."""


@dataclass(frozen=True, slots=True)
class FinalLosses:
    """Losses at the end of a run over a whole split, in nats per token."""

    last: float
    best: float | None
    """Of the checkpoint that was the best by the sample; None if it cannot be read."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """Results of one optimizer step. On CUDA, reading a tensor waits for the device."""

    loss: Tensor
    """Cross-entropy of the batch in nats per token, without the losses of the router."""
    grad_norm: Tensor
    """Norm over all parameters together, before clipping."""
    learning_rate: float
    """Of Muon; with AdamW alone, of all parameters."""


class Learner:
    """Trains one variant of a run, one step at a time: in each process of `world` a copy of it."""

    def __init__(
        self,
        variant: str,
        config: RunConfig,
        vocab_size: int,
        device: str,
        world: World = ALONE,
    ) -> None:
        self.variant, self.config, self.device, self.world = variant, config, device, world
        with torch.random.fork_rng(devices=[]):  # the weights are drawn on the CPU
            torch.manual_seed(config.seed)
            self.model = GPT(config.model_config(variant, vocab_size)).to(device)
        self.model.recompute = config.train.recompute
        window = config.optim.average
        self.average = WeightAverage(self.model, window) if window else None
        self.matmul_dtype = matmul_dtype(device, config.train.precision)
        self.optimizers = make_optimizers(self.model, config.optim, self.matmul_dtype, world)
        self.progress = Progress()
        self.warm_from = 0
        """The step from which the learning rate warms up: 0, or where the end was moved."""
        self.evaluations: list[EvalRecord] = []
        """All so far, those before a resume included."""
        self.failure: str | None = None
        """One sentence, once the variant cannot continue."""
        self.pending: Pending | None = None
        """What is still to do after the last step; a checkpoint in the middle of it records that,
        so that a resume begins with it."""
        self.whole: FinalLosses | None = None
        """Over the validation split, set at the end of a run whose evaluations were of a sample."""
        self.test: FinalLosses | None = None
        """Over the test split, set at the end of a run that keeps one."""
        self._on_cuda = device_type(device) == "cuda"
        self.compiled = self._on_cuda and config.train.compile
        self._gradients = Gradients(
            self.model,
            config,
            device,
            matmul_dtype=self.matmul_dtype,
            world=world,
        )
        self._captured_step: CapturedStep | None = None
        if self._on_cuda:
            self._prepare_cuda()
        self._stopwatch = Stopwatch(device)

    def _prepare_cuda(self) -> None:
        """Compile the two halves of a step, if wanted, and capture the whole, if wanted."""
        # No graph is captured of several processes: what they exchange is not in it.
        captured = self.config.train.cuda_graph and self.world.size == 1
        compiled = self._gradients.compile() if self.compiled else None
        for optimizer in self.optimizers:
            if captured or isinstance(optimizer, Muon):
                optimizer.rates = DeviceRates(optimizer.param_groups)
            if self.compiled and isinstance(optimizer, Muon):
                optimizer.update = CompiledOrEager(update_matrices, compiled)
        if captured:
            self._captured_step = CapturedStep(self._update, self.optimizers)

    @property
    def result(self) -> GPT:
        """The model to evaluate and save: the averaged weights, or the current ones without an
        average and until its first update."""
        if self.average and self.progress.step >= EVERY:
            return self.average.model
        return self.model

    @property
    def val_loss(self) -> float | None:
        """Validation loss of the model as it is; None if not evaluated since its last step."""
        current = self.progress.evaluated_step == self.progress.step
        return self.progress.val_loss if current else None

    @property
    def finished(self) -> bool:
        """Whether it has taken all its steps, reached its target loss, run out of patience, or
        failed."""
        return bool(self.failure) or self.steps_taken or self.on_target or self.out_of_patience

    @property
    def steps_taken(self) -> bool:
        """Whether it has taken all its steps."""
        steps = self.config.steps
        return steps is not None and self.progress.step >= steps

    @property
    def on_target(self) -> bool:
        """Whether its last evaluation reached the target loss."""
        target, loss = self.config.target_loss, self.progress.val_loss
        return target is not None and loss is not None and loss <= target

    @property
    def out_of_patience(self) -> bool:
        """Whether it had too many evaluations in a row without a better validation loss."""
        return 0 < self.config.patience <= self.evaluations_since_best

    @property
    def evaluations_since_best(self) -> int:
        """How many scheduled evaluations in a row were not better. Those ahead of schedule do not
        count: how many a `--target-loss` causes depends on how near it is."""
        evaluated, best = self.progress.evaluated_step, self.progress.best_step
        every = self.config.train.eval_every
        return 0 if evaluated is None or best is None else evaluated // every - best // every

    @property
    def weights_finite(self) -> bool:
        """Whether every weight is a finite number; waits for the device once."""
        return bool(torch.stack([p.isfinite().all() for p in self.model.parameters()]).all())

    def train(
        self, batches: list[Tensor], fraction: float, listen: Listen = no_listener
    ) -> StepResult:
        """One optimizer step on micro-batches (B, T + 1), after `fraction` (0 to 1) of the run: on
        this process's share of each.

        `listen` is called before each micro-batch and before the optimizers, on a CPU also within
        a large micro-batch. What it raises gives up the step: the variant is then as it was before,
        and can take the same step again.
        """
        batches = [batch.to(self.device) for batch in batches]  # each variant may have its own GPU
        optim, step = self.config.optim, self.progress.step
        assert optim.weight_decay_power is not None  # see `tinygpt.training.recipe`
        warm = (step + 1 - self.warm_from) / max(1, optim.warmup)
        rate = schedule(fraction, warm, optim)
        set_learning_rate(self.optimizers, rate, optim.weight_decay_power)
        with (
            on_device(self.device),
            self._stopwatch,
            self._gradients_dropped_on_failure(),
            self._blocks_listen(self.model, batches[0][:, 1:].numel(), listen),
        ):
            self._seed_dropout()
            if self._captured_step:
                self._listen(listen)
                loss, grad_norm = self._captured_step(batches)
            else:
                loss, grad_norm = self._update(batches, listen)
            if self.average:
                self.average.update(self.model, step + 1)
        self.progress.step += 1
        self.progress.tokens += self.config.batch_tokens
        return StepResult(loss, grad_norm, self.optimizers[0].param_groups[0]["lr"])

    def _update(self, batches: list[Tensor], listen: Listen = no_listener) -> tuple[Tensor, Tensor]:
        """Gradients of all micro-batches, then the optimizers; (loss, norm of the gradient)."""
        loss, loads = self._gradients(batches, partial(self._listen, listen))
        self._listen(listen)
        grad_norm = self._clip(self.config.optim.clip or math.inf)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if loads:
            self.model.rebalance(loads, self.config.moe.bias_rate)
        return loss, grad_norm

    @property
    def own_loss(self) -> Tensor:
        """The loss of the last step over this process's share of the batch, times that share."""
        return self._gradients.own_loss

    def read_clock(self) -> None:
        """Update ``progress.train_seconds``; on CUDA this waits for the device."""
        self.progress.train_seconds += self._stopwatch.read()

    def evaluate(
        self,
        windows: list[Tensor],
        listen: Listen = no_listener,
        model: GPT | None = None,
        world: World = ALONE,
    ) -> Evaluation:
        """Evaluate a model, by default the resulting one, over windows (W, T + 1), in the
        precision of training; the processes of `world` share the work."""
        model = model or self.result
        with (
            on_device(self.device),
            autocast_context(self.device, self.matmul_dtype),
            self._blocks_listen(model, TOKENS, listen),
        ):
            return evaluate(model, windows, listen, world=world)

    def snapshot(self) -> Snapshot:
        """What a checkpoint holds. The tensors are not copied: save them before the next step."""
        return Snapshot(
            variant=self.variant,
            step=self.progress.step,
            tokens=self.progress.tokens,
            val_loss=self.val_loss,
            config=self.model.config,
            weights=self.result.state_dict(),
            training=flat_state(self.optimizers) | self._current_weights(),
            progress=asdict(self.progress),
            pending=self.pending,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Continue exactly from a checkpoint. After an error, only from another one.

        Raises:
            CheckpointError: it is of another model or optimizer.
        """
        where = f"the {self.variant} checkpoint of step {snapshot.step}"
        if snapshot.config != self.model.config:
            raise CheckpointError(f"{where} is of another model than run.toml describes")
        try:
            training = dict(snapshot.training)
            current = {
                name.removeprefix(_CURRENT): training.pop(name)
                for name in snapshot.training
                if name.startswith(_CURRENT)
            }
            self.progress = progress_of(snapshot)
            self.result.load_state_dict(dict(snapshot.weights))
            self.model.load_state_dict(current or dict(snapshot.weights))
            load_flat_state(self.optimizers, training, snapshot.step)
            self.pending = snapshot.pending
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{where} does not fit the run: {error}") from error

    def _listen(self, listen: Listen) -> None:
        """Pauses and checkpoints are not training time."""
        with self._stopwatch.aside():
            listen()

    def _blocks_listen(
        self, model: GPT, tokens: int, listen: Listen
    ) -> AbstractContextManager[None]:
        if self.device != "cpu":
            return nullcontext()
        return between_blocks(model, tokens, partial(self._listen, listen))

    @contextmanager
    def _gradients_dropped_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            raise

    def _clip(self, largest: float) -> Tensor:
        """Scale the gradients to a norm of at most `largest`; returns their norm before."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self._on_cuda:
            # The optimizers scale what they read: that saves a pass, and comparing would wait.
            scale = ((norm + 1e-6) / largest).clamp_min(1.0)
            for optimizer in self.optimizers:
                optimizer.grad_scale = scale
        elif self.device != "cpu" or not norm <= largest:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), largest, norm)
        return norm

    def _seed_dropout(self) -> None:
        """Dropout masks depend on (seed, step, variant) and the process only, so that a resume
        repeats them."""
        if self.model.config.dropout:
            mixed = (self.config.seed * 1_000_003 + self.progress.step) * 2
            mixed += VARIANTS.index(self.variant) + self.world.rank * 2**40
            # torch.manual_seed also seeds all accelerators, which takes a millisecond.
            seed = torch.default_generator if self.device == "cpu" else torch
            seed.manual_seed(mixed % 2**63)

    def _current_weights(self) -> dict[str, Tensor]:
        weights = self.model.state_dict() if self.average else {}
        return {_CURRENT + name: tensor for name, tensor in weights.items()}
