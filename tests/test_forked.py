"""Processes that tests start by a fork are as those that are executed: see tests/helpers/forked."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.helpers import forked
from tests.helpers.trainer import SHAPE, command, environment, run_training, start_training
from tests.helpers.waiting import until
from tinygpt.run import MetricsReader, TrainRecord, read_config

DATA = ("--data", "corpus.txt")


@pytest.fixture(autouse=True)
def _forks(corpus_file: Path) -> None:
    if not forked.installed():
        pytest.skip("processes are executed here")


def executed(folder: Path, *arguments: str, script: str) -> Any:
    words, variables = command(*arguments, script=script), environment()
    pipe = subprocess.PIPE
    with forked.Executed(
        words, cwd=folder, env=variables, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        out, err = process.communicate("")
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.mark.parametrize(
    ("script", "arguments"),
    [("tinygpt_tui", ("--help",)), ("trainer", (*SHAPE, "--data", "né道.txt"))],
)
def test_they_print_the_same(tmp_path: Path, arguments: tuple[str, ...], script: str) -> None:
    wanted = executed(tmp_path, *arguments, script=script)
    found = run_training(tmp_path, *arguments, script=script)
    assert (found.returncode, found.stdout, found.stderr) == (
        *(wanted.returncode, wanted.stdout, wanted.stderr),
    )
    assert wanted.stdout or wanted.stderr


def test_they_train_the_same(tmp_path: Path) -> None:
    records, argv = [], []
    for name, run in (("executed", executed), ("forked", run_training)):
        done = run(tmp_path, *DATA, *SHAPE, "--steps", "5", "--name", name, script="tinygpt_tui")
        assert done.returncode == 0, done.stderr
        path = tmp_path / "runs" / name
        found = [r for r in MetricsReader(path).read() if isinstance(r, TrainRecord)]
        records.append([(r.model, r.step, r.loss, r.grad_norm) for r in found])
        argv.append([word for word in read_config(path)["argv"] if word != name])
    assert records[0] == records[1]
    assert argv[0] == argv[1]


def test_they_are_children_with_a_folder_an_environment_and_signals(tmp_path: Path) -> None:
    endless = (*DATA, *SHAPE, "--steps", "1000000", "--name")
    for name, number, status in (("a", signal.SIGTERM, 143), ("b", signal.SIGKILL, -9)):
        with start_training(tmp_path, *endless, name) as process:
            until((tmp_path / "runs" / name / "metrics.jsonl").exists, process=process)
            child = psutil.Process(process.pid)
            assert child.ppid() == os.getpid()
            assert child.cwd() == str(tmp_path.resolve())
            assert child.num_threads() < 8
            process.send_signal(number)
            process.communicate()
            assert process.returncode == status
