"""The dialogs for choosing, saving and deleting presets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from tinygpt.generation.params import SamplingParams, describe_filters
from tinygpt_tui.generate.presets import (
    PRESETS,
    all_presets,
    delete_preset,
    preset_name,
    save_preset,
    saved_presets,
    with_preset,
)
from tinygpt_tui.render.cells import padded
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.pick import PickDialog, PickResult


def open_presets(
    app: App[Any], params: SamplingParams, done: Callable[[SamplingParams], None]
) -> None:
    """List the presets; `done` is called with the settings to use from now on."""
    presets = all_presets()

    def save(name: str | None) -> None:
        if name:
            save_preset(name, params)
            done(params)

    def picked(result: PickResult | None) -> None:
        if result is None:
            return
        if result.action == "save":
            app.push_screen(
                AskText("Save current settings as", "", name_problem, title="Preset"), save
            )
        elif result.action == "delete":
            _delete(app, result.value, lambda: done(params))
        else:
            done(with_preset(params, presets[result.value]))

    entries = [
        (name, f"{padded(name, 12)} {describe_filters(preset)}") for name, preset in presets.items()
    ]
    now = preset_name(params, presets)
    at = list(presets).index(now) if now else 0
    app.push_screen(PickDialog("Presets", entries, group="Decoding presets", at=at), picked)


def name_problem(name: str) -> str | None:
    """Why a preset cannot have this name; None if it can."""
    if not name.strip() or not name.isprintable():
        return "Enter a name of printable characters"
    return f"{name} is built in: choose another name" if name in PRESETS else None


def _delete(app: App[Any], name: str, done: Callable[[], None]) -> None:
    if name not in saved_presets():
        app.notify(f"{name} is built in and cannot be deleted", severity="warning")
        return

    def answered(answer: str | None) -> None:
        if answer == "delete":
            delete_preset(name)
        done()

    choices = [("d", "delete", "Delete"), ("c", "cancel", "Cancel")]
    app.push_screen(Ask(f"Delete the preset {name}?", choices, title="Delete preset"), answered)
