"""Functions that torch.compile speeds up where it works."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from tinygpt.device import is_out_of_memory
from tinygpt.errors import TinyGPTWarning
from tinygpt.training.failures import not_compiled


class CompiledOrEager:
    """A function, compiled; if compiling fails, as it is from then on, with one warning.

    Where an `earlier` one failed, it is not tried, and there is no second warning.
    """

    def __init__(
        self, function: Callable[..., Any], earlier: CompiledOrEager | None = None
    ) -> None:
        self._plain, self._earlier = function, earlier
        self._run: Callable[..., Any] | None = None

    @property
    def failed(self) -> bool:
        """Whether it could not be compiled."""
        return self._run is self._plain

    def __call__(self, *arguments: Any) -> Any:
        """What `function` returns for the same arguments."""
        if self._run:
            return self._run(*arguments)
        if self._earlier and self._earlier.failed:
            self._run = self._plain
            return self._run(*arguments)
        try:
            compiled = torch.compile(self._plain, dynamic=False)
            result = compiled(*arguments)
        except Exception as error:
            # A compiler may raise anything, and eager works; except where memory is short.
            if is_out_of_memory(error):
                raise
            warnings.warn(not_compiled(error), TinyGPTWarning, stacklevel=2)
            self._run = self._plain
            return self._run(*arguments)
        self._run = compiled
        return result
