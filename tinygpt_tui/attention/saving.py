"""Save a map, all heads, their statistics, or a picture of the Attention tab."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from textual.app import App

from tinygpt.analysis import export
from tinygpt.files import atomic
from tinygpt_tui.attention.state import AttentionState
from tinygpt_tui.screens.dialog import AskText
from tinygpt_tui.screens.file_name import save_problem, typed_path
from tinygpt_tui.screens.pick import PickDialog, PickResult

KINDS = [
    ("csv", "this map as CSV, one row per query"),
    ("npz", "all layers and heads as NPZ, for NumPy"),
    ("heads", "statistics of all heads as CSV"),
    ("svg", "this view as an SVG picture"),
]


def ask_and_save(app: App[Any], state: AttentionState, picture: Callable[[], str]) -> None:
    """Ask what to save and where, then save it; `picture` returns the SVG."""
    if state.shown is None:
        app.notify("There is nothing to save yet", severity="warning")
        return

    def picked(kind: PickResult | None) -> None:
        if kind is not None:
            app.push_screen(
                AskText(
                    "Save to a file; an existing one is not replaced",
                    file_name(state, kind.value),
                    save_problem,
                    title="Save",
                    keep=True,
                ),
                lambda name: named(kind.value, name),
            )

    def named(kind: str, name: str | None) -> None:
        if not name:
            return
        path = typed_path(name)
        try:
            save(state, kind, path, picture)
        except OSError as error:
            app.notify(f"cannot write {path}: {error.strerror}", severity="error", markup=False)
            return
        app.notify(f"Saved {os.path.abspath(path)}", markup=False)

    app.push_screen(PickDialog("Save", KINDS), picked)


def file_name(state: AttentionState, kind: str) -> str:
    """The suggested file name."""
    assert state.shown is not None
    choice = state.choice
    part = f"head{choice.head}" if choice.mode == "head" else choice.mode
    ending = {
        "csv": f"layer{choice.layer}-{part}.csv",
        "npz": "attention.npz",
        "heads": "heads.csv",
        "svg": f"{choice.level}.svg",
    }[kind]
    return f"{state.shown.variant}-{state.shown.step}-{ending}"


def save(state: AttentionState, kind: str, path: Path, picture: Callable[[], str]) -> None:
    """Write one of `KINDS`.

    Raises:
        OSError: the file cannot be written.
    """
    shown = state.shown
    assert shown is not None
    match kind:
        case "csv":
            export.write_map_csv(path, state.matrix, list(shown.texts))
        case "npz":
            export.write_npz(
                path,
                attention=shown.attention,
                tokens=np.array(shown.texts),
                step=np.array(shown.step),
                variant=np.array(shown.variant),
                start=np.array(shown.start),
                **state.statistics,
            )
        case "heads":
            export.write_heads_csv(path, state.statistics)
        case _:
            atomic.write_text(path, picture())
