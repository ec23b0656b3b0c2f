"""Several processes: three of them, two launchers; some hang, die or are started again."""

import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.helpers.models import TEXT
from tests.helpers.several import (
    SHAPE,
    children_of,
    ended,
    losses,
    send,
    train_to,
    training_in,
)
from tests.helpers.terminals import Terminal, end_all
from tests.helpers.trainer import has_taken, piped, run_training
from tests.helpers.waiting import PATIENCE, until
from tinygpt.run import MetricsReader, ResumeRecord, request
from tinygpt.run.status import Status, read_status

ROUNDING = 1e-5
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
HUNG = ("--train.hang-after", "0.1")
"""Minutes."""


@pytest.fixture(autouse=True)
def _corpus(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(TEXT)


def status_of(run: Path) -> Status:
    status = read_status(run)
    assert status is not None
    return status


@pytest.mark.parametrize("changes", [(), ("--optim.optimizer", "adamw"), ("--moe.top-k", "2")])
def test_one_two_and_three_processes_learn_the_same(
    tmp_path: Path, changes: tuple[str, ...]
) -> None:
    """Also where each goes on from another number of them."""
    wanted = losses(train_to(31, 1, tmp_path, "of-1", *changes))
    for name, first, second in (("a", 3, 2), ("b", 2, 3)):
        train_to(13, first, tmp_path, name, *changes)
        found = losses(train_to(31, second, tmp_path, name, "--resume"))
        both = {key for key in wanted.keys() & found.keys() if key[2] <= 31}
        assert len(both) >= 2 * (31 + 2)
        assert max(abs(found[key] - wanted[key]) for key in both) < ROUNDING


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_hangs_is_named(tmp_path: Path, rank: int) -> None:
    with training_in(2, tmp_path, *HUNG) as process:
        send(process, rank, signal.SIGSTOP)
        status, last, printed = ended(process, tmp_path)
    assert status == 1
    assert last.state == "failed"
    assert last.error.startswith(f"no progress for 6 s: rank {rank} on ")
    assert last.error in printed


def test_the_first_process_that_is_killed_is_named_by_another(tmp_path: Path) -> None:
    with training_in(2, tmp_path) as process:
        send(process, 0, signal.SIGKILL)
        status, last, _ = ended(process, tmp_path)
    assert status == 1
    assert last.state == "failed"
    assert last.error.startswith("rank 0 on ")


def test_a_pause_is_no_hang(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "run"
    with training_in(2, tmp_path, "--train.hang-after", "0.2") as process:
        request(run, "pause")
        until(lambda: status_of(run).state == "paused", process=process)
        paused = status_of(run).heartbeat
        until(lambda: status_of(run).heartbeat > paused + 17, process=process)
        assert process.poll() is None
        step = status_of(run).step
        request(run, "resume")
        until(lambda: has_taken(run, step + 10), process=process)
        request(run, "stop")
        assert ended(process, tmp_path)[:1] == (0,)


def test_a_signal_to_the_launcher_ends_all_with_a_checkpoint(tmp_path: Path) -> None:
    """As a scheduler sends it before it takes the machine away; and the same line goes on."""
    again = ("--resume", "auto")
    for step in (10, 20):
        with training_in(2, tmp_path, *again, step=step) as process:
            process.send_signal(signal.SIGTERM)
            status, last, printed = ended(process, tmp_path)
        assert status == 128 + signal.SIGTERM
        assert (last.state, last.error) == ("stopped", None)
        assert "checkpoints are saved" in printed
    resumed = [r for r in MetricsReader(tmp_path / "runs" / "run").read() if r.kind == "resume"]
    assert len(resumed) == 1
    assert isinstance(resumed[0], ResumeRecord)
    assert min(resumed[0].models.values()) >= 10


def test_torchrun_starts_a_training_again(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "run"
    torchrun = (*TORCHRUN, "--standalone", "--nproc-per-node", "2", "--max-restarts", "1")
    with training_in(2, tmp_path, launcher=(*torchrun, "-m", "trainer")) as process:
        send(process, 1, signal.SIGKILL)
        until(lambda: "resume" in {r.kind for r in MetricsReader(run).read()}, process=process)
        until(lambda: status_of(run).step > 20, process=process)
        request(run, "stop")
        assert ended(process, tmp_path)[0] == 0


def test_two_launchers_train_together(tmp_path: Path) -> None:
    """As on two machines: each starts its processes, and they find each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d"]
    meeting += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "both"]
    command = [*TORCHRUN, *meeting, "-m", "trainer", *SHAPE, "--name", "run", "--steps", "43"]
    with ExitStack() as stack:
        machines = [stack.enter_context(piped(tmp_path, command)) for _ in range(2)]
        for process in machines:
            _, printed = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, printed
            assert not children_of(process)
    done = run_training(tmp_path, *SHAPE, "--name", "alone", "--steps", "43", script="trainer")
    assert done.returncode == 0
    wanted, found = (losses(tmp_path / "runs" / name) for name in ("alone", "run"))
    assert wanted.keys() == found.keys()
    assert max(abs(found[key] - wanted[key]) for key in wanted) < ROUNDING


def test_the_app_trains_in_several_processes_and_resumes_in_as_many(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "run"

    def app(*arguments: str) -> Terminal:
        command = (sys.executable, "-m", "tinygpt_tui", *arguments)
        terminal = Terminal(command, tmp_path, 120, 36)
        stack.callback(terminal.kill)
        return terminal

    with ExitStack() as stack:
        stack.callback(end_all, tmp_path)
        terminal = app(*SHAPE, "--name", "run", "--steps", "1000000")
        terminal.sees("New run", "--name: the run's folder")
        terminal.press("C-f")
        terminal.type("gpus together")
        terminal.press("Enter")
        terminal.sees("▸   GPUs")
        terminal.type("2")
        terminal.press("Enter")
        terminal.sees(" 2 processes · train (ema 50)")
        terminal.press("s")
        terminal.sees("Stop training after writing a checkpoint?")
        terminal.press("s")
        terminal.sees("stopped at step", "u resumes it")
        assert status_of(run).state == "stopped"
        terminal.kill()
        terminal = app("run", "--out", "runs")
        terminal.sees("u resumes it")
        terminal.press("u")
        until(lambda: "resume" in {r.kind for r in MetricsReader(run).read()})
        terminal.sees(" 2 processes · train (ema 50)")
        request(run, "stop")
        terminal.sees("u resumes it")
    (resumed,) = [r for r in MetricsReader(run).read() if isinstance(r, ResumeRecord)]
    assert resumed.processes == 2
