"""The dialogs, driven by their keys in an app that holds nothing else."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static

from tests.helpers.runs import evaluation, make_run
from tinygpt.config import PRESETS, build
from tinygpt.run import (
    ResumeRecord,
    RunWriter,
    list_runs,
)
from tinygpt_tui.launch import cost as costs
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.screens.dialog import Ask, AskText, Message
from tinygpt_tui.screens.new_run import NewRunScreen, data_problem
from tinygpt_tui.screens.runs import RunsResult, RunsScreen, age
from tinygpt_tui.screens.start import Start

SIZES = [(80, 24), (120, 36)]
UNSET = object()


class Host(App[None]):
    """Shows one screen, or one widget, and keeps what came of it."""

    def __init__(self, screen: Screen[Any] | None = None) -> None:
        super().__init__()
        self.shown = screen
        self.result: Any = UNSET

    def compose(self) -> ComposeResult:
        if self.shown is None:
            yield Start(corpus="a\x1bb.txt")

    def on_mount(self) -> None:
        if self.shown is not None:
            self.push_screen(self.shown, lambda result: setattr(self, "result", result))

    def on_start_chosen(self, event: Start.Chosen) -> None:
        self.result = event.preset


Script = Callable[[Host, Pilot[None]], Awaitable[None]]


def drive(screen: Screen[Any] | None, script: Script, size: tuple[int, int] = (80, 24)) -> Host:
    """Run the script against the screen; the app afterwards, with its `result`."""
    app = Host(screen)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app, pilot)

    asyncio.run(run())
    return app


def press(*keys: str) -> Script:
    async def script(_: Host, pilot: Pilot[None]) -> None:
        await pilot.press(*keys)

    return script


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        await pilot.pause(0.01)


def text_of(app: Host, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


# -- dialogs

CHOICES = [("l", "leave", "leave it running"), ("s", "stop", "stop and save"), ("c", "stay", "no")]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (("enter",), "leave"),
        (("down", "enter"), "stop"),
        (("up", "enter"), "stay"),
        (("s",), "stop"),
        (("escape",), None),
    ],
)
def test_ask(keys: tuple[str, ...], answer: str | None) -> None:
    assert drive(Ask("What [now]?", CHOICES), press(*keys)).result == answer


def test_ask_by_mouse() -> None:
    async def script(_: Host, pilot: Pilot[None]) -> None:
        await pilot.click(OptionList, offset=(5, 1))

    assert drive(Ask("What now?", CHOICES), script).result == "stop"


@pytest.mark.parametrize("key", ["enter", "escape", "space", "q"])
def test_message_closes(key: str) -> None:
    assert drive(Message("[red]no markup"), press(key)).result is None


def test_ask_text_takes_only_what_is_right() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("b", "enter")
        assert app.result is UNSET
        assert text_of(app, ".problem") == "not ab"
        await pilot.press("c", "enter")

    ask = AskText("Which?", "a", lambda text: "not ab" if text == "ab" else None)
    assert drive(ask, script).result == "abc"


# -- the form


def test_form_names_the_run_and_what_differs(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press(*"first", "down", "right", "down", "right", "down")  # baby, dense
        assert app.screen.query_one("#field-steps", Input).placeholder == "5000"
        await pilot.press(*"300", "down", *"2.5", "down", "down", "down", "down")
        await pilot.press(*"3e-2", "down", *"7", "enter")

    app = drive(NewRunScreen(tmp_path, preset="nano"), script)
    assert app.result == [
        *("--name", "first", "--preset", "baby", "--model", "dense"),
        *("--steps", "300", "--minutes", "2.5"),
        *("--optim.matrix-learning-rate", "0.03", "--seed", "7"),
    ]


def test_form_without_a_word_names_the_preset_alone(tmp_path: Path) -> None:
    app = drive(NewRunScreen(tmp_path, preset="micro"), press("ctrl+s"))
    assert app.result[0] == "--name"
    assert app.result[1].startswith("micro-")
    assert app.result[2:] == ["--preset", "micro"]
    assert drive(NewRunScreen(tmp_path), press("escape")).result is None


@pytest.mark.parametrize(
    ("values", "bad", "says"),
    [
        ({"name": "a/b"}, "name", "path separator"),
        ({"name": "taken"}, "name", "already"),
        ({"steps": "many"}, "steps", "'many' is not a whole number"),
        ({"minutes": "0"}, "minutes", "more than 0"),
        ({"data": "/nowhere"}, "data", "no readable file /nowhere"),
        ({"moe.experts": "3", "moe.top_k": "5"}, "moe-top_k", "only 3 experts"),
        ({"seed": "-1"}, "seed", "at least 0"),
    ],
)
def test_form_says_what_is_wrong_and_does_not_start(
    tmp_path: Path, values: dict[str, str], bad: str, says: str
) -> None:
    (tmp_path / "taken").mkdir()

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        assert app.result is UNSET
        assert says in text_of(app, ".says")
        assert app.screen.query_one(f"#field-{bad}").has_class("-bad")
        assert len(app.screen.query(".says.-bad")) == 1

    drive(NewRunScreen(tmp_path, values=values), script)


@pytest.mark.parametrize("size", SIZES)
def test_form_shows_costs_and_fits(tmp_path: Path, size: tuple[int, int]) -> None:
    make_run(tmp_path, "earlier", {"preset": "micro", "steps": 500}, "done", wall=90.0)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "as measured" in text_of(app, ".costs"))
        shown = text_of(app, ".costs")
        assert "about 30 min" in shown  # 10,000 steps of 0.18 s
        total, active = build({"preset": "micro"}).model_config("moe", 65).parameters()
        assert costs.short_count(total) in shown
        assert costs.short_count(active) in shown
        box = app.screen.query_one(".box").region
        assert app.screen.region.contains_region(box)
        assert box.contains_region(app.screen.query_one(".costs").region)

    drive(NewRunScreen(tmp_path, preset="micro"), script, size)


def test_form_by_mouse(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.click("#field-model", offset=(1 + len("● both   ○ d"), 0))
        await pilot.press("enter")

    assert drive(NewRunScreen(tmp_path), script).result[-2:] == ["--model", "dense"]


def test_data_problem(tmp_path: Path, corpus_file: Path) -> None:
    assert data_problem("auto") is data_problem(str(corpus_file)) is None
    assert "is a folder" in (data_problem(str(tmp_path)) or "")
    for broken in ("~nobody-here/x", "a\0b", "nothing"):
        assert data_problem(broken)


# -- the list of runs


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Four runs; from the newest: live, done, killed, one that has not begun."""
    folder = tmp_path / "runs"
    make_run(folder, "live", {"preset": "micro"}, "live")
    make_run(folder, "done", {"preset": "micro"}, "done", ago=500)
    make_run(folder, "killed", {"model": "moe"}, "killed", ago=90000, losses=(1.75,))
    (folder / "fresh").mkdir()
    (folder / "fresh" / "train.log").write_text("")
    os.utime(folder / "fresh", (5, 5))
    return folder


def rows(app: Host) -> list[str]:
    return [str(option.prompt) for option in app.screen.query_one(OptionList).options]


def in_list(*keys: str) -> Script:
    """Press keys once the runs are there."""

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        await pilot.press(*keys)

    return script


@pytest.mark.parametrize("size", SIZES)
def test_runs_are_listed(out: Path, size: tuple[int, int]) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: rows(app))
        live, done, killed, fresh = (row.split() for row in rows(app))
        assert live[:4] == ["▸", "●", "Live", "live"]
        assert done[:3] == ["✓", "Done", "done"]
        assert {"1.625", "1.500"} <= set(done)
        assert killed[:3] == ["†", "Killed", "killed"]
        assert {"-", "1.750"} <= set(killed)
        assert ("corpus.txt" in done) == (size[0] > 100)
        assert fresh[:3] == ["○", "Starting", "fresh"]
        assert "process" in text_of(app, ".details")
        assert app.screen.region.contains_region(app.screen.query_one(".box").region)

    drive(RunsScreen(out, current=out / "live"), script, size)


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        (("enter",), ("open", "live", ())),
        (("down", "enter"), ("open", "done", ())),
        (("down", "space", "space", "escape"), ("overlay", "done killed", ("done", "killed"))),
        (("down", "o", "up", "o", "escape"), None),
        (("down", "space", "up", "up", "enter"), ("open", "live", ("done",))),
        (("down", "down", "e"), ("resume", "killed", ())),
        (("escape",), None),
        (("q",), None),
    ],
)
def test_runs_keys(
    out: Path, keys: tuple[str, ...], result: tuple[Any, str, tuple[str, ...]] | None
) -> None:
    expected = None
    if result:
        action, names, marked = result
        paths = tuple(out / name for name in names.split())
        expected = RunsResult(action, paths, tuple(out / name for name in marked))
    assert drive(RunsScreen(out), in_list(*keys)).result == expected


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (("d",), "is being trained"),
        (("R",), "is being trained"),
        (("e",), "is already being trained"),
        (("down", "e"), "set more steps"),
        (("down", "down", "down", "e"), "cannot be resumed"),
    ],
)
def test_runs_refuse(out: Path, keys: tuple[str, ...], says: str) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list(*keys)(app, pilot)
        assert [n for n in app._notifications if says in n.message]
        assert isinstance(app.screen, RunsScreen)

    assert drive(RunsScreen(out), script).result is UNSET


def test_runs_delete_asks(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list("down", "d", "enter")(app, pilot)
        assert (out / "done").exists()
        await pilot.press("d", "d")
        await until(pilot, lambda: len(rows(app)) == 3)
        assert "killed" in rows(app)[1]
        assert app.screen.query_one(OptionList).highlighted == 1

    drive(RunsScreen(out), script)
    assert sorted(os.listdir(out)) == ["fresh", "killed", "live"]


def test_runs_rename(out: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list("down", "space", "up", "R")(app, pilot)
        await pilot.press("2", "enter")
        await until(pilot, lambda: "done2" in rows(app)[1])
        await pilot.press("escape")

    app = drive(RunsScreen(out), script)
    assert app.result == RunsResult("overlay", (out / "done2",), (out / "done2",))


def test_runs_follow_the_folder(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygpt_tui.screens.runs.REFRESH", 0.05)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await in_list("down", "down")(app, pilot)
        make_run(out, "newer", {}, "stopped")
        await until(pilot, lambda: len(rows(app)) == 5)
        await pilot.press("enter")

    app = drive(RunsScreen(out), script)
    assert app.result.paths == (out / "killed",), "the cursor stays on its run"


def test_no_runs_says_how_to_begin(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "no runs" in text_of(app, ".details"))
        await pilot.press("enter", "space", "d", "R", "e")
        assert app.result is UNSET

    drive(RunsScreen(tmp_path / "nothing"), script)


def test_age() -> None:
    assert [age(t) for t in (-3, 59, 3599, 7300, 86400 * 5)] == [
        "0 min",
        "0 min",
        "59 min",
        "2 h",
        "5 d",
    ]


# -- summaries


def test_summary_reads_the_end(out: Path) -> None:
    found = summary(out / "done")
    assert found.best == {"dense": 1.625, "moe": 1.5}
    assert (found.step, found.steps, found.wall_seconds) == (500, 10000, 50.0)
    assert summary(out / "done") is found, "nothing is read again"
    assert summary(out / "fresh").best == {}
    assert found.settings["preset"] == "micro"
    assert {run.name for run in list_runs(out)} == {"live", "done", "killed", "fresh"}


def test_summary_forgets_what_a_resume_took_back(tmp_path: Path) -> None:
    path = make_run(tmp_path, "a", {"model": "dense"}, "killed", losses=(1.75,))
    with RunWriter.open(path) as writer:
        writer.append(evaluation("dense", 700, 1.25, 70.0))
        writer.append(ResumeRecord(time=5.0, step=600, models={"dense": 600}))
    found = summary(path)
    assert found.best == {"dense": 1.75}
    assert found.step == 600


def test_summary_looks_far_back_for_an_evaluation(tmp_path: Path) -> None:
    path = make_run(tmp_path, "a", {"model": "dense"}, "live", losses=(1.75,))
    line = b'{"kind": "unknown", "time": 1.0, "padding": "' + b"x" * 100 + b'"}\n'
    with open(path / "metrics.jsonl", "ab") as file:
        file.write(line * 3000 + b'{"kind": "eval", "torn')
    assert summary(path).best == {"dense": 1.75}


# -- the start


@pytest.mark.parametrize("size", [(80, 21), (120, 33)])
def test_start(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "machine_speed", lambda: 226e9)
    monkeypatch.setattr(costs, "default_preset", lambda: "nano")
    monkeypatch.setattr(costs, "uses_gpu", lambda config: False)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "5 min" in rows(app)[1])
        assert [row.split()[0] for row in rows(app)] == list(PRESETS)
        assert "4/4/128" in rows(app)[1]
        assert "a␛b.txt" in text_of(app, ".keys")
        await pilot.press("up", "enter")

    assert drive(None, script, size).result == "micro"
