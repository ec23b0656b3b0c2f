"""Textual bindings from the key table."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tinygpt_tui.keymap import Key

PRIORITY = ("tab", "shift+tab", "ctrl+c", "ctrl+z")
"""Keys that do the same where fields have another use for them."""


def bindings(*groups: tuple[Key, ...]) -> list[BindingType]:
    """The bindings of these groups of keys."""
    return [
        Binding(
            key.keys,
            key.action,
            key.label,
            key_display=key.text,
            priority=key.keys in PRIORITY,
            show=False,
        )
        for group in groups
        for key in group
    ]
