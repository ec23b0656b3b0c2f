"""Captures the kernels that a function launches, to launch them again all at once.

One kernel of a small model takes a few microseconds; the host takes as long to launch it, and many
times as long for the Python code around it. A CUDA graph is launched as a whole. It replays the
same kernels on the same addresses: whatever changes has to be written to where they read it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def warm_up(run: Callable[[], Result], device: torch.device) -> Result:
    """Run once as in a capture, on a stream of its own; returns the result.

    Before a capture, libraries have to choose kernels and allocate memory, and what autograd
    creates must not belong to the default stream.
    """
    with torch.cuda.device(device):
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(current)
        with torch.cuda.stream(side):
            result = run()
        current.wait_stream(side)
    return result


def capture(run: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """What replays the kernels that `run` launches on `device`; capturing computes nothing.

    `run` must launch the same kernels every time, and have warmed up.

    Raises:
        RuntimeError: it did something that cannot be captured, such as waiting for the device.
    """
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                run()
        except RuntimeError as error:
            # To end a capture that failed raises too, on top of the error that says why.
            if isinstance(error.__context__, RuntimeError):
                raise error.__context__ from None
            raise
        finally:
            torch.cuda.set_stream(stream)  # torch leaves another one if capturing failed
    return graph.replay
