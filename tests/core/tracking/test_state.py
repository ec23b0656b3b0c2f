"""tracking.json: kept, refused when damaged, and which trackers a resume continues with."""

import json
from pathlib import Path
from typing import Any

import pytest

from tinygpt.errors import RunError
from tinygpt.tracking.state import (
    TRACKING,
    TrackingState,
    followed_by,
    in_words,
    make_folder,
    note_problem,
    read_tracking,
    write_tracking,
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = TrackingState(sent={"moe": 7}, live=True)
    first = state.id("dense")
    assert state.id("dense") == first != state.id("moe")
    write_tracking(tmp_path, state)
    assert read_tracking(tmp_path) == state


def test_without_a_file_nothing_was_sent(tmp_path: Path) -> None:
    assert read_tracking(tmp_path) == TrackingState()


@pytest.mark.parametrize(
    "change",
    [
        {"sent": {"dense": "3"}},
        {"sent": {"dense": 1 << 80}},
        {"sent": None},
        {"ids": {"dense": "../../x"}},
        {"ids": {"dense": 3}},
        {"live": "yes"},
        {"problem": 3},
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write_tracking(tmp_path, TrackingState())
    data = json.loads((tmp_path / TRACKING).read_text())
    (tmp_path / TRACKING).write_text(json.dumps(data | change))
    with pytest.raises(RunError, match=r"tracking\.json is damaged: delete it to send"):
        read_tracking(tmp_path)


def test_a_resume_continues_with_what_followed_the_training(tmp_path: Path) -> None:
    for name, live in (("wandb", True), ("tensorboard", False), ("dense", True)):
        (tmp_path / name).mkdir()
        write_tracking(tmp_path / name, TrackingState(live=live))
    (tmp_path / "trackio").mkdir()
    (tmp_path / "trackio" / TRACKING).write_text("{")
    assert followed_by(tmp_path) == ["wandb"]


def test_what_went_wrong_is_known_until_it_is_tried_again(tmp_path: Path) -> None:
    for name in ("tensorboard", "wandb"):
        write_tracking(make_folder(tmp_path, name), TrackingState(sent={"moe": 3}))
    note_problem(tmp_path / "wandb", "the server")
    assert in_words(tmp_path) == "tensorboard, wandb (stopped: the server)"
    assert read_tracking(tmp_path / "wandb").sent == {"moe": 3}
    note_problem(tmp_path / "nowhere", "it is gone")
    assert in_words(tmp_path / "nowhere") == ""
