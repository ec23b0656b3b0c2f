"""The lower part of the Generate tab: texts side by side or as a list, and the inspector below."""

from __future__ import annotations

from tinygpt_tui.generate import view
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.render.cells import Row, beside, fit
from tinygpt_tui.render.text import sentence
from tinygpt_tui.render.timeline import checkpoint_words
from tinygpt_tui.theme import NAMES


def texts(controller: GenerateController, note: str, columns: int, height: int) -> list[Row]:
    """Exactly `height` rows; `note` is a warning shown below the texts, empty for none."""
    options = controller.options
    if not controller.sides and not controller.listed:
        return _empty(controller, note, columns, height)
    below = sentence(note, columns, "warn") if note else []
    text = controller.text
    if options.colour != "plain":
        routed = (side.text for side in controller.sides if side.text and side.text.experts)
        chosen = view.expert_at(text, controller.cursor, options.layer)
        below.append(view.legend(options, next(routed, text), columns, chosen))
    if rows := inspector_height(controller, columns, height):
        assert text is not None
        assert controller.cursor is not None
        candidate = controller.candidate
        below += view.inspector(text, controller.cursor, columns, rows, candidate=candidate)
    room = height - len(below)
    if not controller.listed:
        return [*_sides(controller, columns, room), *below]
    listing = view.listing(
        controller.listed,
        controller.place,
        columns,
        room,
        options,
        timeline=controller.timeline,
        run=controller.run.name if controller.run else "",
        name_of=controller.name_of,
    )
    return [*listing, *below]


def inspector_height(controller: GenerateController, columns: int, height: int) -> int:
    """Rows of the distribution at the cursor, at most half of the height; 0 without a cursor."""
    text, cursor = controller.text, controller.cursor
    if cursor is None or text is None or controller.listed:
        return 0
    across = max(1, columns // view.CANDIDATE_WIDTH)
    needed = 1 - (-len(text.tokens[cursor].ids) // across)
    return max(2, min(needed, height // 2))


def _sides(controller: GenerateController, columns: int, height: int) -> list[Row]:
    sides = controller.sides
    each = (columns - (len(sides) - 1)) // len(sides)
    blocks = [
        view.column(
            side,
            each,
            height,
            controller.options,
            active=len(sides) > 1 and side is controller.side,
            cursor=controller.cursor if side is controller.side else None,
            name_of=controller.name_of,
        )
        for side in sides
    ]
    return [fit(cells, columns) for cells in beside(blocks)]


def _empty(controller: GenerateController, note: str, columns: int, height: int) -> list[Row]:
    words = [note] if note else _what_to_do(controller)
    rows = [fit((), columns), *(r for line in words for r in sentence(line, columns, "muted"))]
    return [*rows[:height], *[fit((), columns)] * (height - len(rows))]


def _what_to_do(controller: GenerateController) -> list[str]:
    if controller.run is None:
        return ["No run yet: n starts one. Its first checkpoint is written at once."]
    if not controller.variants:
        return ["No checkpoint yet: the first is written before training starts."]
    models = []
    for variant in controller.variants:
        timeline = controller.timelines[variant]
        assert timeline.step is not None
        loss = timeline.checkpoints.val_losses[timeline.step]
        words = checkpoint_words(timeline.name, timeline.step, loss)
        models.append(f"{NAMES[variant]} ({' · '.join(words)})")
    return [
        f"g generates with {' and '.join(models)}.",
        "p edits the prompt, capital letters change settings, ? lists every key.",
    ]
