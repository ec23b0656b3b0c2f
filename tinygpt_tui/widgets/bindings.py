"""Textual bindings from the key table."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from tinygpt_tui.keymap import Key


def bindings(*groups: tuple[Key, ...]) -> list[BindingType]:
    """The bindings of these groups of keys."""
    return [
        Binding(
            key.keys,
            key.action,
            key.label,
            key_display=key.text,
            priority=key.keys in ("tab", "shift+tab"),
            show=False,
        )
        for group in groups
        for key in group
    ]
