"""Captures the kernels that a function launches, to launch them again all at once.

One kernel of a small model takes a few microseconds; the host takes as long to launch it, and many
times as long for the Python code around it. A CUDA graph is launched as a whole. It replays the
same kernels on the same addresses: whatever changes has to be written to where they read it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def capture(run: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """What replays the kernels that `run` launches on `device`; capturing computes nothing.

    `run` must launch the same kernels every time, and have run before: libraries choose kernels
    and allocate memory on their first call.

    Raises:
        RuntimeError: it did something that cannot be captured, such as waiting for the device.
    """
    with torch.cuda.device(device):
        stream = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                run()
        finally:
            torch.cuda.set_stream(stream)  # torch leaves another one if capturing failed
    return graph.replay
