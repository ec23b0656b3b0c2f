"""A process with torch and the core imported, whose forks become the processes that tests start.

`tests.helpers.forked` starts it, and sends one request for each of them. It has no thread and has
computed nothing, so that a fork of it is as good as a new process. A fork that starts processes
itself, as the command of a group does, gets such a process of its own.
"""

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

IMPORTED = ("tinygpt.training", "tinygpt.command.train", "tinygpt_tui.engine.worker")
ENCODING = "PYTHONIOENCODING"
NAME = "preloaded"
"""Of a process that only forks, as others see it."""
CLOSED = "TINYGPT_TESTS_CLOSED"
"""The variable with the numbers of the streams that are closed from the start."""
_PR_SET_NAME = 15
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LARGEST = 1 << 20
"""Bytes of a request."""


def main() -> None:
    """Answer requests until whoever sends them has ended; in a fork, become what was requested."""
    path = list(sys.path)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # or a fork copies all of it when it collects garbage
    assert len(os.listdir("/proc/self/task")) == 1
    requests = socket.socket(fileno=int(sys.argv[1]))
    requests.sendall(b"ready")
    request, own = _serve(requests), None
    while request["starts_others"]:
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork():
            theirs.close()
            break
        own.close()
        _stay_behind()
        request, own = _serve(theirs), None
    _take_over(request, path)
    if own is not None:
        importlib.import_module("tests.helpers.forked").install(own)
    with _quick_end():
        if request["code"]:
            exec(request["code"], {"__name__": "__main__"})  # noqa: S102 - a program of the tests
        elif request["module"]:
            sys.modules.pop(request["module"], None)
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(request["arguments"][0], run_name="__main__")


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Answer each with the pid of a fork, until there are no more; a fork returns its request."""
    while True:
        message, streams, _, _ = socket.recv_fds(requests, _LARGEST, 3)
        if not message:
            os._exit(0)
        request = json.loads(message)
        pid = _fork(requests, streams, request)
        if pid == 0:
            return dict(request)
        requests.sendall(str(pid).encode())


def _call_itself(name: str) -> None:
    """Set the name of this process, at most 15 letters."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def _stay_behind() -> None:
    """Keep no stream of the program that this process serves, and none of its signals."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _call_itself(NAME)


def _fork(server: socket.socket, streams: list[int], request: dict[str, Any]) -> int:
    """The pid of a fork whose parent has ended, so that the test's process becomes its parent; 0 in
    that fork, which has these streams and no other file, the session, the folder and the niceness
    that were requested."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        if os.fork():
            os._exit(0)
        if request["new_session"]:
            os.setsid()
        os.chdir(request["folder"])
        os.nice(request["niceness"])
        os.write(writing, str(os.getpid()).encode())
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
    os.environ.clear()
    os.environ.update(request["environment"])
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    _call_itself("python")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["outlives_terminal"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.argv[:] = request["arguments"]
    sys.orig_argv[:] = request["command"]
    first = os.environ.get("PYTHONPATH", "")
    sys.path[:] = [*request["first_path"], *filter(None, first.split(os.pathsep)), *path]
    encoding, _, errors = os.environ.get(ENCODING, "").partition(":")
    opened = (
        _stream(0, "r", encoding or sys.stdin.encoding, errors or "strict"),
        _stream(1, "w", encoding or sys.stdout.encoding, errors or "strict"),
        _stream(2, "w", encoding or sys.stderr.encoding, "backslashreplace"),
    )
    closed = [int(number) for number in os.environ.pop(CLOSED, "").split()]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if number in closed:
            os.close(number)
        for attribute in (name, f"__{name}__"):
            setattr(sys, attribute, None if number in closed else opened[number])


@contextmanager
def _quick_end() -> Iterator[None]:
    """The process ends as ever, but without freeing each object, as that copies all memory that it
    shares: after the exit handlers that the program in the with-block has registered."""
    status: int | None = None

    def end() -> None:
        if status is None:
            return
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                try:
                    stream.flush()
                except (OSError, ValueError):
                    return  # the interpreter says so
        os._exit(status)

    atexit.register(end)
    try:
        yield
        status = 0
    except SystemExit as asked:
        status = asked.code if isinstance(asked.code, int) else int(asked.code is not None)
        raise


def _stream(number: int, mode: str, encoding: str, errors: str) -> io.TextIOWrapper:
    raw = open(number, f"{mode}b", closefd=False)  # noqa: SIM115 - as long as the process
    buffered = number == 2 or (mode == "w" and os.isatty(number))
    return io.TextIOWrapper(raw, encoding, errors, line_buffering=buffered)


if __name__ == "__main__":
    main()
