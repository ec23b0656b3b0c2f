"""The fold of records."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.records import evaluated, lockstep, routed, sample, train
from tinygpt.overfitting import Overfitting
from tinygpt.run import (
    EndRecord,
    ResumeRecord,
)
from tinygpt.run.columns import group
from tinygpt.smoothing import Ema
from tinygpt_tui.monitor.history import Column, History


def test_column_grows_and_is_cut() -> None:
    column = Column()
    for start in range(0, 5000, 7):
        column.extend(np.arange(start, start + 7, dtype=np.float64))
    assert column.values.tolist() == list(range(5005))
    column.cut(3)
    column.extend(np.array([9.0]))
    assert column.values.tolist() == [0, 1, 2, 9]


def test_history_follows_both_models() -> None:
    history = History()
    history.add(lockstep(7))
    history.add([evaluated("moe", 7, 1.5), sample("moe", 7)])
    moe = history.variants["moe"]
    assert moe.step.values.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert moe.loss.values.tolist() == [4 / s for s in range(1, 8)]
    assert moe.last is not None
    assert moe.last.step == history.step == 7
    assert moe.tokens_per_second == pytest.approx(154)
    assert moe.evaluated is not None
    assert moe.sample is not None
    assert history.variants["dense"].evaluated is None


def test_resume_takes_back_what_will_come_again() -> None:
    history = History()
    history.add([*lockstep(7), evaluated("moe", 6, 1.5), sample("moe", 6)])
    history.add([EndRecord(time=1.0, state="stopped", reason="", models={})])
    history.add([ResumeRecord(time=2.0, step=4, models={"moe": 4, "dense": 7})])
    assert history.end is None
    assert history.variants["moe"].step.values.tolist() == [1, 2, 3, 4]
    assert history.variants["moe"].evaluations == []
    assert history.variants["moe"].sample is None
    assert len(history.variants["dense"].step.values) == 7
    history.add(group([train("moe", 5, 9.0)]))
    assert history.variants["moe"].loss.values[-1] == 9.0


def test_averages_grow_with_the_records_and_are_taken_back_by_a_resume() -> None:
    history = History()
    history.add(lockstep(70))
    moe = history.variants["moe"]
    for span in (50, 20, 50):
        expected = Ema(span).extend(moe.loss.values)
        assert moe.average("loss", span) == pytest.approx(expected)
    history.add(group([train("moe", 71, 9.0)]))
    assert moe.average("loss", 50) == pytest.approx(Ema(50).extend(moe.loss.values))
    history.add([ResumeRecord(time=2.0, step=4, models={"moe": 4})])
    history.add(group([train("moe", 5, 7.0)]))
    assert moe.average("loss", 50) == pytest.approx(Ema(50).extend(np.array([4, 2, 4 / 3, 1, 7])))
    assert moe.average("loss", 1).tolist() == moe.loss.values.tolist()


def test_learning_rate_gradient_norm_and_speed_are_kept_of_each_step() -> None:
    history = History()
    history.add(lockstep(7))
    dense = history.variants["dense"]
    assert [c.values.tolist() for c in (dense.lr, dense.grad_norm, dense.speed)] == [
        [0.02] * 7,
        [0.71] * 7,
        [154.0] * 7,
    ]
    history.add([ResumeRecord(time=2.0, step=4, models={"dense": 4})])
    assert len(dense.lr.values) == len(dense.grad_norm.values) == len(dense.speed.values) == 4


def test_the_final_losses_are_those_over_the_whole_split() -> None:
    history = History()
    history.add(lockstep(7))
    history.add([replace(evaluated(name, 7, 1.5), val_tokens=55) for name in ("dense", "moe")])
    whole = {"val_loss": 1.25, "best_val_loss": 1.125, "val_loss_over": "whole split"}
    sampled = {"val_loss": 1.75, "best_val_loss": 1.75, "val_loss_over": "sample"}
    end = EndRecord(
        time=1.0, state="done", reason="", models={"dense": whole, "moe": sampled, "x": whole}
    )
    history.add([end])
    dense, moe = (history.variants[name].evaluated for name in ("dense", "moe"))
    assert dense is not None
    assert (dense.step, dense.val_loss, dense.best_val_loss) == (7, 1.25, 1.125)
    assert dense.perplexity == pytest.approx(np.exp(1.25))
    assert dense.bits_per_char == pytest.approx(1.25 / np.log(2))
    assert [r.val_loss for r in history.variants["dense"].evaluations] == [1.5]  # the curve
    assert moe is not None
    assert moe.val_loss == 1.5
    history.add([ResumeRecord(time=2.0, step=7, models={"dense": 7, "moe": 7})])
    assert history.variants["dense"].evaluated == history.variants["dense"].evaluations[-1]


def test_routing_over_time_is_kept_and_taken_back() -> None:
    history = History()
    history.add([*lockstep(7), routed(2), routed(4, 0.3), routed(6, 0.1)])
    moe = history.variants["moe"]
    assert [r.step for r in moe.routings] == [2, 4, 6]
    assert moe.routing == moe.routings[-1]
    history.add([ResumeRecord(time=2.0, step=4, models={"moe": 4, "dense": 7})])
    assert [r.step for r in moe.routings] == [2, 4]
    history.add([routed(6, 0.2)])
    assert [r.load[0][0] for r in moe.routings] == [0.5, 0.3, 0.2]
    history.add([ResumeRecord(time=3.0, step=0, models={"moe": 0})])
    assert moe.routing is None


def test_a_resume_from_before_it_shows_ends_overfitting() -> None:
    history = History()
    losses = {10: 2.0, 20: 1.5, 30: 1.7, 40: 1.9}
    history.add([replace(evaluated("moe", s, x), train_loss=2 - s / 50) for s, x in losses.items()])
    moe = history.variants["moe"]
    assert moe.overfitting == Overfitting(20, 1.5)
    history.add([ResumeRecord(time=50.0, step=30, models={"moe": 30})])
    assert moe.overfitting is None
