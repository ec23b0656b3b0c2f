"""The numbers at the crosshair, in the room there is."""

import pytest

from tests.helpers.scenes import history
from tinygpt.smoothing import Ema
from tinygpt_tui.render.cells import plain
from tinygpt_tui.train.crosshair import crosshair_line, values_at_crosshair
from tinygpt_tui.train.state import Options, TrainState


def test_values_are_those_of_the_nearest_record_and_of_the_evaluation_before_it() -> None:
    known = history(70)
    (dense, moe) = values_at_crosshair(known, Options(cursor=48.6)).values()
    own = known.variants["dense"]
    assert (dense.step, moe.step, dense.val_step) == (49, 49, 40)
    assert dense.value == own.loss.values[48]
    assert dense.average == pytest.approx(Ema(50).extend(own.loss.values)[48])
    assert dense.val == own.evaluations[3].val_loss
    (early, _) = values_at_crosshair(known, Options(cursor=9.0)).values()
    assert (early.val_step, str(early.val)) == (0, "nan")


def line(columns: int, **options: object) -> str:
    state = TrainState(history(70), Options(cursor=48.0, **options))  # type: ignore[arg-type]
    return plain([crosshair_line(state, columns)])[0]


def test_a_validation_loss_has_the_step_at_which_it_was_measured() -> None:
    long = line(150)
    assert long.startswith("step 48  Dense batch 1.")
    assert long.count(" val 1.6817 @ 40") == 1
    assert long.count("train (ema 50) ") == 2
    for columns in (76, 80, 100):
        text = line(columns)
        assert len(text) <= columns
        assert text.count("train ") == text.count(" @ 40") == 2


def test_what_the_chart_on_the_right_shows_is_read_too() -> None:
    assert line(120, right="learning rate").count(" lr 0.02 val") == 2
    assert line(120, right="gradient norm").count(" |grad| 0.71 val") == 2
    assert line(120, right="tokens/s").count(" tok/s 154 val") == 2
    assert "lr" not in line(120, right="learning rate", charts="left")
