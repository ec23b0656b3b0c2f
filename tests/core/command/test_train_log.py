"""What torch says while it trains is in train.log; the terminal shows progress and our warnings."""

import os
import pty
import sys
from pathlib import Path

import pytest

from tests.helpers.forked import FORKS
from tests.helpers.redirected import redirected
from tests.helpers.terminals import shown_on
from tests.helpers.trainer import SHAPE, environment
from tests.helpers.waiting import PATIENCE, running

NOISY = """
import logging, os, sys, warnings
from tinygpt.errors import TinyGPTWarning
from tinygpt.training import learner

begin, train = learner.Learner.__init__, learner.Learner.train

def noisy_begin(self, *arguments):
    warnings.warn("a library that warns early")
    begin(self, *arguments)

def noisy_train(self, *arguments):
    warnings.warn("TensorFloat32 tensor cores are not enabled")
    logging.getLogger("torch._inductor.utils").warning("Not enough SMs")
    os.write(2, b"cc: Python.h: not found\\n")
    warnings.warn("the training is slower", TinyGPTWarning)
    return train(self, *arguments)

learner.Learner.__init__, learner.Learner.train = noisy_begin, noisy_train
from trainer import main
sys.exit(main(sys.argv[1:]))
"""
LIBRARIES = (
    "UserWarning: a library that warns early (",
    "UserWarning: TensorFloat32 tensor cores are not enabled (",
    "Not enough SMs",
    "cc: Python.h: not found",
)
OWN = "warning: the training is slower"


def noisy(corpus: Path, *arguments: str) -> list[str]:
    """The command of a noisy training of three steps, the run ``runs/a``."""
    words = (*SHAPE, "--name", "a", "--steps", "3", "--model", "dense", *arguments)
    return [sys.executable, *FORKS, "-c", NOISY, "--data", str(corpus), *words]


def test_a_terminal_shows_nothing_of_libraries(corpus_file: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with running(
        noisy(corpus_file), cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = shown_on(ours)
        os.close(ours)
        assert process.wait(PATIENCE) == 0, shown
    assert [text for text in LIBRARIES if text in shown] == []
    assert shown.count(OWN) == 1
    assert "step 3" in shown  # the bars
    assert "validation loss" in shown  # the table, after them
    log = (tmp_path / "runs" / "a" / "train.log").read_text("utf-8")
    assert [text for text in (*LIBRARIES, OWN) if text not in log] == []
    assert log.splitlines()[-1] == "done: 3 steps"


def test_a_pipe_gets_plain_lines(corpus_file: Path, tmp_path: Path) -> None:
    done = redirected(noisy(corpus_file, "--json"), "", tmp_path)
    said = done.stderr.decode().splitlines()
    assert done.returncode == 0, said
    assert [text for text in LIBRARIES if any(text in line for line in said)] == []
    assert said.count(OWN) == 1


def test_as_the_app_starts_it_all_is_in_the_log_once(corpus_file: Path, tmp_path: Path) -> None:
    log = tmp_path / "runs" / "a" / "train.log"
    log.parent.mkdir(parents=True)
    done = redirected(noisy(corpus_file), f"2>>{log}", tmp_path)
    said = log.read_text("utf-8")
    assert done.returncode == 0, said
    assert [said.count(text) for text in (*LIBRARIES, OWN)] == [1, 1, 3, 3, 1]


@pytest.mark.parametrize("mistake", [("--steps", "x"), ("--gpt.context", "5000")])
def test_a_mistake_is_still_one_line(
    corpus_file: Path, tmp_path: Path, mistake: tuple[str, str]
) -> None:
    done = redirected(noisy(corpus_file, *mistake), "", tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
