"""The prompts that were used, over all sessions."""

from __future__ import annotations

from tinygpt_tui.user_files import read_json, write_json

MOST = 500
"""Prompts that are kept, the newest."""
FIRST = "ROMEO:"


class Prompts:
    """The prompts that were used, oldest first, and a place among them."""

    def __init__(self) -> None:
        found = read_json("prompts.json")
        self.all = [p for p in found if isinstance(p, str) and p] if isinstance(found, list) else []
        self.place = len(self.all)

    @property
    def last(self) -> str:
        """The one used last."""
        return self.all[-1] if self.all else FIRST

    def used(self, prompt: str) -> None:
        """Remember a prompt; one that was used before moves to the end."""
        if prompt:
            self.all = [*(p for p in self.all if p != prompt), prompt][-MOST:]
            write_json("prompts.json", self.all)
        self.place = len(self.all)

    def move(self, by: int, now: str) -> str:
        """The one before or after; beyond the newest, what there is now."""
        place = self.place + by
        if not 0 <= place < len(self.all):
            return now
        self.place = place
        return self.all[place]
