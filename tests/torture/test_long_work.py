"""What a real trainer attends to in a step or an evaluation that takes minutes."""

import math
import signal
from pathlib import Path

from tests.helpers.exactness import only_end
from tests.helpers.models import TEXT
from tests.helpers.trainer import SHAPE, heartbeats, start_training
from tests.helpers.waiting import until
from tinygpt.run import (
    EvalRecord,
    MetricsReader,
    TrainRecord,
    list_steps,
    request,
)

RUN = ("--data", "corpus.txt", "--name", "a")
LONG_STEP = (*RUN, *SHAPE, "--train.accumulate", "300000", "--steps", "3", "--train.snapshots", "0")
"""Minutes per step."""


def test_a_step_of_minutes_is_not_deaf(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(TEXT)
    run = tmp_path / "runs" / "a"
    with start_training(tmp_path, *LONG_STEP) as process:
        heartbeats(process, run, 3)
        request(run, "pause")
        heartbeats(process, run, 2, "paused")
        request(run, "resume")
        heartbeats(process, run, 2)
        request(run, "checkpoint")
        until(lambda: not (run / "control" / "checkpoint").exists(), process=process)
        process.send_signal(signal.SIGINT)
        until(lambda: process.poll() is not None)
        assert process.returncode == 130
    assert (only_end(run).state, only_end(run).reason) == ("stopped", "SIGINT")
    assert not [r for r in MetricsReader(run).read() if isinstance(r, TrainRecord)]
    assert list_steps(run, "dense") == list_steps(run, "moe") == [0]


def test_a_step_of_minutes_ends_at_the_time_limit(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(TEXT)
    run = tmp_path / "runs" / "a"
    with start_training(tmp_path, *LONG_STEP, "--minutes", "0.05") as process:
        until(lambda: process.poll() is not None)
        assert process.returncode == 0
    assert (only_end(run).state, only_end(run).reason) == ("done", "time limit of 0.05 min reached")
    assert [m["step"] for m in only_end(run).models.values()] == [0, 0]
    assert all(math.isfinite(m["val_loss"]) for m in only_end(run).models.values())


def test_an_evaluation_of_minutes_is_not_deaf(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(TEXT * 30_000)
    run = tmp_path / "runs" / "a"
    larger = ("--gpt.width", "96", "--gpt.context", "64", "--steps", "2", "--model", "dense")
    with start_training(tmp_path, *RUN, *SHAPE, *larger, "--test-share", "0.2") as process:
        until(lambda: run.exists() and list_steps(run, "dense")[-1:] == [2], process=process)
        heartbeats(process, run, 4)  # in the evaluation of the test split
        request(run, "stop")
        until(lambda: process.poll() is not None)
        assert process.returncode == 0
    end = only_end(run)
    assert (end.state, end.reason) == ("stopped", "asked to stop")
    (evaluated,) = [r for r in MetricsReader(run).read() if isinstance(r, EvalRecord)]
    assert evaluated.val_tokens == 131_072
    dense = end.models["dense"]
    assert (dense["step"], dense["val_loss_over"]) == (2, "sample")
    assert dense["val_loss"] == dense["sampled_val_loss"] == evaluated.val_loss
