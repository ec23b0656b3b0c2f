"""The keys that choose what generates: which models, and which checkpoint of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import App

from tinygpt.run.checkpoints import Name
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.screens.pick_checkpoint import pick_checkpoint
from tinygpt_tui.theme import NAMES


def choose_checkpoint(
    app: App[Any], controller: GenerateController, done: Callable[[], None]
) -> None:
    """List the checkpoints of the selected variants; `done` is called after one was chosen."""
    if not controller.variants:
        app.notify("No checkpoint yet", severity="warning")
        return

    def picked(choice: Name | tuple[str, int]) -> None:
        controller.choose(choice)
        done()

    lists = {variant: controller.timelines[variant].checkpoints for variant in controller.variants}
    pick_checkpoint(app, lists, _chosen(controller), picked)


def _chosen(controller: GenerateController) -> Name | tuple[str, int]:
    """The entry to highlight: a step that was chosen, preferably of the active side's model, or
    else the name of what generates."""
    side = controller.side
    variant = side.text.opened.variant if side and side.text and side.text.opened else ""
    timelines = {v: controller.timelines[v] for v in controller.variants}
    steps = {v: t.step for v, t in timelines.items() if t.name is None}
    for v in (variant, *steps):
        if (step := steps.get(v)) is not None:
            return v, step
    return next((t.name for t in timelines.values() if t.name), "best")


def switch_models(app: App[Any], controller: GenerateController) -> None:
    """Switch between both models, Dense and MoE."""
    available = controller.available_variants
    if len(available) == 1:
        app.notify(f"Only {NAMES[available[0]]} has a checkpoint", timeout=2)
        return
    models = controller.next_models()
    app.notify("Both models" if models == "both" else f"{NAMES[models]} only", timeout=2)


def toggle_best(app: App[Any], controller: GenerateController) -> None:
    """Switch between the best and the newest checkpoint of each model. Texts that stand side by
    side are generated again, so that they can be compared."""
    same = "The newest checkpoint is the best one"
    _regenerate(app, controller, controller.toggle_best(), same)


def move_step(app: App[Any], controller: GenerateController, by: int) -> None:
    """Switch to an earlier or a later checkpoint of each model, and generate again as above."""
    same = f"This is the {'last' if by > 0 else 'first'} checkpoint"
    _regenerate(app, controller, controller.move_step(by), same)


def _regenerate(app: App[Any], controller: GenerateController, changed: object, same: str) -> None:
    """Generate the texts side by side again if another checkpoint is used, else say `same`."""
    if not changed:
        app.notify(same if controller.variants else "No checkpoint yet", timeout=2)
    elif controller.sides and not controller.listed:
        controller.regenerate()
