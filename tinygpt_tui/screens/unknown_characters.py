"""Ask what to do with characters that are not in the vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from tinygpt.data.characters import summarize
from tinygpt_tui.screens.dialog import Ask


def resolve_unknown(
    app: App[Any],
    text: str,
    unknown: Callable[[str], set[str]],
    use: Callable[[str], None],
    cancel: Callable[[], object],
) -> None:
    """Call `use` with the text, without unknown characters, or `cancel` if the user cancels.

    `unknown` returns the characters of a text that are not in the vocabulary. If there are any, the
    user chooses whether to remove them or to replace each with a space.
    """
    missing = unknown(text)
    if not missing:
        use(text)
        return
    choices = [("d", "drop", "Delete them"), ("c", "cancel", "Back to the text")]
    if not unknown(" "):
        choices.insert(1, ("r", "replace", "Replace with spaces"))

    def answered(answer: str | None) -> None:
        if answer not in ("drop", "replace"):
            cancel()
            return
        substitute = " " if answer == "replace" else ""
        use("".join(substitute if c in missing else c for c in text))

    question = f"Not in the vocabulary: {summarize(sorted(missing), 8)}"
    app.push_screen(Ask(question, choices, title="Unknown characters"), answered)
