"""What to ask when a run cannot be resumed because this machine, or its folders, are others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from textual.app import App

from tinygpt.fields import flag
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.file_name import file_problem, typed_path

DATA, DEVICE = flag("data"), flag("device")


def ask_remedy(
    app: App[Any], failure: str, options: Sequence[str], resume: Callable[[list[str]], None]
) -> bool:
    """Ask for the flag that the trainer's error names: the file of the corpus, or a device.

    Args:
        app: shows the question.
        failure: why the resume failed, in the trainer's words.
        options: flags and values that it was given.
        resume: tries again with other options.

    Returns:
        Whether a question was asked; False if no flag would help.
    """
    given = dict(zip(options[::2], options[1::2], strict=True))

    def retry(name: str, value: str) -> None:
        resume([word for pair in {**given, name: value}.items() for word in pair])

    if DEVICE in failure and DEVICE not in given:
        found = re.search(rf"{DEVICE} (\w+)$", failure)  # the error ends with what there is
        device = found[1] if found else "cpu"
        _ask_device(app, device, lambda: retry(DEVICE, device))
    elif DATA in failure:
        _ask_corpus(app, given.get(DATA), lambda path: retry(DATA, path))
    else:
        return False
    return True


def _ask_device(app: App[Any], device: str, resume: Callable[[], None]) -> None:
    question = "The device that this run was started on is not available here."
    where = "the CPU" if device == "cpu" else f"a GPU ({device})"
    choices = [("r", "resume", f"Resume on {where}"), ("c", "cancel", "Cancel")]

    def answered(answer: str | None) -> None:
        if answer == "resume":
            resume()

    app.push_screen(Ask(question, choices, title="Resume"), answered)


def _ask_corpus(app: App[Any], tried: str | None, resume: Callable[[str], None]) -> None:
    """`tried` is the file that was named before, which has another text."""
    what = "the text that this run was started with"
    question = f"{tried} is not {what}." if tried else f"{what.capitalize()} was not found."

    def answered(name: str | None) -> None:
        if name:
            resume(str(typed_path(name).absolute()))

    ask = AskText(f"{question} Name its file:", tried or "", file_problem, title="Resume")
    app.push_screen(ask, answered)
