"""Copy a generated text to the clipboard, or save it to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from textual.app import App

from tinygpt.command.results import json_text
from tinygpt.files import atomic
from tinygpt_tui.generate.tree import Text, reproducible
from tinygpt_tui.screens.dialog import AskText
from tinygpt_tui.screens.file_name import save_problem, typed_path


def copy_text(app: App[Any], text: Text) -> None:
    """Copy prompt and continuation to the terminal's clipboard."""
    app.copy_to_clipboard(text.prompt + text.text)
    app.notify(f"Copied {len(text.prompt) + len(text.text):,} characters", timeout=2)


def ask_file(app: App[Any], text: Text) -> None:
    """Ask for a file name, then save the text there."""
    opened = text.opened
    stem = f"{opened.variant}-{opened.step}" if opened else "text"
    name = f"{stem}-seed{text.params.seed}.json"
    question = "Save to a file: .json holds everything needed to reproduce it, else the text alone"

    def answered(answer: str | None) -> None:
        if answer:
            _save(app, text, typed_path(answer))

    app.push_screen(AskText(question, name, save_problem, title="Save", keep=True), answered)


def _save(app: App[Any], text: Text, path: Path) -> None:
    content = text.prompt + text.text + "\n"
    if path.suffix == ".json":
        content = json_text(reproducible(text), indent=2) + "\n"
    try:
        atomic.write_text(path, content)
    except OSError as error:
        app.notify(f"cannot write {path}: {error.strerror}", severity="error", markup=False)
        return
    app.notify(f"Saved {os.path.abspath(path)}", markup=False)
