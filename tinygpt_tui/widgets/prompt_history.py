"""The history of prompts, saved between sessions."""

from __future__ import annotations

from tinygpt_tui.user_files import read_json, write_json

MAX_PROMPTS = 500
"""Older prompts are dropped."""
DEFAULT_PROMPT = "ROMEO:"
FILE = "prompts.json"


class PromptHistory:
    """Prompts, oldest first, and the position that up and down have reached."""

    def __init__(self) -> None:
        saved = read_json(FILE)
        self.all = [p for p in saved if isinstance(p, str) and p] if isinstance(saved, list) else []
        self.position = len(self.all)

    @property
    def last(self) -> str:
        """The most recent prompt."""
        return self.all[-1] if self.all else DEFAULT_PROMPT

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
