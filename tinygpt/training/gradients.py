"""The gradients of an optimizer step: over its micro-batches, and over the processes that share
each of them.

A gradient is that of the mean over all tokens of the step, and the balancing loss of the experts
is of all of them together, so that neither --train.accumulate nor the number of processes changes
more than rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from tinygpt.config import RunConfig
from tinygpt.device import autocast_context
from tinygpt.model.gpt import GPT
from tinygpt.training.compiled import CompiledOrEager
from tinygpt.training.listening import Listen
from tinygpt.training.objective import Losses, Objective, expert_loads, objective
from tinygpt.world import World


class Gradients:
    """Computes the gradients of a model.

    Args:
        model: its parameters get the gradients.
        config: `train.batch` is the number of sequences of a micro-batch in all processes.
        device: where the model is.
        matmul_dtype: of the products.
        world: the processes that share each micro-batch.
    """

    def __init__(
        self,
        model: GPT,
        config: RunConfig,
        device: str,
        *,
        matmul_dtype: torch.dtype,
        world: World,
    ) -> None:
        self.model, self.config, self.device, self.world = model, config, device, world
        self._matmul_dtype = matmul_dtype
        self.objective: Callable[..., Losses] = objective
        self.expert_loads: Callable[[GPT, Tensor], list[Tensor]] = expert_loads
        self._replica: nn.Module | None = None
        self.own_loss = torch.zeros(())
        """Of the last step, over this process's share of it, times that share."""

    def compile(self) -> CompiledOrEager:
        """Compile the objective; returns it, so that others need not try where it fails."""
        compiled = CompiledOrEager(objective)
        self.objective, self.expert_loads = compiled, CompiledOrEager(expert_loads, compiled)
        return compiled

    def __call__(self, batches: list[Tensor], listen: Listen) -> tuple[Tensor, list[Tensor]]:
        """Add the gradients of micro-batches (B, T + 1), of each this process's share.

        Returns:
            The cross-entropy in nats per token, and per layer the tokens per expert (E,) if they
            steer a selection bias: of all processes.
        """
        balanced = self._loads_of_all(batches, listen) if self._balances_over_all(batches) else None
        loss = torch.zeros((), device=self.device)
        loads: list[Tensor] = []
        for index, batch in enumerate(batches):
            listen()
            with self._exchanged(last=index + 1 == len(batches)):
                losses = self._losses(batch, balanced)
                parts = len(batches) / self._share(batch)
                loss += losses.cross_entropy / (parts * self.world.size)
                (losses.total / parts).backward()
            loads = _add(losses.loads, loads)
        if self.world.size > 1:
            self.own_loss = loss.clone()
            self.world.sum([loss, *loads])
        return loss, loads

    def _losses(self, batch: Tensor, loads: list[Tensor] | None) -> Losses:
        with autocast_context(self.device, self._matmul_dtype):
            if self.world.size == 1:
                return self.objective(self.model, batch, loads)
            losses: Losses = self._replicated(batch, loads, self.world.sum)
            return losses

    @property
    def _replicated(self) -> nn.Module:
        """The model with its objective, as the processes share it; made at the first step, when
        what a resume restores is there."""
        if self._replica is None:
            self._replica = self.world.replicated(Objective(self.model, self.objective))
        return self._replica

    def _exchanged(self, *, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged between the processes once, with the last micro-batch."""
        if last or self.world.size == 1:
            return nullcontext()
        return self.world.unsynchronized(self._replicated)

    def _share(self, batch: Tensor) -> float:
        """The weight of this process's part of a micro-batch in the mean over the processes: 1 if
        all have as many sequences."""
        size = self.world.size
        return len(batch) * size / self.config.train.batch if size > 1 else 1.0

    def _balances_over_all(self, batches: list[Tensor]) -> bool:
        """Whether experts are balanced over several micro-batches together."""
        moe = self.model.config.moe
        wanted = moe is not None and moe.aux_loss > 0 and moe.balance_over == "step"
        return wanted and len(batches) > 1

    def _loads_of_all(self, batches: list[Tensor], listen: Listen) -> list[Tensor]:
        """Per layer, the tokens per expert over all micro-batches and processes, without dropout:
        its random numbers are those of the passes to come."""
        loads: list[Tensor] = []
        with autocast_context(self.device, self._matmul_dtype):
            for batch in batches:
                listen()
                loads = _add(self.expert_loads(self.model, batch), loads)
        self.world.sum(loads)
        return loads


def _add(new: list[Tensor], old: list[Tensor]) -> list[Tensor]:
    return [a + b for a, b in zip(new, old, strict=True)] if old else new
