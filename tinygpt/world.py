"""The processes that train one run together, and the place of this one among them.

All of them run the same program on their share of each batch. The first one alone writes the run
directory, and its clock and the requests it receives count for all. `tinygpt.training.distributed`
has the world of several processes; here is that of a single one, in which nothing is to be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from torch import Tensor, nn

T = TypeVar("T")


class World:
    """A process that trains alone."""

    rank: int = 0
    """The number of this process, from 0."""
    size: int = 1
    """How many there are."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, and that decides."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` things are this process's: as many as the others', or one more."""
        least, more = divmod(count, self.size)
        start = self.rank * least + min(self.rank, more)
        return slice(start, start + least + (self.rank < more))

    def agree(self, value: T) -> T:
        """The `value` of the first process, in all of them. JSON must be able to hold it."""
        return value

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Add up tensors over all processes, in place; each has the same ones."""

    def gather(self, part: Tensor) -> Tensor:
        """The parts (N, ...) of all processes one after the other, (size x N, ...)."""
        return part

    def replicated(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are the mean over all processes, by the end of its backward
        pass. Its parameters become those of the first process."""
        return module

    def unsynchronized(self, module: nn.Module) -> AbstractContextManager[Any]:
        """In the with-block, gradients of a replicated module stay this process's own."""
        del module
        return nullcontext()

    def in_turn(self) -> AbstractContextManager[None]:
        """In the with-block is the first process, and then all others, which find what it left."""
        return nullcontext()

    def at(self, place: str) -> None:
        """Note what this process is about to do, so that another can tell where it hangs."""

    def alive(self) -> None:
        """Note that this process takes long on purpose."""

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Make tensors those of the first process, in place."""

    def name(self, rank: int) -> str:
        """A process, as errors name it."""
        return f"rank {rank}"

    def explain(self, error: Exception, sentence: str) -> str:
        """What ended the training: `sentence`, which describes `error`, and in which process."""
        del error
        return sentence

    def lost(self) -> str | None:
        """A sentence on a process that is gone; None if all are there."""
        return None

    def close(self) -> None:
        """Leave the others, once the first one is done."""


ALONE = World()
