"""What holds for all tests: which accelerators, signals, time and folders of the user they have; a
tiny corpus."""

import gc
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import hypothesis
import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest
import torch

from tests.helpers import accelerators, forked
from tests.helpers.models import TEXT
from tinygpt.cgroup import cpu_limit

MOST_WORKERS = 16
"""Of pytest-xdist: each imports torch, and starts processes that do."""
TEST_LIMIT = 600
"""Seconds after which a test fails, whatever it waits for."""
TORTURE_LIMIT = 7200
"""The same for those of tests/torture."""

_STATES = pytest.StashKey[Iterator[str]]()
"""Folders for what the app remembers: each test starts with nothing remembered."""

# Or each of hundreds of processes compiles all of the package.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

torch.set_num_threads(1)  # a second one costs such small models more than it gives

# What a shell starts in the background ignores Ctrl-C, and below nohup a hang-up, and so would what
# the tests start. A signal with a handler is back at its default there; here, hang-ups still pass.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine is not a bug
hypothesis.settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Bound the threads of what the tests start, and hide the accelerators, unless ``-m gpu`` asks
    for the tests of them, as `make test-gpu` does."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # else one per core in each process
    folders = tempfile.TemporaryDirectory(prefix="tinygpt-tests-")
    config.add_cleanup(folders.cleanup)
    os.environ["TINYGPT_CACHE"] = f"{folders.name}/cache"
    states: Iterator[str] = (f"{folders.name}/state{n}" for n in itertools.count())
    config.stash[_STATES] = states
    if config.option.markexpr != "gpu":
        accelerators.hide()
    if config.option.markexpr != "torture":
        os.fsync = lambda fd: None  # in this process: nothing here is lost in a power cut
    if config.option.markexpr not in ("gpu", "torture") and "coverage" not in sys.modules:
        forked.install()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """The workers of ``-n auto``: one more than the cores that this process may use, as tests also
    wait, and not too many."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = psutil.cpu_count(logical=False) or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return min(1 + int(min(cores, usable, cpu_limit() or cores)), MOST_WORKERS)


def pytest_collection_finish() -> None:
    """Search what tests leave for cycles, and not again and again all modules and tests."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    states = item.config.stash[_STATES]
    os.environ["XDG_STATE_HOME"] = next(states)
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("there is no GPU that CUDA can use, or it is hidden: make test-gpu")
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with _limited(item):
        return (yield)


@contextmanager
def _limited(item: pytest.Item) -> Iterator[None]:
    """Fail after the limit, and again every ten seconds, as cleaning up may wait too."""

    limit = TORTURE_LIMIT if item.get_closest_marker("torture") else TEST_LIMIT

    def give_up(_: int, __: FrameType | None) -> None:
        pytest.fail(f"took longer than {limit} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit, 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    """A text file of 1,197 characters."""
    path = tmp_path / "corpus.txt"
    path.write_text(TEXT)
    return path
