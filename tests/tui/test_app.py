"""The app, driven by keys: what each does, whom it asks, and what it opens first."""

import os
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers.app import drive, lines, opened, screen_text, until
from tests.helpers.scenes import make_run, records
from tinygpt.run import RunWriter, TrainRecord, request
from tinygpt_tui import cli
from tinygpt_tui.app import LabApp, choose_run
from tinygpt_tui.keymap import CHARTS, GENERAL, RUN
from tinygpt_tui.monitor.follower import RunUpdate
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.help import HelpScreen, help_text
from tinygpt_tui.screens.new_run import NewRunScreen
from tinygpt_tui.screens.runs import RunsScreen
from tinygpt_tui.screens.start import Start


@pytest.fixture
def live(tmp_path: Path) -> "RunWriter":
    """A run that this process trains, as far as anyone can see."""
    return make_run(tmp_path, "alive")


def test_no_run_shows_the_start_screen(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.pause()
        assert app.query_one(Start).display
        assert " n new" in lines(app, "footer")
        assert " s stop" not in lines(app, "footer")

    drive(tmp_path, body)


def test_a_live_run_is_attached_to(tmp_path: Path, live: RunWriter) -> None:
    make_run(tmp_path, "finished", records(30, end=True)).status("done", 30)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        assert app.run_path == live.path
        await until(pilot, lambda: "Live" in lines(app, "header"))
        assert "alive" in lines(app, "header")
        assert "space pause" in lines(app, "footer")
        await until(pilot, lambda: "Dense" in screen_text(app))
        frames = app.train.frames
        live.append(
            TrainRecord(
                time=1.0,
                model="moe",
                step=31,
                tokens=1,
                epoch=1.0,
                loss=1.0,
                lr=0.1,
                grad_norm=1.0,
                tokens_per_second=1.0,
                train_seconds=99.0,
            )
        )
        await until(pilot, lambda: app.history.step == 31 and app.train.frames > frames)

    drive(tmp_path, body)


def test_only_finished_runs_opens_the_newest_and_says_so(tmp_path: Path) -> None:
    with make_run(tmp_path, "finished", records(30, end=True)) as writer:
        writer.status("done", 30)
    path, note = choose_run(tmp_path, None)
    assert path == tmp_path / "finished"
    assert note is not None
    assert "newest run, finished" in note


@pytest.mark.parametrize(
    ("keys", "attribute", "value"),
    [
        ("x", "x_axis", "epochs"),
        ("x x x", "x_axis", "time"),
        ("l", "log_y", True),
        ("l l", "log_y", False),
        ("y", "whole_range", True),
        ("c", "charts", "loss"),
        ("c c c", "charts", "both"),
        ("full_stop", "average", 100),
        ("comma", "average", 20),
        ("plus", "window", (15.5, 30.0)),
        ("plus minus", "window", None),
        ("plus f", "window", None),
        ("plus 0", "window", None),
        ("plus shift+left", "window", (8.25, 22.75)),
        ("plus left right", "window", (15.5, 30.0)),
        ("v", "cursor", 30.0),
        ("v v", "cursor", None),
        ("v left", "cursor", 29.0),
        ("v shift+left right", "cursor", 21.0),
        ("d", "hidden", frozenset({"dense"})),
        ("d m t e", "hidden", frozenset({"dense", "moe", "train", "val"})),
        ("d d", "hidden", frozenset()),
    ],
)
def test_each_key_of_the_charts(
    tmp_path: Path, live: RunWriter, keys: str, attribute: str, value: object
) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.press(*keys.split())
        assert getattr(app.train.state.options, attribute) == value

    drive(tmp_path, body)


def test_zoom_stays_while_data_arrive(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.press("plus")
        window = app.train.state.options.window
        for record in records(60)[1:]:
            if getattr(record, "step", 0) > 30:
                live.append(record)
        await opened(app, pilot, 60)
        assert app.train.state.options.window == window
        await pilot.press("0")
        assert app.train.state.options.window is None

    drive(tmp_path, body)


def test_pause_resume_and_checkpoint_ask_the_run(tmp_path: Path, live: RunWriter) -> None:
    control = live.path / "control"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.live)
        await pilot.press("space")
        assert (control / "pause").exists()
        live.status("paused", 30)
        await until(pilot, lambda: "Paused" in lines(app, "header"))
        await pilot.press("space")
        assert not (control / "pause").exists()
        await pilot.press("k")
        assert (control / "checkpoint").exists()

    drive(tmp_path, body)


def test_several_viewers_agree(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.live)
        request(live.path, "pause")  # another viewer
        live.status("paused", 30)
        await until(pilot, lambda: "Paused" in lines(app, "header"))

    drive(tmp_path, body)


def test_stop_asks_first(tmp_path: Path, live: RunWriter) -> None:
    stop = live.path / "control" / "stop"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.live)
        await pilot.press("s")
        assert isinstance(app.screen, Ask)
        await pilot.press("escape")
        assert not stop.exists()
        await pilot.press("s", "s")
        await until(pilot, stop.exists)
        live.status("stopped", 30)
        await until(pilot, lambda: "Stopped" in lines(app, "header"))
        assert "u resumes it" in screen_text(app)
        await pilot.press("s")
        assert not isinstance(app.screen, Ask)

    drive(tmp_path, body)


@pytest.mark.parametrize(
    ("answer", "leaves", "stops"), [("l", True, False), ("s", True, True), ("c", False, False)]
)
def test_leaving_a_live_run_asks(
    tmp_path: Path,
    live: RunWriter,
    answer: str,
    leaves: bool,  # noqa: FBT001
    stops: bool,  # noqa: FBT001
) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.live)
        await pilot.press("q")
        assert isinstance(app.screen, Ask)
        await pilot.press(answer)
        await pilot.pause()
        assert (app.return_value == 0) is leaves
        assert (live.path / "control" / "stop").exists() is stops

    drive(tmp_path, body)


def test_leaving_is_quick_without_a_live_run(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("q")
        await pilot.pause()
        assert app.return_value == 0

    drive(tmp_path, body)


@pytest.mark.parametrize(
    ("state", "word"), [("done", "Done"), ("stopped", "Stopped"), ("failed", "Failed")]
)
def test_the_end_leaves_the_screen_standing(tmp_path: Path, state: str, word: str) -> None:
    with make_run(tmp_path, "over", records(30, end=True)) as writer:
        writer.status(state, 30, "the loss is nan" if state == "failed" else None)  # type: ignore[arg-type]

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: word in lines(app, "header"))
        await until(pilot, lambda: "Dense - MoE" in screen_text(app))
        if state == "failed":
            app.train.update_state(note=None, soon=True)
            await until(pilot, lambda: "the loss is nan" in screen_text(app))

    drive(tmp_path, body)


def test_tabs(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        for key, tab in (("2", "generate"), ("3", "attention"), ("4", "experts"), ("1", "train")):
            await pilot.press(key)
            assert app.tab == tab
        await pilot.press("tab")
        assert app.tab == "generate"
        await pilot.press("shift+tab", "shift+tab")
        assert app.tab == "experts"
        await pilot.pause(0.1)
        frames = app.train.frames
        live.append(records(31)[-1])
        live.status("paused", 31)
        await until(pilot, lambda: "Paused" in lines(app, "header"))
        assert app.train.frames == frames, "a hidden tab was drawn"
        await pilot.press("1")
        await until(pilot, lambda: app.train.frames > frames)

    drive(tmp_path, body)


def test_nothing_is_drawn_when_nothing_changes(tmp_path: Path) -> None:
    with make_run(tmp_path, "over", records(30, end=True)) as writer:
        writer.status("done", 30)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: "Dense" in screen_text(app))
        await pilot.pause(0.3)
        rows = list(app.train._view.rows)
        painted: list[object] = []
        app.train._view.refresh = lambda *a, **k: painted.append(a)  # type: ignore[method-assign,assignment]
        app.train._draw()
        assert app.train._view.rows == rows
        assert painted == []

    drive(tmp_path, body)


def test_dialogs_open_and_close(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        for key, screen in (
            ("question_mark", HelpScreen),
            ("n", NewRunScreen),
            ("r", RunsScreen),
        ):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, screen))  # noqa: B023
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)

    drive(tmp_path, body)


def test_tab_stays_in_a_dialog(tmp_path: Path) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        before = app.focused
        await pilot.press("tab")
        assert app.tab == "train"
        assert app.focused is not before

    drive(tmp_path, body)


def test_themes(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.press("ctrl+t")
        assert not app.current_theme.dark
        await pilot.press("ctrl+t")
        assert app.current_theme.dark

    drive(tmp_path, body)


def test_mouse_puts_the_crosshair_and_zooms(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.click("#train", offset=(32, 8))
        cursor = app.train.state.options.cursor
        assert cursor is not None
        assert 10 < cursor < 20

    drive(tmp_path, body)


def test_a_replaced_file_starts_over(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        (live.path / "metrics.jsonl").write_text("")
        await until(pilot, lambda: app.history.step == 0)

    drive(tmp_path, body)


def test_an_error_in_the_worker_becomes_a_message(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        assert app._follower is not None
        app._follower.look = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value]
        await until(pilot, lambda: "ZeroDivisionError" in screen_text(app))

    drive(tmp_path, body)


def test_a_worker_that_fails_leaves_a_message_and_a_log(
    tmp_path: Path, live: RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    log = tmp_path / "state" / "tinygpt-tui" / "app.log"

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        monkeypatch.setattr("tinygpt_tui.monitor.overlays.MetricsReader.read_bulk", None)
        app.set_overlays([live.path])
        await until(pilot, log.exists)
        assert app.is_running
        assert any("TypeError" in note.message for note in app._notifications)

    drive(tmp_path, body)
    assert "Traceback" in log.read_text()


def test_footer_help_and_palette_come_from_one_table(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.live)
        commands = [command.title for command in app.get_system_commands(app.screen)]
        assert any("Stop the training" in title for title in commands)
        assert not any("Resume a run" in title for title in commands)

    drive(tmp_path, body)
    text = help_text()
    for key in (*RUN, *CHARTS, *GENERAL):
        assert key.help in text


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 24), (200, 60)])
def test_any_size(tmp_path: Path, live: RunWriter, size: tuple[int, int]) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        for width, height in ((20, 5), (120, 36), size):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
        await until(pilot, lambda: len(app.train._view.rows) == size[1] - 2)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))

    drive(tmp_path, body, size)


def test_ascii_draws_ascii_alone(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: "Dense" in screen_text(app))
        for key in ("n", "r", "question_mark", "s", "2", "3", "4", "1"):
            drawn = [strip.text for strip in app.screen._compositor.render_strips()]
            assert "".join(drawn).isascii()
            await pilot.press(*(["escape"] if len(app.screen_stack) > 1 else []), key)
            await pilot.pause()

    drive(tmp_path, body, ascii=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "there is no run 'nowhere'"),
        (["--steps", "7"], "--steps is for --train-only"),
        ([], "the interface needs a terminal"),
        (["a", "--train-only"], "--train-only takes no RUN"),
    ],
)
def test_mistakes_on_the_command_line(
    tmp_path: Path,
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([*arguments, "--out", str(tmp_path)])
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_a_run_is_found_by_name_path_variant_and_step(tmp_path: Path) -> None:
    make_run(tmp_path, "a").close()
    step = tmp_path / "a" / "moe" / "step-00000003"
    step.mkdir(parents=True)
    for name in ("a", str(tmp_path / "a"), str(step), str(step.parent)):
        assert cli.find_run(name, str(tmp_path)) == tmp_path / "a"
    assert cli.find_run("b", str(tmp_path)) is None


def test_overlaid_runs_are_read_on_while_they_grow(tmp_path: Path, live: RunWriter) -> None:
    other = make_run(tmp_path, "other", records(10))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app.open_run(live.path)
        await opened(app, pilot)
        app.set_overlays([other.path])
        await until(pilot, lambda: bool(app.laid.shown[0].history.step == 10))
        for record in records(20)[1:]:
            if getattr(record, "step", 0) > 10:
                other.append(record)
        app._read_overlays()
        await until(pilot, lambda: app.train.state.overlays[0].history.step == 20)
        await until(pilot, lambda: "other" in screen_text(app))
        await pilot.press("o")
        assert app.laid.paths == ()
        assert app.train.state.overlays == ()
        await until(pilot, lambda: "other" not in screen_text(app))

    drive(tmp_path, body)


def test_overlays_are_replaced_while_they_are_read(tmp_path: Path, live: RunWriter) -> None:
    other = make_run(tmp_path, "other", records(10))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app.set_overlays([other.path])
        app.set_overlays([live.path])
        await until(pilot, lambda: bool(app.laid.shown[0].history.step == 30))
        assert [overlay.name for overlay in app.train.state.overlays] == ["alive"]

    drive(tmp_path, body)


def test_a_renamed_run_stays_open(tmp_path: Path) -> None:
    with make_run(tmp_path, "before", records(30, end=True)) as writer:
        writer.status("done", 30)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and bool(app.screen._entries))
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, AskText))
        await pilot.press("2", "enter")
        await until(pilot, lambda: app.run_path == tmp_path / "before2")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        await opened(app, pilot)
        assert "before2" in lines(app, "header")

    drive(tmp_path, body)


def test_what_was_begun_here_is_noted_until_it_reports(tmp_path: Path) -> None:
    with make_run(tmp_path, "over", records(30)) as writer:
        writer.status("stopped", 30)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app._started[writer.path] = 1
        app.train.update_state(note="resuming", soon=True)
        await pilot.press("v")
        await until(pilot, lambda: "step 30" in screen_text(app))  # the crosshair comes first
        await pilot.press("v")
        await until(pilot, lambda: "resuming" in screen_text(app))
        app._started[writer.path] = os.getpid()
        assert app._follower
        app._follower._machine_read = -1e9
        app._follower.poll_now()
        await until(pilot, lambda: "u resumes it" in screen_text(app))
        assert not app._started

    drive(tmp_path, body)


def test_an_error_passes_when_reading_works_again(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app.take_in(RunUpdate(live.path, error="cannot read it"))
        app.train._draw()
        assert "cannot read it" in screen_text(app)
        app.take_in(RunUpdate(live.path))
        app.train._draw()
        assert "cannot read it" not in screen_text(app)

    drive(tmp_path, body)


def test_resume_says_why_it_cannot(tmp_path: Path) -> None:
    with make_run(tmp_path, "over", records(30, end=True)) as writer:
        writer.status("done", 30)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await pilot.press("u")
        assert any("name a later end" in note.message for note in app._notifications)

    drive(tmp_path, body)


def test_the_key_that_quits_everywhere_asks_too(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.live)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert len(app.screen_stack) == 2

    drive(tmp_path, body)


def test_the_start_screen_keeps_nothing_of_a_run(tmp_path: Path, live: RunWriter) -> None:
    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        await until(pilot, lambda: app.live)
        app.open_run(None)
        assert app.state is None
        assert not app.live
        assert "s stop" not in lines(app, "footer")

    drive(tmp_path, body)
