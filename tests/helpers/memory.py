"""How much memory a computation takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class LargestTensor(TorchDispatchMode):
    """Notes the size of the largest result of any torch operation within it that is no view; with
    `last`, of those of which the last axis has this length."""

    def __init__(self, last: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers, self._last = 0, last

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        given = {_storage(x) for x in args if isinstance(x, torch.Tensor)}
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if not isinstance(tensor, torch.Tensor) or _storage(tensor) in given:
                continue
            if self._last in (None, *tensor.shape[-1:]):
                self.numbers = max(self.numbers, tensor.numel())
        return result


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@contextmanager
def largest_tensor(last: int | None = None) -> Iterator[LargestTensor]:
    """The `numbers` of the largest tensor that is created inside the block; with `last`, of those
    of which the last axis has this length."""
    with LargestTensor(last) as mode:
        yield mode
