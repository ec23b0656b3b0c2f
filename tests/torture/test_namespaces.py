"""Whole trainings in containers: seen from outside and from inside, killed, and resumed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.fork_server import ForkServer
from tests.helpers.kills import AGAIN, BEGIN, check, steps
from tests.helpers.models import TEXT
from tests.helpers.namespaces import contained, kill_inside
from tests.helpers.paths import ROOT
from tests.helpers.waiting import PATIENCE, until
from tinygpt.run import current_run, read_state

KILLS = 3


@pytest.fixture
def trainers(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts trainers after a prefix of `contained`; those left at the end are killed."""
    (tmp_path / "corpus.txt").write_text(TEXT)
    started: list[subprocess.Popen[str]] = []

    def start(prefix: list[str], *words: str) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [*prefix, sys.executable, str(ROOT / "trainer.py"), *words, "--out", "runs"],
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )
        )
        return started[-1]

    with (tmp_path / "log").open("w") as log:
        yield start
        for process in started:
            process.kill()
            process.wait(PATIENCE)


def seen_from(prefix: list[str], run: Path) -> str:
    script = "import sys; from tinygpt.run import read_state; print(read_state(sys.argv[1]).state)"
    words = [*prefix, sys.executable, "-c", script, str(run)]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.mark.parametrize("host", [None, "gone"])
def test_killed_in_containers(
    tmp_path: Path,
    trainers: Callable[..., "subprocess.Popen[str]"],
    record_property: Callable[[str, object], None],
    host: str | None,
) -> None:
    """Each container sees the last one's death at once, and takes over without waiting."""
    prefix, another = contained(host), contained("another")
    words = [*BEGIN, "--steps", "1000000"]
    run, log = tmp_path / "runs" / "run", tmp_path / "log"
    for _ in range(KILLS):
        before = steps(run)
        trainer = trainers(prefix, *words)
        until(partial(trained_beyond, run, before, trainer), log.read_text)
        assert read_state(run).state == seen_from(another, run) == "live"
        assert trainers(another, *AGAIN).wait(PATIENCE) == 2
        assert "is being trained by process 1 on" in log.read_text()
        log.write_text("")
        kill_inside(trainer)
        assert read_state(run).state == seen_from(another, run) == "killed"
        check(run)
        words = AGAIN
    assert trainers([], *AGAIN, "--steps", str(steps(run))).wait(PATIENCE) == 0, log.read_text()
    assert read_state(run).state == "done"
    record_property("count kills in containers", KILLS)


def trained_beyond(run: Path, before: int, trainer: "subprocess.Popen[str]") -> bool:
    assert trainer.poll() is None
    return steps(run) > before + 9


def test_a_killed_container_is_not_preferred(
    fork_server: ForkServer, tmp_path: Path, trainers: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """To a newer run that is finished, which ``--generate`` without RUN takes."""
    run = tmp_path / "runs" / "run"
    trainer = trainers(contained("gone"), *BEGIN, "--steps", "100000")
    until(partial(trained_beyond, run, 0, trainer), (tmp_path / "log").read_text)
    newer = [*BEGIN, "--name", "newer", "--steps", "7", "--out", "runs"]
    assert fork_server.train(*newer)[0] == 0
    chosen = current_run(tmp_path / "runs")
    assert chosen is not None
    assert chosen.name == "run"
    kill_inside(trainer)
    chosen = current_run(tmp_path / "runs")
    assert chosen is not None
    assert (chosen.name, chosen.state.state) == ("newer", "done")
    generate = ["--generate", "e", "--max-new-tokens", "3", "--json", "--out", "runs"]
    words = [sys.executable, "-m", "tinygpt_tui", *generate]
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "runs/newer/" in found.stdout
