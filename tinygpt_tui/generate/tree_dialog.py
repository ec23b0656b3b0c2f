"""The dialogs for all texts of the session: show, compare, name, delete a branch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from tinygpt.escape import printable
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.tree import Text, Tree
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.pick import PickDialog, PickResult
from tinygpt_tui.theme import NAMES

LABEL_WIDTH = 96


def open_tree(app: App[Any], controller: GenerateController, redraw: Callable[[], None]) -> None:
    """List all texts, each with its branches below it."""
    controller.remove_empty()
    heading, entries = tree_entries(controller.tree)
    if not entries:
        app.notify("No text yet: g generates one", severity="warning")
        return

    def picked(result: PickResult | None) -> None:
        text = controller.tree.texts.get(int(result.value)) if result else None
        if result is None or text is None:
            return
        if result.action == "rename":
            _name(app, text, lambda: open_tree(app, controller, redraw))
        elif result.action == "delete":
            _delete_branch(app, controller, text, redraw)
        else:
            controller.show(text, other=result.action == "compare")
        redraw()

    text = controller.text
    at = [value for value, _ in entries].index(str(text.id)) if text else 0
    dialog = PickDialog("Texts", entries, group="All texts", at=at, heading=heading)
    app.push_screen(dialog, picked)


def tree_entries(tree: Tree) -> tuple[str, list[tuple[str, str]]]:
    """The headings of the columns, and (id, label) of every text; labels show depth, model, step,
    mean NLL, name, and the first words from where a text branches."""
    ids, cells = [], [("text", "model", "step", "mean NLL", "begins with")]
    for depth, text in tree.walk():
        corner = "└ " if depth else ""
        opened = text.opened
        model = NAMES.get(opened.variant, opened.variant) if opened else "?"
        step = f"{opened.step:,}" if opened else ""
        begin = printable(text.prompt + text.text)
        if depth:
            branch = "".join(token.text for token in text.tokens[text.at :])
            begin = f"at {text.at + 1}: {printable(branch)}"
        name = f"[{printable(text.name)}] " if text.name else ""
        nll = f"{text.mean_surprisal:z.2f}" if text.tokens else "-"
        ids.append(str(text.id))
        cells.append(
            (f"{'  ' * max(depth - 1, 0)}{corner}{text.id}", model, step, nll, name + begin)
        )
    wide = [max(len(line[column]) for line in cells) for column in range(4)]
    heading, *labels = (
        f"{text:<{wide[0]}}  {model:<{wide[1]}}  {step:>{wide[2]}}  {nll:>{wide[3]}}  {begin}"[
            :LABEL_WIDTH
        ]
        for text, model, step, nll, begin in cells
    )
    return heading, list(zip(ids, labels, strict=True))


def _name(app: App[Any], text: Text, done: Callable[[], None]) -> None:
    def answered(name: str | None) -> None:
        text.name = name if name is not None else text.name
        done()

    app.push_screen(
        AskText(
            f"Name of text {text.id}",
            text.name,
            lambda name: None if name.isprintable() else "Use printable characters only",
            title="Name",
        ),
        answered,
    )


def _delete_branch(
    app: App[Any], controller: GenerateController, text: Text, redraw: Callable[[], None]
) -> None:
    def answered(answer: str | None) -> None:
        if answer == "delete":
            controller.prune(text)
        redraw()

    choices = [("d", "delete", "Delete"), ("c", "cancel", "Cancel")]
    question = f"Delete text {text.id} and every text branched from it?"
    app.push_screen(Ask(question, choices, title="Delete branch"), answered)
