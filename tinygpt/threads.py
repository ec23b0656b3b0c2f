"""How many threads compute, and how they wait for each other.

At the end of every parallel loop each thread waits for the slowest, spinning at first, because to
sleep and to be woken takes microseconds and a training step has thousands of such loops. libgomp
spins for milliseconds by default. If another process has the core of the slowest thread, the others
then burn their own cores in vain, and a step takes many times as long. With a bounded spin they
give the core up after some microseconds. `benchmarks/busy.py` measures it.

That is set before torch is imported, because the library reads it when it is loaded; so this module
imports nothing heavy.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, MutableMapping

from tinygpt.cgroup import cpu_limit

SPIN_LIMITS = {
    "GOMP_SPINCOUNT": "5000",  # libgomp, which torch's wheels for Linux use: iterations
    "KMP_BLOCKTIME": "1",  # the runtimes of LLVM (torch on macOS) and Intel: milliseconds
}
"""Environment variables of the OpenMP libraries, and the values that are set."""


def limit_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set `SPIN_LIMITS` in `environment`, unless the user has chosen how threads wait.

    Has no effect on an OpenMP library that is loaded already; child processes inherit it.
    """
    if not environment.keys() & {"OMP_WAIT_POLICY", *SPIN_LIMITS}:
        environment.update(SPIN_LIMITS)


def thread_limit(threads: int, environment: Mapping[str, str] = os.environ) -> int:
    """The number of threads to compute with instead of `threads`; 0 to leave it.

    A container may have less processor time than the cores that it sees. Threads beyond it only
    use up their group's share of each period, in which all of them then stand still.
    """
    limit = cpu_limit()
    if limit is None or "OMP_NUM_THREADS" in environment:
        return 0
    allowed = max(1, math.ceil(limit))
    return allowed if allowed < threads else 0


def usable_cpus() -> int:
    """The number of CPUs that this process may use, by its affinity and its container's quota."""
    cpus = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return thread_limit(cpus) or cpus
