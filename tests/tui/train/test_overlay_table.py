"""The rows of the overlaid runs."""

import math
from dataclasses import replace

import pytest

from tests.helpers.records import evaluated, started
from tests.helpers.scenes import history
from tinygpt.run import EvalRecord
from tinygpt.run.columns import group
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.render.cells import Row, plain, width
from tinygpt_tui.train.overlay_table import overlay_rows
from tinygpt_tui.train.state import Options, TrainState


def shown(*overlays: Overlay, **options: object) -> TrainState:
    made = Options(**options)  # type: ignore[arg-type]
    return TrainState(history(70), options=made, overlays=overlays)


def other(last: int, lower_by: float, name: str = "older", number: int = 1) -> Overlay:
    """A run whose validation losses are those of `history`, but lower; Dense ends at the best."""
    made = history(last)
    for variant in made.variants.values():
        variant.evaluations = [lowered(record, lower_by) for record in variant.evaluations]
    return Overlay(name, made, number)


def lowered(record: EvalRecord, by: float) -> EvalRecord:
    loss = record.val_loss - by
    return replace(record, val_loss=loss, best_val_loss=loss)


def style_of(rows: list[Row], text: str) -> str:
    (found,) = {span.style for cells in rows for span in cells if span.text.strip() == text}
    return found


def test_each_run_has_its_values_and_the_difference_to_the_open_one() -> None:
    better, worse = other(70, 0.25), other(70, -0.125, "newer", 2)
    rows = overlay_rows(shown(better, worse), 100)
    heading, first, second = plain(rows)
    titles = "at step 70 Dense ─ - open ◆Dense - open MoE ┄ - open ◆MoE - open step"
    assert " ".join(heading.split()) == titles
    own = history(70).variants
    dense, moe = (own[name].evaluations[-1].val_loss for name in ("dense", "moe"))
    numbers = [f"{dense - 0.25:.4f}", "-0.2500"] * 2 + [f"{moe - 0.25:.4f}", "-0.2500"] * 2
    assert first.split() == ["1", "older", *numbers, "70"]
    assert second.split()[3::2] == ["+0.1250"] * 4
    assert style_of(rows, "-0.2500") == "over.1"
    assert {s.style for s in rows[2] if s.text == "+0.1250"} == {"dense", "moe"}


def test_a_run_in_training_is_compared_at_its_own_step() -> None:
    """Not with the end of the other: only the best losses are compared wherever they are."""
    longer = other(100, 0.0)
    _, values = plain(overlay_rows(shown(longer), 100))
    at_70 = history(70).variants["dense"].evaluations[-1].val_loss
    best = history(100).variants["dense"].evaluations[-1].val_loss
    found = values.split()
    assert found[2:6] == [f"{at_70:.4f}", "+0.0000", f"{best:.4f}", f"{best - at_70:+.4f}"]
    assert found[-1] == "100"


def test_several_runs_have_their_mean_and_say_how_many_have_come_so_far() -> None:
    runs = [other(last, lower_by) for last, lower_by in ((70, 0.25), (70, 0.75), (30, 0.5))]
    group_of_three = replace(runs[0], name="g", others=tuple(run.history for run in runs[1:]))
    dense = [r.val_loss for r in history(70).variants["dense"].evaluations]
    heading, values = plain(overlay_rows(shown(group_of_three), 150))
    assert heading.split()[-2:] == ["runs", "step"]
    found = values.split()
    assert found[:5] == ["1", "g", f"{dense[-1] - 0.5:.4f}", "±0.3536", "-0.5000"]
    assert found[-2:] == ["2/3", "70"]
    at_30 = plain(overlay_rows(shown(group_of_three, cursor=30.0), 150))[1].split()
    assert at_30[2:5] == [f"{dense[2] - 0.5:.4f}", "±0.2500", "-0.5000"]
    assert at_30[-2:] == ["3", "70"]
    narrow = plain(overlay_rows(shown(group_of_three), 80))[1].split()
    assert [*found[:5], "2/3"] == [*narrow[:5], narrow[-1]]


def test_a_run_that_ended_before_has_no_difference_there() -> None:
    _, values = plain(overlay_rows(shown(other(30, 0.0)), 100))
    assert values.split()[3] == "-"
    assert values.split()[5].startswith("+")


def test_the_crosshair_reads_the_evaluation_up_to_it() -> None:
    rows = overlay_rows(shown(other(70, 0.25), cursor=41.0), 100)
    heading, values = plain(rows)
    assert heading.startswith("at step 41")
    at_40 = history(70).variants["dense"].evaluations[3].val_loss
    assert values.split()[2:4] == [f"{at_40 - 0.25:.4f}", "-0.2500"]


@pytest.mark.parametrize(
    ("axis", "title"),
    [("epochs", "at epoch 35.00"), ("tokens", "at 5.39k tok"), ("time", "after 35s")],
)
def test_the_heading_says_where_in_the_unit_of_x(axis: str, title: str) -> None:
    heading, _ = plain(overlay_rows(shown(other(70, 0.0), x_axis=axis), 100))
    assert heading.startswith(title)


def test_losses_on_another_corpus_are_not_subtracted() -> None:
    foreign = History()
    start = replace(started(), corpus={"name": "other", "sha256": "1"})
    foreign.add(group([start, evaluated("dense", 70, 1.5)]))
    _, values = plain(overlay_rows(shown(Overlay("foreign", foreign, 1)), 100))
    assert values.split()[2:6] == ["1.5000", "corpus", "1.5000", "corpus"]


def test_without_evaluations_there_are_dashes() -> None:
    fresh = History()
    fresh.add(group([started()]))
    heading, values = plain(overlay_rows(TrainState(fresh, overlays=(other(70, 0.0),)), 100))
    assert heading.startswith("overlaid runs")
    assert values.split()[2:4] == ["-", "-"]


@pytest.mark.parametrize("columns", [1, 20, 40, 60, 80, 120, 200])
def test_rows_have_the_width_of_the_tab(columns: int) -> None:
    names = "a-name-that-is-far-too-long-for-most-windows", "漢字"
    overlays = [other(70, 0.1, name, number) for number, name in enumerate(names, 1)]
    rows = overlay_rows(shown(*overlays), columns)
    assert [width(cells) for cells in rows] == [columns] * 3
    if columns >= 80:
        assert "-0.1000" in plain(rows)[1].split()[-2:]
    if columns == 200:
        assert names[0] in plain(rows)[1]


def with_tokens(overlay: Overlay, bytes_per_token: float) -> Overlay:
    """The run with longer tokens."""
    start = overlay.history.start
    assert start is not None
    overlay.history.start = replace(start, tokenizer={"kind": "bpe", "vocab_size": 1024})
    for variant in overlay.history.variants.values():
        variant.evaluations = [
            replace(record, bits_per_byte=record.val_loss / bytes_per_token / math.log(2))
            for record in variant.evaluations
        ]
    return overlay


def test_runs_with_other_tokens_are_compared_in_bits_per_byte() -> None:
    heading, values = plain(overlay_rows(shown(with_tokens(other(70, 0.0), 2.5)), 100))
    own = history(70).variants["dense"].evaluations[-1].val_loss / math.log(2)
    assert heading.split()[:4] == ["bpb", "at", "step", "70"]
    assert values.split()[2:4] == [f"{own / 2.5:.4f}", f"{own / 2.5 - own:+.4f}"]
