"""The note about a trainer that was started elsewhere and reads its corpus."""

import os
from pathlib import Path

from tinygpt.run import LOG, RunState
from tinygpt_tui.launch.reading_note import ReadingNote
from tinygpt_tui.monitor.follower import RunUpdate

LINE = "encoding the corpus: 3% of 9.00 GB"


def test_it_is_shown_until_the_trainer_trains(tmp_path: Path) -> None:
    shown: list[str | None] = []
    note = ReadingNote(shown.append)
    log = tmp_path / LOG

    def update(state: str) -> None:
        note.update(RunUpdate(tmp_path, state=RunState(state=state, reason="")))  # type: ignore[arg-type]

    update("new")
    log.write_text("corpus: books\n")
    update("new")
    assert shown == [], "other notes stay"
    log.write_text(f"tinygpt-tui: {LINE}\n")
    update("new")
    update("live")
    update("live")
    assert shown == [LINE, None]
    os.utime(log, (1e9, 1e9))
    update("new")
    assert shown == [LINE, None], "whoever wrote that is gone"
