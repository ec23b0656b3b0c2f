"""glibc keeps memory that a training step has freed."""

import platform
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.waiting import PATIENCE

MIB = 2**20
BLOCK = 97 * MIB
"""glibc maps blocks of more than 32 MiB separately."""

PROGRAM = f"""
import resource, runpy, sys

keep_freed_memory = runpy.run_path("tinygpt/training/malloc.py")["keep_freed_memory"]
if "keep" in sys.argv:
    keep_freed_memory()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = b"\\x01" * {BLOCK}
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str) -> int:
    """Page faults of the third of three blocks, each freed before the next."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_large_blocks_are_kept_for_the_next_step() -> None:
    freed = faults()
    if not freed:
        pytest.skip("this kernel does not count page faults")
    assert freed >= BLOCK // (2 * MIB)  # of pages of at most 2 MiB
    assert faults("keep") < min(100, freed)
