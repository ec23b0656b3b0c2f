"""The pages about a run as text."""

from dataclasses import replace

import pytest

from tinygpt.config import build, flatten, unflatten
from tinygpt.run import CheckpointList, RunState
from tinygpt.run.disk import CheckpointSize, DiskUse
from tinygpt_tui.monitor.run_info import RunFacts
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.screens.run_info_rows import PAGES, Page, page_rows, tabs

TABLES = {
    **unflatten(
        flatten(
            build(
                {
                    "preset": "micro",
                    "steps": 301,
                    "gpt.tie_embeddings": False,
                    "optim.weight_decay": 2.5,
                    "optim.weight_decay_power": 0.3,
                }
            )
        )
    ),
    "corpus": {"name": "plays\x1b.txt", "sha256": "86c4e6aa9db7c042"},
    "versions": {"tinygpt-tui": "0.1.0", "torch": "2.13.0"},
    "argv": ["__main__.py", "--train-only", "--name", "two words"],
    "begun": "2026-11-14T09:30:00+0100",
}
FACTS = RunFacts(
    "old",
    RunState(state="done", reason="done at step 301"),
    TABLES,
    "cpu (1 thread)",
    "a\n\x1b[2Jb\n12%\r99%\nTraceback\n",
    2048,
    DiskUse(
        5_321_000,
        (
            CheckpointSize("dense", 0, 431_000, 0),
            CheckpointSize("dense", 301, 1_290_000, 860_000),
            CheckpointSize("moe", 301, 3_500_000, 2_000_000),
        ),
        {"metrics.jsonl": 100_000, "odd\x1bname": 0},
        51_400_000_000,
    ),
    {"dense": CheckpointList({0: None, 301: 1.75}), "moe": CheckpointList({301: 1.5})},
    "# Why\n\nto see whether it memorises\n  - a list\n",
)


def text(page: Page, columns: int = 100, facts: RunFacts = FACTS) -> list[str]:
    return [line.rstrip() for line in plain(page_rows(page, facts, columns))]


def test_trackers_and_what_went_wrong_are_shown() -> None:
    assert not any("sent to" in line for line in text("settings"))
    facts = replace(FACTS, trackers="tensorboard, wandb (stopped: the server)")
    assert " sent to     tensorboard, wandb (stopped: the server)" in text("settings", facts=facts)


@pytest.mark.parametrize("columns", [20, 50, 76, 116])
@pytest.mark.parametrize("page", PAGES)
def test_pages_fit_any_width_and_print_nothing_unprintable(page: Page, columns: int) -> None:
    rows = [*page_rows(page, FACTS, columns), tabs(page, FACTS, columns)]
    assert {width(cells) for cells in rows} == {columns}
    assert all(line.isprintable() for line in plain(rows))


def test_settings_begin_with_what_differs() -> None:
    lines = text("settings")
    assert lines[0].split(maxsplit=1) == ["state", "done at step 301"]
    assert " begun       2026-11-14 09:30" in lines
    assert " corpus      plays␛.txt, sha256 86c4e6aa9db7" in lines
    assert " command     tinygpt-tui --train-only --name 'two words'" in lines
    at = next(i for i, line in enumerate(lines) if "differ" in line)
    assert lines[at].strip().startswith("1 of ")
    assert lines[at].endswith("settings differ from the preset micro")
    assert lines[at + 1].split() == ["steps", "301", "micro:", "10000"]
    assert lines[at + 2] == ""
    decay = [line for line in lines if line.split()[:2] == ["weight_decay", "2.5"]]
    assert decay[0].endswith("chosen by the recipe, for epochs and parameters")
    tied = [line for line in lines if line.split()[:1] == ["tie_embeddings"]]
    assert tied[0].endswith("chosen by the recipe, for the vocabulary")
    assert any(line.split()[:3] == ["layers", "2", "Transformer"] for line in lines)


def test_the_log_is_printable_and_shows_the_end_of_a_progress_bar() -> None:
    assert text("log") == [
        " 2.0 kB before this are in train.log",
        " a",
        " ␛[2Jb",
        " 99%",
        " Traceback",
    ]
    assert text("log", facts=replace(FACTS, log="")) == [" train.log is empty or missing"]


def test_the_disk_page_says_what_is_kept_and_why() -> None:
    lines = text("disk")
    assert lines[0] == " 5.3 MB in all, 51.4 GB free on this disk"
    assert any(line.startswith(" Dense checkpoints       1.7 MB") for line in lines)
    assert any("metrics.jsonl" in line and "all losses" in line for line in lines)
    assert [line.split() for line in lines[-3:]] == [
        ["Dense", "301", "1.3", "MB", "860", "kB", "1.7500", "best,", "newest"],
        ["Dense", "0", "431", "kB", "-", "-", "snapshot"],
        ["MoE", "301", "3.5", "MB", "2.0", "MB", "1.5000", "best,", "newest"],
    ]
    assert text("disk", facts=RunFacts("old")) == [" Measuring"]


def test_the_note() -> None:
    assert text("note") == [" # Why", "", " to see whether it memorises", "   - a list"]
    assert "press e" in text("note", facts=RunFacts("old"))[0]


def test_what_could_not_be_read_is_said_on_every_page() -> None:
    facts = RunFacts("old", problem="run.toml is missing")
    assert all(text(page, facts=facts)[0] == " run.toml is missing" for page in PAGES)
