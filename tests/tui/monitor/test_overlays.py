"""Overlaid runs in the app."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.helpers.app import drive, opened, screen_text, until
from tests.helpers.records import started
from tests.helpers.scenes import make_run, records
from tinygpt.run import RunWriter
from tinygpt_tui.app import LabApp
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.overlays import Overlay, tokens_differ
from tinygpt_tui.screens.compare_runs import CompareRunsScreen
from tinygpt_tui.screens.run_list import RunList


def history(corpus: dict[str, Any], tokenizer: dict[str, Any] | None = None) -> History:
    """A run of which the start is known."""
    found = History()
    found.start = replace(started(), corpus=corpus, tokenizer=tokenizer)
    return found


@pytest.mark.parametrize(
    ("corpus", "compares"),
    [
        ({"sha256": "1", "name": "moved"}, True),
        ({"sha256": "2"}, False),
        ({"sha256": "1", "val_sha256": "3"}, False),
        ({"sha256": "1", "split": "validation 0.2, test 0"}, False),
    ],
)
def test_losses_compare_on_the_same_validation_text(
    corpus: dict[str, Any], *, compares: bool
) -> None:
    overlay = Overlay("other", history(corpus), 1)
    assert overlay.is_comparable(history({"sha256": "1"})) == compares


@pytest.mark.parametrize(
    ("tokenizer", "differs"),
    [
        ({"kind": "bpe", "vocab_size": 512, "sha256": "1"}, False),
        ({"kind": "bpe", "vocab_size": 512, "sha256": "2"}, True),
        ({"kind": "wordpiece", "vocab_size": 512, "sha256": "1"}, True),
        ({"kind": "char", "vocab_size": 65, "sha256": "1"}, True),
        (None, True),
    ],
)
def test_vocabularies_of_one_size_may_differ(
    tokenizer: dict[str, Any] | None, *, differs: bool
) -> None:
    known = {"kind": "bpe", "vocab_size": 512, "sha256": "1"}
    overlay = Overlay("other", history({}, tokenizer), 1)
    assert tokens_differ(history({}, known), [overlay]) == differs


def test_overlaid_runs_are_read_on_while_they_grow(tmp_path: Path, live: RunWriter) -> None:
    other = make_run(tmp_path, "other", records(10))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app.open_run(live.path)
        await opened(app, pilot)
        app.overlays.show([other.path])
        await until(pilot, lambda: bool(app.overlays.current.overlays[0].history.step == 10))
        for record in records(20)[1:]:
            if getattr(record, "step", 0) > 10:
                other.append(record)
        app.overlays.poll()
        await until(pilot, lambda: app.train.state.overlays[0].history.step == 20)
        await until(pilot, lambda: "other" in screen_text(app))
        await pilot.press("equals_sign")
        await until(pilot, lambda: isinstance(app.screen, CompareRunsScreen))
        assert [run.name for run in app.screen._compared()] == ["alive", "other"]  # type: ignore[attr-defined]
        await pilot.press("equals_sign", "o")
        assert app.overlays.paths == ()
        assert app.train.state.overlays == ()
        await until(pilot, lambda: "other" not in screen_text(app))

    drive(tmp_path, body)


def test_overlays_are_replaced_while_they_are_read(tmp_path: Path, live: RunWriter) -> None:
    other = make_run(tmp_path, "other", records(10))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await opened(app, pilot)
        app.overlays.show([other.path])
        app.overlays.show([live.path])
        await until(pilot, lambda: bool(app.overlays.current.overlays[0].history.step == 30))
        assert [overlay.name for overlay in app.train.state.overlays] == ["alive"]

    drive(tmp_path, body)


def test_runs_are_overlaid_from_the_list_and_an_opened_one_is_none(tmp_path: Path) -> None:
    for name, last in (("a", 10), ("b", 20), ("c", 30)):
        with make_run(tmp_path, name, records(last, end=True)) as writer:
            writer.status("done", last)

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        async def list_runs() -> None:
            await pilot.press("r")
            await until(pilot, lambda: len(app.screen.query(RunList)) == 1)
            await until(pilot, lambda: app.screen.query_one(RunList).chosen == "a")

        await opened(app, pilot, 10)
        await list_runs()
        await pilot.press("down", "space", "space", "escape")
        assert not app.overlays.paths, "Esc applies nothing"
        await list_runs()
        await pilot.press("down", "space", "space", "o")
        assert app.overlays.paths == (tmp_path / "b", tmp_path / "c")
        await until(pilot, lambda: all(o.history.step for o in app.train.state.overlays))
        await until(pilot, lambda: "2 c" in screen_text(app))
        await list_runs()
        await pilot.press("down", "enter")
        assert app.run_path == tmp_path / "b"
        assert [path.name for path in app.overlays.paths] == ["c"]

    drive(tmp_path, body)
