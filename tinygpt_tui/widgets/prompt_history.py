"""The history of prompts, saved between sessions."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tinygpt_tui.user_files import read_json, write_json

MAX_PROMPTS = 500
"""Older prompts are dropped."""
DEFAULT_PROMPT = "ROMEO:"
"""The prompt for a model of Shakespeare that has its characters, while none is remembered."""
FILE = "prompts.json"


class PromptHistory:
    """Prompts, oldest first, and the position that up and down have reached."""

    def __init__(self) -> None:
        saved = read_json(FILE)
        self.all = [p for p in saved if isinstance(p, str) and p] if isinstance(saved, list) else []
        self.position = len(self.all)

    def suggestion(
        self, unknown: Callable[[str], Collection[str]], *, shakespeare: bool = True
    ) -> str | None:
        """The most recent prompt without unknown characters, else `DEFAULT_PROMPT` if it has none
        and suits the corpus.

        `unknown` returns the characters of a text that are outside the vocabulary.
        """
        candidates = (*reversed(self.all), *([DEFAULT_PROMPT] if shakespeare else []))
        return next((prompt for prompt in candidates if not unknown(prompt)), None)

    def add(self, prompt: str) -> None:
        """Add a prompt at the end, without its earlier copy, and reset the position to the end."""
        if prompt:
            self.all = [*(p for p in self.all if p != prompt), prompt][-MAX_PROMPTS:]
            write_json(FILE, self.all)
        self.position = len(self.all)

    def move(self, by: int, current: str) -> str:
        """The prompt `by` places later; `current` if there is none."""
        position = self.position + by
        if not 0 <= position < len(self.all):
            return current
        self.position = position
        return self.all[position]
