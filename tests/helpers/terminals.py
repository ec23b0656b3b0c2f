"""Real terminals for tests: tmux servers, an sshd on the loopback, and the processes in a folder.

Everything here polls with a deadline, and ends what it started.
"""

import os
import pwd
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.helpers.accelerators import hidden
from tests.helpers.paths import python_path
from tests.helpers.waiting import PATIENCE, until

APP = (sys.executable, "-m", "tinygpt_tui", "--out", "runs")

# Variables that would change how the app draws in a plain 256-color terminal, or make tmux nest.
_NOT_PASSED = ("COLORTERM", "NO_COLOR", "FORCE_COLOR", "TMUX", "TMUX_PANE", "COLUMNS", "LINES")
_PLAIN = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
_ADMINISTRATORS = ("/usr/sbin", "/usr/local/sbin", "/sbin")
"""Where sshd is; not on the PATH of most users."""
NEEDED_IN_CI = ("tmux", "sshd", "ssh", "ssh-keygen")


def environment() -> dict[str, str]:
    """The environment of a process in a terminal: without COLORTERM, as over SSH."""
    kept = {name: text for name, text in os.environ.items() if name not in _NOT_PASSED}
    return {**kept, "PYTHONPATH": python_path(), **_PLAIN}


def find(tool: str) -> str:
    """The path of a program. If it is not installed, the test is skipped; where the variable CI is
    set it fails instead, if the program is one of `NEEDED_IN_CI`."""
    places = [os.environ.get("PATH", os.defpath), *_ADMINISTRATORS]
    path = shutil.which(tool, path=os.pathsep.join(places))
    if path is None:
        why = f"{tool} is not installed here"
        if os.environ.get("CI") and tool in NEEDED_IN_CI:
            pytest.fail(f"{why}, and the variable CI is set")
        pytest.skip(why)
    return path


def alive(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def processes_in(folder: Path) -> list[psutil.Process]:
    """The processes started in a folder; in a test's folder, only its own."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.cwd() == str(folder.resolve()):
                found.append(process)
    return found


def app_in(folder: Path) -> psutil.Process:
    """The one app that runs in a folder."""
    found = []
    for process in processes_in(folder):
        with suppress(psutil.Error):
            # Not tmux, whose arguments end with the command.
            words = process.cmdline()
            if words[1:3] == ["-m", "tinygpt_tui"] and "--train-only" not in words:
                found.append(process)
    (app,) = found
    return app


def end_all(folder: Path) -> None:
    """Kill everything that still runs in a folder."""
    processes = processes_in(folder)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(map(alive, processes)))


class Terminal:
    """A command in a window of its own tmux server."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        columns: int,
        lines: int,
        *,
        alternate_screen: bool = True,
    ) -> None:
        # Not in the test's folder: the path of a socket has at most about a hundred characters.
        self._place = tempfile.TemporaryDirectory(prefix="tmux-")
        self._tmux = [find("tmux"), "-u", "-f", os.devnull, "-S", f"{self._place.name}/socket"]
        self._status = Path(self._place.name, "status")
        settings = {"default-terminal": "xterm-256color", "remain-on-exit": "on", "status": "off"}
        if not alternate_screen:
            settings["alternate-screen"] = "off"
        words = ["start-server"]
        for name, value in settings.items():
            words += [";", "set-option", "-g", name, value]
        # tmux 3.3 only sometimes knows the exit status of a pane.
        noted = ["sh", "-c", '"$@"; echo $? >"$0"', str(self._status)]
        size = ["-x", str(columns), "-y", str(lines)]
        subprocess.run(
            [*self._tmux, *words, ";", "new-session", "-d", *size, "--", *noted, *command],
            cwd=folder,
            env=environment(),
            check=True,
            timeout=PATIENCE,
        )

    def screen(self) -> str:
        """The visible text."""
        return self._ask("capture-pane", "-p")

    def header(self) -> str:
        """Its first line."""
        return self.screen().partition("\n")[0]

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self._ask("send-keys", *keys)

    def send(self, data: bytes) -> None:
        """Send bytes as they are, which need not be text."""
        self._ask("send-keys", "-H", *(f"{byte:02x}" for byte in data))

    def type(self, text: str) -> None:
        """Type characters, and wait until they are visible."""
        self._ask("send-keys", "-l", "--", text)
        self.sees(text)

    def sees(self, *texts: str) -> None:
        """Wait until all the texts are visible at once."""
        self.until(lambda: (shown := self.screen()) and all(text in shown for text in texts))

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds; if it never does, the error has the screen."""
        until(condition, lambda: f"{self.screen()}\n{self._ask('list-panes')}")

    def resize(self, columns: int, lines: int) -> None:
        """Resize the window."""
        self._ask("resize-window", "-x", str(columns), "-y", str(lines))

    def captures_mouse(self) -> bool:
        """Whether the command gets the clicks, which else select text."""
        return self._ask("display-message", "-p", "#{mouse_any_flag}").strip() == "1"

    def ended(self) -> bool:
        """Whether the command has ended."""
        return self._status.is_file() and self._status.stat().st_size > 0

    def ends(self) -> int:
        """Wait until the command has ended; returns its exit status."""
        self.until(self.ended)
        return int(self._status.read_text())

    def kill(self) -> None:
        """Kill the server, and with it the terminal."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False, timeout=9)
        self._place.cleanup()

    def _ask(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=True, timeout=PATIENCE
        )
        return done.stdout


class Server:
    """An sshd on the loopback for this user, whose connections can be cut."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path, port: int) -> None:
        self._process, self._folder, self._port = process, folder, port

    def client(self, *command: str) -> list[str]:
        """An ssh command line that runs `command` in a terminal, next to the folder of the keys."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": os.devnull,
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
        }
        passed = {"PYTHONPATH": python_path(), **hidden()}
        words = ["env", *(f"{name}={text}" for name, text in passed.items()), *command]
        return [
            *(find("ssh"), "-tt", "-F", "none", "-i", str(self._folder / "user")),
            *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
            *("-p", str(self._port), f"{_user()}@127.0.0.1"),
            f"cd {shlex.quote(str(self._folder.parent))} && exec {shlex.join(words)}",
        ]

    def cut(self) -> None:
        """Kill every connection."""
        sessions = psutil.Process(self._process.pid).children(recursive=True)
        # A session may end with its parent before its turn comes.
        with suppress(psutil.NoSuchProcess):
            sessions = [s for s in sessions if s.name().startswith("sshd")]
        assert sessions
        for session in sessions:
            with suppress(psutil.NoSuchProcess):
                session.kill()

    def check(self) -> None:
        """Skip the test if this user cannot log in: a locked account, no shell."""
        done = subprocess.run(
            self.client("true"), capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        if done.returncode:
            log = (self._folder / "log").read_text().strip()
            pytest.skip(f"this user cannot log in through sshd: {done.stderr.strip()}; {log}")


@contextmanager
def ssh_server(folder: Path) -> Iterator[Server]:
    """An sshd with its own keys, in a new folder `folder`."""
    program, make_key = find("sshd"), find("ssh-keygen")
    folder.mkdir()
    for name in ("host", "user"):
        words = ["-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run([make_key, *words], check=True, timeout=PATIENCE)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PermitRootLogin": "yes",
        "PasswordAuthentication": "no",
    }
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    (folder / "config").write_text("".join(lines))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(folder / "config")], stdout=log, stderr=log
        )
    try:
        listens = "Server listening"
        until(lambda: listens in _log(folder) or process.poll() is not None, lambda: _log(folder))
        if process.poll() is not None:
            pytest.skip(f"sshd does not start here: {_log(folder).strip()}")
        server = Server(process, folder, port)
        server.check()
        yield server
    finally:
        _end_with_children(process)


def _end_with_children(process: "subprocess.Popen[bytes]") -> None:
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE)


def shown_on(descriptor: int) -> str:
    """What a pseudo-terminal shows until its last process is gone, or silent for too long."""
    parts = [b""]
    with suppress(OSError):  # how Linux tells that nobody has it open; elsewhere nothing is read
        while select.select([descriptor], [], [], PATIENCE)[0]:
            parts.append(os.read(descriptor, 1 << 16))
            if not parts[-1]:
                break
    return b"".join(parts).decode(errors="replace")


def _log(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        pytest.skip(f"the user id {os.getuid()} has no name here, and cannot log in")
