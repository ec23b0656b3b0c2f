"""Starts the processes of tests by forking one that has imported torch already, as that takes each
two to three seconds.

They are real: with a pid, an environment, streams, signals and memory of their own, and children of
the test's process. What is started as a user does it, by a shell, in a terminal, or under `make
torture`, is executed as ever; so is all where this does not work, as on macOS.
"""

import atexit
import ctypes
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from tests.helpers.paths import ROOT, python_path
from tests.helpers.preloaded import CLOSED, ENCODING

_MODULES = ("tinygpt_tui", "tinygpt_tui.engine.worker", "trainer")
_SCRIPT = str(ROOT / "trainer.py")
_STARTS_OTHERS = frozenset(("--seeds", "--grid", "--jobs", "--resume", "--gpus"))
_READ_AT_START = ("PYTHON", "LC_", "LANG", "OMP_", "MKL_", "OPENBLAS_", "CUDA_", "LD_", "MALLOC_")
"""How the names of variables begin that the interpreter and its libraries read when they start."""
_APPLIED = ("PYTHONPATH", ENCODING)
"""Those that a fork applies itself."""
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
_PARAMETERS = (
    *("args", "executable", "preexec_fn", "close_fds", "pass_fds", "cwd", "env", "startupinfo"),
    *("creationflags", "shell", *_PIPES, "restore_signals", "gid", "gids", "uid", "umask"),
    *("start_new_session", "process_group"),
)
"""Of `subprocess.Popen._execute_child`."""
_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("executable", "preexec_fn", "gid", "gids", "uid")),
    **dict.fromkeys(("umask", "process_group"), -1),
    "close_fds": True,
    "pass_fds": (),
    "shell": False,
}
_PR_SET_CHILD_SUBREAPER = 36

FORKS = ("-X", "forks")
"""Before the ``-c`` of a program that imports torch anyway; Python ignores it."""

_requests: list[socket.socket] = []
"""In a fork, where to send them."""

Executed = subprocess.Popen
"""For a test that has to be faster than the program that it starts."""
_lock = threading.Lock()


class _Program(NamedTuple):
    """What Python is to run, as a request to `tests.helpers.preloaded`."""

    module: str
    """Empty if it is a script or `code`."""
    code: str
    arguments: list[str]
    first_path: list[str]
    """What Python puts in front of sys.path."""
    outlives_terminal: bool
    """Whether nohup starts it."""
    niceness: int
    starts_others: bool
    """Whether it may be the command of a group or of several processes, which starts trainers."""


class _Server:
    """The process that forks, which reads requests from the other end of this socket."""

    def __init__(self, requests: socket.socket, environment: Mapping[str, str]) -> None:
        self._socket, self.environment = requests, environment

    def fork(self, request: Mapping[str, Any], streams: Sequence[int]) -> int:
        """The pid of a new child of this process."""
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the fork's own parent ends at once
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
            return int(self._socket.recv(32))
        finally:
            prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class _Forked(subprocess.Popen):  # type: ignore[type-arg]
    """`subprocess.Popen`, which forks the server where that has the same effect."""

    def _execute_child(self, *given: Any) -> None:
        """Overrides what starts the process."""
        options = dict(zip(_PARAMETERS, given, strict=True))
        variables = os.environ if options["env"] is None else options["env"]
        program = _program(options["args"])
        with _lock:  # several threads start processes
            forks = program is not None and _forks(options, variables)
        if program is None or not forks:
            assert CLOSED not in variables, "only a fork closes streams"
            super()._execute_child(*given)  # type: ignore[misc]
            return
        request = {
            **program._asdict(),
            "command": [str(word) for word in options["args"]],
            "environment": dict(variables),
            "folder": os.path.abspath(options["cwd"] or "."),
            "new_session": options["start_new_session"],
        }
        pipes = [options[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if pipe == -1 else pipe for number, pipe in enumerate(pipes)]
        with _lock:
            self.pid = _server().fork(request, streams)
        self._child_created = True
        self._close_pipe_fds(*(options[name] for name in _PIPES))  # type: ignore[attr-defined]


def _forks(options: Mapping[str, Any], variables: Mapping[str, str]) -> bool:
    """Whether nothing is asked of the new process that a fork cannot have."""
    if any(options[name] != value for name, value in _DEFAULTS.items()):
        return False
    if not os.path.isdir(options["cwd"] or "."):
        return False
    path = variables.get("PYTHONPATH", "").split(os.pathsep)
    if str(ROOT) not in path or any(os.path.exists(f"{each}/torch.py") for each in path):
        return False
    mine = _server().environment
    return all(
        mine.get(name) == variables.get(name)
        for name in mine.keys() | variables.keys()
        if name.startswith(_READ_AT_START) and name not in _APPLIED
    )


def _program(command: Any) -> _Program | None:
    """What Python is to run, if `command` is one that imports torch; else None."""
    words = [str(word) for word in command] if isinstance(command, list | tuple) else []
    nohup = words[:1] == ["nohup"]
    words = words[nohup:]
    nice = words[:2] == ["nice", "-n"]
    niceness = int(words[2]) if nice else 0
    words = words[3 * nice :]
    if words[:1] != [sys.executable]:
        return None
    here = words[1:2] != ["-P"]
    words = words[1 if here else 2 :]
    how = (nohup, niceness, not _STARTS_OTHERS.isdisjoint(words))
    if words[:1] == ["-m"] and words[1] in _MODULES:
        return _Program(words[1], "", words[1:], [""] if here else [], *how)
    if words[:3] == [*FORKS, "-c"]:
        return _Program("", words[3], words[2:3] + words[4:], [""] if here else [], *how)
    if words[:1] == [_SCRIPT]:
        return _Program("", "", words, [str(ROOT)], *how)
    return None


@cache
def _server() -> _Server:
    if _requests:
        return _Server(_requests[0], dict(os.environ))
    own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {**os.environ, "PYTHONPATH": python_path()}
    with theirs:
        process = Executed(
            [sys.executable, "-P", "-m", "tests.helpers.preloaded", str(theirs.fileno())],
            cwd=ROOT,
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
    atexit.register(process.wait)
    atexit.register(own.close)
    if own.recv(16) != b"ready":
        raise RuntimeError("tests.helpers.preloaded has ended")
    return _Server(own, environment)


def installed() -> bool:
    """Whether processes of this one are forks, where they can be."""
    return subprocess.Popen is _Forked


def takes(command: Sequence[str]) -> bool:
    """Whether this command is a fork here."""
    return installed() and _program(list(command)) is not None


def install(requests: socket.socket | None = None) -> None:
    """Fork from now on, if this machine can; a fork names the socket that takes its `requests`."""
    if requests is not None:
        _requests.append(requests)
    known = tuple(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]  # type: ignore[attr-defined]
    if sys.platform == "linux" and known == _PARAMETERS and os.environ["OMP_NUM_THREADS"] == "1":
        subprocess.Popen = _Forked  # type: ignore[misc]
