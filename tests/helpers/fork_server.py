"""A process that has imported all of the trainer, and forks it: one that starts within a tenth of a
second, so that hundreds can be killed in minutes. What runs is `trainer.main`, as from a shell.

One line of JSON in, one out. {"argv", "wait", "stop"}: fork; with `stop` the child stops itself
first, so that a tracer can attach, and its pid is the answer; else it is killed after `wait`
seconds (never, if null), and the answer is {"status", "took"}, as {"pid"} is answered too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.helpers.paths import python_path
from tests.helpers.waiting import PATIENCE


class ForkServer:
    """The test's side. With `large`, its trainers treat every model as a large one on a GPU."""

    def __init__(self, folder: Path, *, large: bool = False) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.fork_server", *(["large"] if large else [])],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.stdout.close()

    def train(self, *argv: str, wait: float | None = None) -> tuple[int, float]:
        """The exit status (-9: killed) of a trainer and the seconds it took."""
        answer = self._ask(argv=argv, wait=wait)
        return answer["status"], answer["took"]

    def stopped(self, *argv: str) -> int:
        """The pid of a trainer that waits for SIGCONT before it does anything."""
        return int(self._ask(argv=argv, stop=True)["pid"])

    def ended(self, pid: int) -> int:
        """Wait for a trainer that was `stopped`; its exit status."""
        return int(self._ask(pid=pid)["status"])

    def said(self) -> str:
        """What the last trainer wrote to stderr."""
        return (self.folder / "stderr").read_text()

    def _ask(self, **request: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main() -> None:
    """The fork_server's side."""
    import torch

    import tinygpt.command.display
    import tinygpt.command.table
    import tinygpt.command.train  # noqa: F401 - as each child would
    import trainer
    from tinygpt.training import disk_plan, disk_wait, saving

    torch.set_num_threads(1)
    if sys.argv[1:] == ["large"]:
        disk_plan.LARGE_MODEL = 1
        saving.saves_beside_steps = lambda learner: bool(learner.variant)
    disk_wait.DISK_FULL_POLL = 0.01

    def fork(request: dict[str, Any]) -> int:
        if pid := os.fork():
            return pid
        if request.get("stop"):
            os.kill(os.getpid(), signal.SIGSTOP)
        for stream, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        status = 120
        try:
            sys.argv = ["trainer.py", *request["argv"]]
            status = trainer.main(request["argv"])
        except SystemExit as end:
            status = int(str(end.code))
        finally:
            sys.stderr.flush()
            os._exit(status)

    for line in sys.stdin:
        request = json.loads(line)
        began = time.monotonic()
        pid = request.get("pid") or fork(request)
        if request.get("stop"):
            os.waitpid(pid, os.WUNTRACED)
            answer: dict[str, Any] = {"pid": pid}
        else:
            status = reap(pid, request.get("wait"))
            answer = {"status": status, "took": time.monotonic() - began}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def reap(pid: int, wait: float | None) -> int:
    """The exit status of a child that is killed after `wait` seconds."""
    if wait is not None:
        descriptor = os.pidfd_open(pid)
        import select

        select.select([descriptor], [], [], wait)
        os.close(descriptor)
        os.kill(pid, signal.SIGKILL)  # a zombie, if it has ended by itself
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main()
