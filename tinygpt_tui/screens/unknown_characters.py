"""Ask what to do with characters that are not in the vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from tinygpt.data.tokenizer import summarize
from tinygpt_tui.screens.dialog import Ask


def with_known(
    app: App[Any],
    text: str,
    unknown: Callable[[str], set[str]],
    take: Callable[[str], None],
    back: Callable[[], object],
) -> None:
    """Call `take` with a text of known characters only, or `back` if the user cancels.

    `unknown` gives the characters of a text that the models do not know. If there are any, the user
    chooses to remove them or to replace each with a space.
    """
    strange = unknown(text)
    if not strange:
        take(text)
        return
    choices = [("d", "drop", "Delete them"), ("c", "cancel", "Back to the text")]
    if not unknown(" "):
        choices.insert(1, ("r", "replace", "Replace with spaces"))

    def answered(answer: str | None) -> None:
        if answer not in ("drop", "replace"):
            back()
            return
        instead = " " if answer == "replace" else ""
        take("".join(instead if c in strange else c for c in text))

    question = f"Not in the vocabulary: {summarize(sorted(strange), 8)}"
    app.push_screen(Ask(question, choices, title="Unknown characters"), answered)
