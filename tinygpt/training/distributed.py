"""Several processes that train one run, on one machine or several, as torchrun starts them.

Tensors are exchanged by torch.distributed: NCCL between GPUs, gloo between CPUs. Gradients are
exchanged while the backward pass computes further ones (DistributedDataParallel). What the first
process decides, such as to stop, reaches the others through the store that torchrun keeps. Nothing
there has a time limit, as the first process may wait for a disk: whether one hangs is found by
`tinygpt.training.watch`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import GradBucket
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from tinygpt.errors import ConfigError, RunError, first_line
from tinygpt.training.watch import Watch
from tinygpt.world import World

T = TypeVar("T")

TOGETHER = timedelta(minutes=10)
"""How long to wait for the other processes at the start."""
NO_LIMIT = timedelta(days=365)
LONGEST_PAUSE = 0.05
"""Seconds between two looks whether the first process has decided; the first look is at once."""
KEPT = 1000
"""Decisions that stay in the store: more than any process can be behind."""


# Newer versions have another name for it.
_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor

_OF_OTHERS = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
"""Words of errors that another process has caused."""


class ProcessError(RunError):
    """Another process has failed."""


class Processes(World):
    """The processes that torchrun has started, with this one.

    Raises:
        ConfigError: the others cannot be reached.
    """

    def __init__(self) -> None:
        try:
            store, self.rank, self.size = next(iter(rendezvous("env://", timeout=TOGETHER)))
            # The store may outlive a start that failed, with what was decided then.
            start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(
                backend,
                store=PrefixStore(f"torch/{start}", store),
                rank=self.rank,
                world_size=self.size,
                timeout=NO_LIMIT,
            )
        except (RuntimeError, ValueError) as error:
            raise ConfigError(
                f"the processes do not find each other ({first_line(error)}): "
                "start them with torchrun, or with --gpus"
            ) from error
        self.leaving: Callable[[], bool] = lambda: False
        """Whether a signal asks this process to end."""
        self._decided = 0
        self._store = PrefixStore(f"tinygpt/{start}", store)
        signs = PrefixStore(f"tinygpt/{start}", store.clone())
        self.watch = Watch(signs, self.rank, self.size)
        self.watch.start()

    def agree(self, value: T) -> T:
        """The `value` of the first process, in all of them. JSON must be able to hold it.

        Raises:
            ProcessError: the first one is gone.
        """
        key = f"decided/{self._decided}"
        self._decided += 1
        if self.first:
            self._store.set(key, json.dumps(value))
            if self._decided > KEPT:
                self._store.delete_key(f"decided/{self._decided - KEPT}")
            return value
        self.watch.wait()
        pause = 0.0
        # Not `Store.wait`: it warns each time that it gives up waiting.
        while not self._store.check([key]):
            gone = self.watch.lost() if self.leaving() else None
            if gone and not self._store.check([key]):
                raise ProcessError(gone)
            pause = min(pause + 1e-4, LONGEST_PAUSE)
            time.sleep(pause)
        self.watch.wait(waiting=False)
        decided: T = json.loads(self._store.get(key))
        return decided

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Add up tensors of one type over all processes, in place, in one exchange."""
        if not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        with self._waiting():
            dist.all_reduce(flat)
        for tensor, part in zip(
            tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True
        ):
            tensor.copy_(part.view_as(tensor))

    def gather(self, part: Tensor) -> Tensor:
        """The parts (N, ...) of all processes one after the other, (size x N, ...)."""
        gathered = part.new_empty(self.size * len(part), *part.shape[1:])
        with self._waiting():  # as bytes: gloo knows few types
            _gather(gathered.view(torch.uint8), part.view(torch.uint8))
        return gathered

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Make tensors those of the first process, in place."""
        with self._waiting():
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def replicated(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are the mean over all processes, by the end of its backward
        pass. Its parameters become those of the first process."""
        replica = DistributedDataParallel(
            module, broadcast_buffers=False, gradient_as_bucket_view=True
        )
        replica.register_comm_hook(self.watch, _mean)
        return replica

    def unsynchronized(self, module: nn.Module) -> AbstractContextManager[Any]:
        """In the with-block, gradients of a replicated module stay this process's own."""
        assert isinstance(module, DistributedDataParallel)
        return module.no_sync()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """In the with-block is the first process, and then all others, which find what it left."""
        if not self.first:
            self.agree(None)
        yield
        if self.first:
            self.agree(None)

    def at(self, place: str) -> None:
        """Note what this process is about to do, so that another can tell where it hangs."""
        self.watch.at(place)

    def alive(self) -> None:
        """Note that this process takes long on purpose."""
        self.watch.alive()

    def name(self, rank: int) -> str:
        """A process, as errors name it."""
        return self.watch.name(rank)

    def explain(self, error: Exception, sentence: str) -> str:
        """What ended the training: `sentence`, which describes `error`, and in which process; or
        what is known of another one, if `error` says that it no longer answers."""
        if isinstance(error, ProcessError):
            return str(error)
        text = str(error)
        if isinstance(error, dist.DistError) or any(word in text for word in _OF_OTHERS):
            return self.watch.blame() or f"{self.name(self.rank)}: {sentence}"
        sentence = f"{self.name(self.rank)}: {sentence}"
        self.watch.failed(sentence)
        return sentence

    def lost(self) -> str | None:
        """A sentence on a process that is gone; None if all are there."""
        return self.watch.lost()

    def close(self) -> None:
        """Leave the others, once the first one is done."""
        self.agree(None)
        self.watch.close()
        dist.destroy_process_group()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self.watch.wait()
        yield
        self.watch.wait(waiting=False)


def _mean(watch: Watch, bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """Exchanges gradients while others are computed; after the last ones there is only waiting."""
    gradients = bucket.buffer().div_(dist.get_world_size())
    if bucket.is_last():
        watch.wait()
    work = dist.all_reduce(gradients, async_op=True).get_future()
    reduced: torch.futures.Future[Tensor] = work.then(lambda done: done.value()[0])
    return reduced


# DistributedDataParallel compares these, which are text here, with the types.
_mean.__annotations__.update({"bucket": GradBucket, "return": torch.futures.Future[Tensor]})
