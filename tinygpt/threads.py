"""How the threads of a computation wait for each other: set before torch loads its OpenMP library.

At the end of every parallel loop each thread waits for the slowest, spinning at first, because to
sleep and to be woken takes microseconds and a training step has thousands of such loops. libgomp
spins for milliseconds by default. If another process has the core of the slowest thread, the others
then burn their own cores in vain: two busy neighbours on two cores made a step 48 times slower.
With a bounded spin they give the core up after some microseconds. `benchmarks/busy.py` measures it.

This module imports nothing heavy, because it has to run before torch is imported.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPIN_LIMITS = {
    "GOMP_SPINCOUNT": "2000",  # libgomp, which torch's wheels for Linux use: iterations
    "KMP_BLOCKTIME": "1",  # the runtimes of LLVM (torch on macOS) and Intel: milliseconds
}
"""Environment variables of the OpenMP libraries, and the values that are set."""


def limit_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set `SPIN_LIMITS` in `environment`, unless the user has chosen how threads wait.

    Has no effect on an OpenMP library that is loaded already; child processes inherit it.
    """
    if not environment.keys() & {"OMP_WAIT_POLICY", *SPIN_LIMITS}:
        environment.update(SPIN_LIMITS)
