"""What keys, clicks and news do to the Train tab's state."""

import pytest

from tests.helpers.scenes import history
from tinygpt.gpus import Gpu
from tinygpt.run import RunState
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.machine import Machine
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.train.controller import Y_LABEL_COLUMNS, TrainController
from tinygpt_tui.train.state import Options

LIVE = RunState(state="live", reason="")


@pytest.fixture
def controller() -> TrainController:
    made = TrainController()
    made.open(history(70, end=True), minutes=3.0)
    return made


def test_another_run_keeps_options_and_overlays(controller: TrainController) -> None:
    controller.update(overlays=(Overlay("older", history(10), 1),), note="n", error="e")
    controller.update_status(LIVE, None)
    controller.change_options(Options.toggled_log)
    controller.toggle_crosshair()
    controller.zoom(1)
    controller.open(history(30))
    state = controller.state
    assert state.options == Options(log_y=True)
    assert len(state.overlays) == 1
    assert (state.run_state, state.minutes, state.note, state.error) == (None,) * 4


def test_news_keeps_what_is_unknown_and_reports_another_state(controller: TrainController) -> None:
    machine = Machine(cpu_percent=7.0, cpus=2, memory_used=None, memory_total=None)
    assert controller.update_status(LIVE, machine)
    assert not controller.update_status(RunState(state="live", reason="later"), None)
    assert not controller.update_status(None, None)
    assert controller.state.machine is machine
    assert controller.state.run_state == RunState(state="live", reason="later")
    assert controller.update_status(RunState(state="done", reason=""), None)


def test_crosshair_starts_at_the_latest_record_in_view_and_stays_inside(
    controller: TrainController,
) -> None:
    controller.toggle_crosshair()
    assert controller.options.cursor == 70.0
    controller.toggle_crosshair()
    assert controller.options.cursor is None
    controller.zoom(1)
    controller.move(-1000, columns=80)
    assert controller.options.window == (1.0, 35.5)
    controller.toggle_crosshair()
    assert controller.options.cursor == 35.5
    controller.move(-1, columns=80)
    assert controller.options.cursor == 34.5, "a record is wider than half a column"
    controller.move(-1000, columns=80)
    assert controller.options.cursor == 1.0
    controller.show_all()
    assert controller.options == Options()


def test_a_click_moves_the_crosshair_there(controller: TrainController) -> None:
    assert controller.click(Y_LABEL_COLUMNS, 3, 160, 40)
    assert controller.options.cursor == 1.0
    assert controller.click(159, 3, 160, 40), "the right edge of the second chart"
    assert controller.options.cursor == pytest.approx(70.0)
    before = controller.state
    assert not controller.click(20, 39, 160, 40), "below the charts"
    assert controller.state is before


def test_where_one_chart_fits_the_key_cycles_all_quantities(controller: TrainController) -> None:
    seen = []
    for _ in range(5):
        controller.cycle_chart(60, 15)
        seen.append(controller.options.shown)
    assert seen == [
        ("perplexity",),
        ("learning rate",),
        ("gradient norm",),
        ("tokens/s",),
        ("loss",),
    ]


def test_gpu_load_can_be_chosen_once_there_are_readings(controller: TrainController) -> None:
    gpu = Gpu(name="a", percent=7.0, memory_used=1, memory_total=2, celsius=None, watts=None)
    machine = Machine(cpu_percent=None, cpus=2, memory_used=1, memory_total=2, gpus=(gpu,))
    controller.update_status(RunState(state="done", reason=""), machine)
    assert controller.state.readings.values == [], "of a run that is not trained"
    controller.update_status(LIVE, machine)
    for _ in range(4):
        controller.cycle_chart(120, 34)
    assert controller.options.shown == ("loss", "GPU")
    controller.open(history(30))
    assert controller.state.readings.values == []
    controller.cycle_chart(120, 34)
    assert controller.options.shown == ("loss", "perplexity")


def test_no_crosshair_before_there_is_a_record(controller: TrainController) -> None:
    controller.open(History())
    controller.toggle_crosshair()
    assert controller.options.cursor is None
