"""The numbers of both variants."""

from tests.helpers.scenes import history, overfit_history
from tests.helpers.train_states import make_state
from tinygpt.run import RunState
from tinygpt_tui.render.cells import plain
from tinygpt_tui.train.eta import seconds_left
from tinygpt_tui.train.state import Options, TrainState
from tinygpt_tui.train.variant_table import fraction_done, table_lines, table_rows, variant_cells


def test_the_best_loss_of_a_variant_that_overfits_is_a_warning_in_the_table() -> None:
    shown = make_state(history=overfit_history(variants=["dense"]))
    best = {
        name: next(span for span in variant_cells(shown, name, v) if "◆" in span.text)
        for name, v in shown.history.variants.items()
    }
    assert best["dense"] == ("◆1.7463", "warn")
    assert best["moe"].style == "text"


def test_time_left_counts_what_the_trainer_counts() -> None:
    known = history(75)
    # 140 s at the evaluation of step 70, and 2.5 s of training since for each of both.
    assert known.wall_seconds == 145.0
    shown = make_state(history=known, minutes=290 / 60)
    dense = known.variants["dense"]
    assert fraction_done(shown, dense) == 0.75  # by steps; by time a half
    left = seconds_left(shown, dense)
    assert left is not None
    assert left <= 145.0
    over = make_state(history=known, run_state=RunState(state="stopped", reason=""))
    assert seconds_left(over, dense) is None


def test_the_row_of_differences_comes_with_the_first_evaluation() -> None:
    for last, lines in ((9, 3), (10, 4)):
        shown = make_state(history=history(last))
        rows = plain(table_rows(shown, 80))
        assert len(rows) == table_lines(shown) == lines
        assert any("Dense - MoE" in line for line in rows) == (lines == 4)
    assert table_lines(TrainState(history(0))) == 3


def test_wide_headings_tell_the_average_from_the_evaluated_train_loss() -> None:
    heading, dense, *_ = plain(table_rows(make_state(options=Options(smoothing=3)), 200))
    assert "train (ema 20)" in heading
    assert "train-eval" in heading
    assert f"{make_state().history.variants['dense'].evaluations[-1].train_loss:.4f}" in dense
