"""The runs in a folder."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.permissions import closed, public_folder
from tests.helpers.run_files import (
    CONFIG,
    NOW,
    START,
    own_status,
)
from tinygpt import run
from tinygpt.errors import RunError
from tinygpt.run.status import write_status


def make_run(path: Path, created: float, **changes: Any) -> None:
    with run.RunWriter.create(path, CONFIG, "{}", clock=lambda: NOW) as writer:
        writer.append(dataclasses.replace(START, time=created))
    write_status(path, own_status(**changes))


def test_lists(tmp_path: Path) -> None:
    assert run.list_runs(tmp_path / "missing") == []
    assert run.newest_run(tmp_path) is None
    assert run.live_run(tmp_path) is None
    make_run(tmp_path / "old", 100.0, state="done")
    make_run(tmp_path / "middle", 200.0)
    make_run(tmp_path / "paused", 250.0, state="paused")
    make_run(tmp_path / "newer", 300.0, process_started=1.0)
    make_run(tmp_path / "broken", 400.0)
    (tmp_path / "broken" / run.RUN_TOML).write_text("a =")
    make_run(tmp_path / ".hidden", 500.0)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    listed = run.list_runs(tmp_path, now=NOW)
    assert [(info.name, info.state.state, info.created) for info in listed] == [
        ("broken", "unreadable", 400.0),
        ("newer", "killed", 300.0),
        ("paused", "paused", 250.0),
        ("middle", "live", 200.0),
        ("old", "done", 100.0),
    ]
    assert "run.toml is not valid TOML" in listed[0].state.reason
    assert {info.corpus for info in listed} == {"tinyshakespeare"}
    newest, live = run.newest_run(tmp_path, now=NOW), run.live_run(tmp_path, now=NOW)
    assert newest is not None
    assert live is not None
    assert (newest.name, live.name, live.path) == ("newer", "middle", tmp_path / "middle")


def test_a_stalled_run_is_not_preferred(tmp_path: Path) -> None:
    make_run(tmp_path / "stalled", 100.0, host="elsewhere")
    make_run(tmp_path / "done", 200.0, state="done")
    current = run.current_run(tmp_path, now=NOW + 29)
    assert current is not None
    assert (current.name, current.state.state) == ("stalled", "live")
    for now in (NOW + 31, NOW - 86400):
        current = run.current_run(tmp_path, now)
        assert current is not None
        assert current.name == "done"
        assert run.live_run(tmp_path, now) is None


def test_a_folder_with_only_a_log_is_a_new_run(folder: Path) -> None:
    folder.mkdir()
    (folder / run.LOG).touch()
    (listed,) = run.list_runs(folder.parent)
    assert (listed.name, listed.state.state, listed.corpus) == ("nano", "new", None)


def test_a_closed_folder_is_listed_with_its_reason_beside_the_rest() -> None:
    with public_folder() as out:
        make_run(out / "open", 100.0, state="done")
        (out / "shut").mkdir()
        make_run(out / "hidden" / "inner", 300.0)
        (out / "link").symlink_to(out / "hidden" / "inner")
        (out / "loop").symlink_to(out / "loop")
        (out / "file").touch(mode=0)
        (out / "hidden").chmod(0)
        with closed(out / "shut"):
            listed = {info.name: info.state for info in run.list_runs(out, now=NOW)}
            newest = run.current_run(out, now=NOW)
        assert listed.keys() == {"open", "shut", "hidden", "link", "loop"}
        assert {name for name, state in listed.items() if state.state != "unreadable"} == {"open"}
        assert listed["shut"].reason.endswith(": Permission denied")
        assert newest is not None
        assert newest.name == "open"


def test_runs_in_a_closed_folder_cannot_be_listed() -> None:
    with public_folder() as out:
        make_run(out / "runs" / "a", 100.0)
        with (
            closed(out / "runs"),
            pytest.raises(RunError, match=r"cannot list .* Permission denied"),
        ):
            run.list_runs(out / "runs")
