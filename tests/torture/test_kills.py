"""`kill -9` at random moments: nothing recorded is lost, and the result is the same."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.fork_server import ForkServer
from tests.helpers.kills import BEGIN, check, check_large, finished, take_up
from tests.helpers.models import TEXT
from tests.helpers.paths import ROOT
from tinygpt.run import is_run, read_state


@pytest.mark.parametrize("seed", range(8))
def test_killed_at_random(
    fork_server: ForkServer,
    tmp_path: Path,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    end = ["--steps", "41"]
    status, whole = fork_server.train(*BEGIN, *end, "--out", "reference")
    assert status == 0, fork_server.said()
    dice, kills, finishes = random.Random(seed), 0, 0
    run = tmp_path / "runs" / "run"
    while kills < 25:
        words = take_up(run)
        arguments = [*words, *(end if words is BEGIN else ()), "--out", "runs"]
        status, _ = fork_server.train(*arguments, wait=dice.uniform(0, 0.6 * whole))
        if status == -9:
            kills += 1
            check(run)
            if not is_run(run) or read_state(run).state != "done":
                continue
        else:
            assert status == 0, fork_server.said()
            assert not list(run.rglob(".*.tmp")), "a temporary was left"
        finished(run, tmp_path / "reference" / "run")
        finishes += 1
        shutil.rmtree(run.parent)
    while is_run(run) and read_state(run).state != "done":
        words = take_up(run)
        status, _ = fork_server.train(*words, *(end if words is BEGIN else ()), "--out", "runs")
        assert status == 0, fork_server.said()
        finished(run, tmp_path / "reference" / "run")
        finishes += 1
    assert finishes
    record_property("count kills at random moments", kills)
    record_property("count runs that ended bit-identical after kills", finishes)


@pytest.mark.parametrize("seed", range(3))
def test_a_large_model_killed_at_random(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Saved beside the steps, and some of its checkpoints are to look at only."""
    (tmp_path / "corpus.txt").write_text(TEXT)
    end, run = ["--steps", "41"], tmp_path / "runs" / "run"
    dice, kills, finishes = random.Random(seed), 0, 0
    with ForkServer(tmp_path, large=True) as server:
        status, whole = server.train(*BEGIN, *end, "--out", "reference")
        assert status == 0, server.said()
        while kills < 25 or is_run(run):
            words = take_up(run)
            wait = dice.uniform(0, 0.6 * whole) if kills < 25 else None
            arguments = [*words, *(end if words is BEGIN else ()), "--out", "runs"]
            status, _ = server.train(*arguments, wait=wait)
            assert status in (0, -9), server.said()
            kills += status == -9
            check_large(run)
            if is_run(run) and read_state(run).state == "done":
                finished(run, tmp_path / "reference" / "run")
                finishes += 1
                shutil.rmtree(run.parent)
    assert finishes
    record_property("count kills of a large model at random moments", kills)
    record_property("count large runs that ended bit-identical after kills", finishes)


def test_killed_from_a_shell(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The command itself, a few times, instead of the fork server."""
    (tmp_path / "corpus.txt").write_text(TEXT)
    command = [sys.executable, str(ROOT / "trainer.py")]

    def train(*words: str, wait: float | None = None) -> int:
        process = subprocess.Popen(
            [*command, *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    end = ["--steps", "301"]
    assert train(*BEGIN, *end, "--out", "reference") == 0
    dice, kills = random.Random(7), 0
    run = tmp_path / "runs" / "run"
    while not is_run(run) or read_state(run).state != "done":
        words = take_up(run)
        wait = dice.uniform(2, 6) if kills < 7 else None
        status = train(*words, *(end if words is BEGIN else ()), "--out", "runs", wait=wait)
        if status == -9:
            kills += 1
            check(run)
    finished(run, tmp_path / "reference" / "run")
    assert kills
    record_property("count kills of the command", kills)
