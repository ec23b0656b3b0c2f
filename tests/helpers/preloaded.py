"""A process with torch and the core imported, whose forks become the processes that tests start.

`tests.helpers.forked` starts it, and sends one request for each of them. It has no thread and has
computed nothing, so that a fork of it is as good as a new process.
"""

import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
from typing import Any

IMPORTED = ("tinygpt.training", "tinygpt.command.train", "tinygpt_tui.engine.worker")
ENCODING = "PYTHONIOENCODING"
_LARGEST = 1 << 20
"""Bytes of a request."""


def main() -> None:
    """Answer requests until the tests have ended; in a fork, become what was requested."""
    path = list(sys.path)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # or a fork copies all of it when it collects garbage
    assert len(os.listdir("/proc/self/task")) == 1
    server = socket.socket(fileno=int(sys.argv[1]))
    server.sendall(b"ready")
    while True:
        message, streams, _, _ = socket.recv_fds(server, _LARGEST, 3)
        if not message:
            return
        request = json.loads(message)
        pid = _fork(server, streams)
        if pid == 0:
            break
        server.sendall(str(pid).encode())
    _take_over(request, path)
    if request["module"]:
        sys.modules.pop(request["module"], None)
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(request["arguments"][0], run_name="__main__")


def _fork(server: socket.socket, streams: list[int]) -> int:
    """The pid of a fork whose parent has ended, so that the test's process becomes its parent; 0 in
    that fork, which has these streams and no other file."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid:
            os.write(writing, str(pid).encode())
            os._exit(0)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        server.detach()
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        return 0
    os.close(writing)
    os.waitpid(between, 0)
    pid = int(os.read(reading, 32))
    for number in (reading, *streams):
        os.close(number)
    return pid


def _take_over(request: dict[str, Any], path: list[str]) -> None:
    """Set what a newly started program has of its own."""
    if request["new_session"]:
        os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["outlives_terminal"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if request["niceness"]:
        os.nice(request["niceness"])
    sys.argv[:] = request["arguments"]
    sys.orig_argv[:] = request["command"]
    first = os.environ.get("PYTHONPATH", "")
    sys.path[:] = [*request["first_path"], *filter(None, first.split(os.pathsep)), *path]
    encoding, _, errors = os.environ.get(ENCODING, "").partition(":")
    sys.stdin = _stream(0, "r", encoding or sys.stdin.encoding, errors or "strict")
    sys.stdout = _stream(1, "w", encoding or sys.stdout.encoding, errors or "strict")
    sys.stderr = _stream(2, "w", encoding or sys.stderr.encoding, "backslashreplace")
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))


def _stream(number: int, mode: str, encoding: str, errors: str) -> io.TextIOWrapper:
    raw = open(number, f"{mode}b", closefd=False)  # noqa: SIM115 - as long as the process
    buffered = number == 2 or (mode == "w" and os.isatty(number))
    return io.TextIOWrapper(raw, encoding, errors, line_buffering=buffered)


if __name__ == "__main__":
    main()
