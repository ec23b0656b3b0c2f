"""A fault at every single system call that changes a run directory."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.fork_server import ForkServer
from tests.helpers.kills import AGAIN, BEGIN, check, finished, take_up
from tests.helpers.strace import CHANGING, Call, trace
from tinygpt.run import read_state

SHORT = [*BEGIN, "--steps", "5", "--train.checkpoint-every", "2", "--train.snapshots", "2"]
SHORT += ["--out", "runs"]
FOLDER = "runs/run"
SHARDS = 8


@pytest.fixture
def aims(fork_server: ForkServer, tmp_path: Path) -> list[Call]:
    """All calls of an undisturbed run that change its directory; keeps that run as reference."""
    status, found = trace(fork_server, SHORT, "-e", "trace=" + ",".join(CHANGING))
    assert status == 0, fork_server.said()
    (tmp_path / "runs").rename(tmp_path / "reference")
    return [call for call in found if call.changes(FOLDER)]


def go_on(fork_server: ForkServer, run: Path) -> None:
    """Resume the run until it is done."""
    while not run.is_dir() or read_state(run).state != "done":
        words = take_up(run)
        words = [*AGAIN, "--out", "runs"] if words is AGAIN else SHORT
        status, _ = fork_server.train(*words)
        assert status == 0, fork_server.said()


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC", "error=EIO"])
def test_at_every_call(
    fork_server: ForkServer,
    tmp_path: Path,
    aims: list[Call],
    *,
    fault: str,
    shard: int,
    record_property: Callable[[str, object], None],
) -> None:
    run, reference = tmp_path / "runs" / "run", tmp_path / "reference" / "run"
    hit = tried = 0
    for call in aims[shard::SHARDS]:
        if fault == "error=ENOSPC" and call.name in ("rename", "unlink", "unlinkat", "rmdir"):
            continue  # these free as much as they take
        tried += 1
        where = f"{call.name} number {call.nth}: {call.text}"
        inject = f"inject={call.name}:{fault}:when={call.nth}"
        status, _ = trace(fork_server, SHORT, "-e", f"trace={call.name}", "-e", inject)
        hit += status != 0 or fault == "error=ENOSPC"
        said = fork_server.said()
        assert "Traceback" not in said, (where, said)
        if fault == "signal=KILL":
            assert status in (-9, 0), (where, said)
        elif fault == "error=ENOSPC" and run.exists() and "step" in said:
            assert status == 0, (where, said)
        check(run, also=("failed",))
        go_on(fork_server, run)
        finished(run, reference)
        shutil.rmtree(run.parent)
    assert hit
    record_property(f"count system calls with {fault}", tried)


def test_recorded_checkpoints_are_on_disk(
    fork_server: ForkServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """When a checkpoint is recorded, a power cut must not lose it: its bytes, its directory entries
    and those of the folders above have been fsynced; the record is fsynced right after."""
    status, found = trace(fork_server, SHORT, "-e", "trace=" + ",".join(CHANGING))
    assert status == 0
    disk = Disk(tmp_path)
    reported = 0
    waiting = False
    for call in found:
        if waiting and call.name == "fsync":
            assert call.text.split("<")[1].startswith(str(tmp_path / FOLDER / "metrics.jsonl"))
            waiting = False
        if path := disk.follow(call):
            reported += 1
            waiting = True
            lacking = disk.lacking(str(tmp_path / FOLDER / path))
            assert not lacking, f"{path} was reported, and these were not fsynced: {lacking}"
    assert reported >= 6
    assert not waiting
    record_property("count checkpoints that were fsynced entirely before the record", reported)


class Disk:
    """What a power cut may lose under POSIX: bytes written and names created since the last fsync
    of the file, or of the folder with the name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._bytes: set[str] = set()
        self._names: set[str] = set()
        self._known: set[str] = set()

    def follow(self, call: Call) -> str | None:
        """Apply one call; returns the path of the checkpoint if the call records one."""
        opened = re.match(r"\d+<(.*?)>", call.text)
        named = [str(self._root / n) for n in re.findall(r'"((?:[^"\\]|\\.)*)"', call.text)]
        match call.name:
            case "write" if opened:
                self._bytes.add(opened[1])
                report = '{\\"kind\\":\\"checkpoint\\"' in call.text
                if opened[1].endswith("metrics.jsonl") and report:
                    path = re.search(r'\\"path\\":\\"([^\\]+)', call.text)
                    assert path
                    return path[1]
            case "fsync" if opened:
                self._bytes.discard(opened[1])
                self._names = {n for n in self._names if str(Path(n).parent) != opened[1]}
            case "mkdir" if call.text.endswith("= 0"):
                self._new(named[0])
            case "openat" if "O_CREAT" in call.text:
                self._new(call.text.rpartition("<")[2].rstrip(">"))
            case "rename":
                self._move(*named)
        return None

    def lacking(self, folder: str) -> set[str]:
        """What a power cut would lose of a folder, its contents and its parents."""
        way = {folder, *map(str, Path(folder).parents)}
        lost = {n for n in self._names if n in way}
        return lost | {n for n in self._bytes | self._names if n.startswith(folder + "/")}

    def _new(self, name: str) -> None:
        if name not in self._known:
            self._names.add(name)
        self._known.add(name)

    def _move(self, old: str, new: str) -> None:
        for names in (self._bytes, self._names):
            for name in [n for n in names if n.startswith(old + "/") or n == old]:
                names.remove(name)
                names.add(new + name.removeprefix(old))
        self._names.add(new)
