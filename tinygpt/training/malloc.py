"""How the C library keeps memory between two steps of a training."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Of glibc's malloc.h."""
MIB = 2**20


def keep_freed_memory() -> None:
    """Have this process keep what it frees, for the next step asks for as much again.

    By default glibc gives large blocks back to the system, and each page of the next one is a fault
    and a page of zeros: a fifth of a step of `nano` and of `baby`. Without glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    mallopt(TRIM_THRESHOLD, -1)  # never
    mallopt(TOP_PAD, 64 * MIB)
    mallopt(MMAP_MAX, 0)  # whatever its size, a block comes from the heap, and goes back to it
