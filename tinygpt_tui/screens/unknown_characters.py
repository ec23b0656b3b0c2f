"""Ask what to do about characters that the models do not know."""

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
    """`take` a text: at once if the models know all of it, else as a person wants it mended.

    `unknown` gives the characters of a text that no model knows; `back` is for who mends it alone.
    """
    strange = unknown(text)
    if not strange:
        take(text)
        return
    choices = [("d", "drop", "Drop them"), ("c", "cancel", "Back to the text")]
    if not unknown(" "):
        choices.insert(1, ("r", "replace", "Put a space for each"))

    def answered(answer: str | None) -> None:
        if answer not in ("drop", "replace"):
            back()
            return
        instead = " " if answer == "replace" else ""
        take("".join(instead if c in strange else c for c in text))

    question = f"The models do not know {summarize(sorted(strange), 8)}."
    app.push_screen(
        Ask(
            question,
            choices,
            title="Unknown characters",
        ),
        answered,
    )
