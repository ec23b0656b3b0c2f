"""The history of prompts, kept between sessions."""

from __future__ import annotations

from tinygpt_tui.user_files import read_json, write_json

MAX_PROMPTS = 500
"""The newest prompts, which are kept."""
DEFAULT_PROMPT = "ROMEO:"


class Prompts:
    """Prompts, oldest first, and the place that up and down have reached among them."""

    def __init__(self) -> None:
        found = read_json("prompts.json")
        self.all = [p for p in found if isinstance(p, str) and p] if isinstance(found, list) else []
        self.place = len(self.all)

    @property
    def last(self) -> str:
        """The most recent prompt."""
        return self.all[-1] if self.all else DEFAULT_PROMPT

    def add(self, prompt: str) -> None:
        """Add a prompt, or move it to the end; from there the history is walked again."""
        if prompt:
            self.all = [*(p for p in self.all if p != prompt), prompt][-MAX_PROMPTS:]
            write_json("prompts.json", self.all)
        self.place = len(self.all)

    def move(self, by: int, now: str) -> str:
        """The prompt `by` places later; `now` if there is none."""
        place = self.place + by
        if not 0 <= place < len(self.all):
            return now
        self.place = place
        return self.all[place]
