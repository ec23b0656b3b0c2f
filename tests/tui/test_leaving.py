"""What is printed when the app is left."""

import shlex
from pathlib import Path

from tests.helpers.runs import make_run
from tinygpt_tui.cli import make_parser
from tinygpt_tui.leaving import parting_words
from tinygpt_tui.opening import plan


def test_what_goes_on_is_said_with_a_command_that_finds_it(tmp_path: Path) -> None:
    out = tmp_path / "my runs"
    live = make_run(out, "live", {}, "live")
    done = make_run(out, "done", {}, "done")
    stopping = make_run(out, "stopping", {}, "stopped")
    (out / "new").mkdir()
    runs = [live, done, out / "new", live, stopping]
    said = list(parting_words(runs, starting=[out / "new"], stopping=[stopping]))
    openings = [line.partition(": ") for line in said]
    assert [words for words, _, _ in openings] == [
        "live is still training; attach with",
        "new is starting; attach with",
        "stopping stops after a checkpoint; resume it later with",
    ]
    for (_, _, command), run in zip(openings, (live, None, stopping), strict=True):
        words = shlex.split(command)
        options = make_parser().parse_args(words[1:])
        assert run is None or plan(options).run == run
