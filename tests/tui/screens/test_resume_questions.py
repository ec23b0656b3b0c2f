"""Which question follows from the trainer's error, and what the answer adds to the options."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.helpers.screens import UNSET, Host, drive, text_of
from tinygpt_tui.screens.resume_questions import ask_remedy

NO_TEXT = "the corpus of runs/a is neither at t.txt nor here: name it with --resume --data PATH"
LESS_GPUS = (
    "runs/a was started with --device cuda:2, which is not available here (there are 2 GPUs, "
    "cuda:0 to cuda:1): resume it with --device cuda"
)
NO_GPU = "runs/a was started with --device cuda, which is not available here: use --device cpu"


def answer(failure: str, options: list[str], *keys: str) -> object:
    """The options of the next try after these keys; UNSET if there is none."""

    async def script(app: Host, pilot: Pilot[None]) -> None:
        asked = ask_remedy(app, failure, options, lambda others: setattr(app, "result", others))
        assert asked is (len(app.screen_stack) > 1)
        await pilot.pause()
        await pilot.press(*keys)

    return drive(None, script).result


def test_the_answer_is_added_to_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text").touch()
    path = str(tmp_path / "text")
    assert answer(NO_TEXT, [], *"text", "enter") == ["--data", path]
    assert answer(NO_GPU, ["--data", path], "r") == ["--data", path, "--device", "cpu"]
    assert answer(LESS_GPUS, [], "r") == ["--device", "cuda"]
    assert answer(NO_TEXT, ["--data", "x", "--device", "cpu"], "backspace", *"text", "enter") == (
        ["--data", path, "--device", "cpu"]
    )


@pytest.mark.parametrize(
    ("failure", "options"),
    [
        (NO_TEXT, []),
        (NO_GPU, []),
        (NO_GPU, ["--device", "cpu"]),
        ("runs/a is being trained by process 7", []),
    ],
)
def test_esc_and_other_errors_resume_nothing(failure: str, options: list[str]) -> None:
    assert answer(failure, options, "escape") is UNSET


def test_a_file_that_was_not_the_text_is_named() -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        assert ask_remedy(app, NO_TEXT, ["--data", "/x/y"], lambda _: None)
        await pilot.pause()
        assert "/x/y is not the text that this run" in text_of(app, ".question")
        assert app.screen.query_one(Input).value == "/x/y"

    drive(None, script)
