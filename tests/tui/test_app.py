"""The app as a whole: what it opens first, tabs, dialogs, themes, sizes."""

from pathlib import Path

from textual.pilot import Pilot

from tests.helpers.app import drive, lines, opened, screen_text, until
from tests.helpers.checkpoints import snapshot
from tests.helpers.scenes import make_run, records
from tinygpt import checkpoint
from tinygpt.run import EndState, RunWriter, TrainRecord
from tinygpt_tui.app import LabApp
from tinygpt_tui.screens.help import HelpScreen
from tinygpt_tui.screens.new_run import FormView, NewRunScreen
from tinygpt_tui.screens.runs import RunsScreen
from tinygpt_tui.screens.start import Start


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


def test_the_end_leaves_the_screen_standing(tmp_path: Path) -> None:
    states: tuple[EndState, ...] = ("done", "stopped", "failed")
    for state in states:
        with make_run(tmp_path, f"was-{state}", records(30, end=True)) as writer:
            writer.status(state, 30, "the loss is nan" if state == "failed" else None)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)  # the one that is opened first
        for state in states:
            app.open_run(tmp_path / f"was-{state}")
            await opened(app, pilot)
            await until(pilot, lambda: state.capitalize() in lines(app, "header"))  # noqa: B023
            await until(pilot, lambda: "Dense - MoE" in screen_text(app))
        app.train.update_state(note=None, soon=True)
        await until(pilot, lambda: "the loss is nan" in screen_text(app))

    drive(tmp_path, body)


def test_the_end_of_a_run_is_followed_to_its_best_checkpoint_and_said(
    tmp_path: Path, live: RunWriter
) -> None:
    for variant, step, loss in (("dense", 3, 1.25), ("dense", 7, 1.5), ("moe", 7, 1.5)):
        checkpoint.save(live.path, snapshot(variant, step, loss))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await until(pilot, lambda: app.attention.controller.timeline.step == 7)
        app.generate.controller.choose(("dense", 7))
        live.status("done", 30)
        await until(pilot, lambda: app.attention.controller.timeline.step == 3)
        assert app.generate.controller.timelines["dense"].step == 7, "it was chosen"
        ended = "Training has ended: the best checkpoint is now used in Attention. B: the newest"
        await until(pilot, lambda: [n.message for n in app._notifications][-1:] == [ended])
        live.status("running", 30)
        await until(pilot, lambda: app.attention.controller.timeline.step == 7)
        again = "the newest checkpoint is followed again in Attention"
        await until(pilot, lambda: any(again in n.message for n in app._notifications))

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


def test_dialogs_open_and_close_at_any_size(tmp_path: Path, live: RunWriter) -> None:
    dialogs = {"question_mark": HelpScreen, "n": NewRunScreen, "r": RunsScreen}

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        for width, height in ((20, 5), (120, 36), (20, 5), (40, 12), (80, 24), (200, 60)):
            await pilot.resize_terminal(width, height)
            await until(pilot, lambda: len(app.train._view.rows) == height - 2)  # noqa: B023
            for key, screen in dialogs.items() if width in (40, 80) else [*dialogs.items()][:1]:
                await pilot.press(key)
                await until(pilot, lambda: isinstance(app.screen, screen))  # noqa: B023
                await pilot.press("escape")
                await until(pilot, lambda: len(app.screen_stack) == 1)

    drive(tmp_path, body, (20, 5))


def test_themes_and_tab_in_a_dialog(tmp_path: Path) -> None:
    """Tab stays in the dialog."""

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("ctrl+t")
        assert not app.current_theme.dark
        await pilot.press("ctrl+t")
        assert app.current_theme.dark
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewRunScreen))
        state = app.screen.query_one(FormView).state
        before = state.at
        await pilot.press("tab")
        assert app.tab == "train"
        assert state.at != before

    drive(tmp_path, body)


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
