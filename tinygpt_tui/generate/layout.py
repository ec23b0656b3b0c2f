"""The lower part of the Generate tab: texts side by side or as a list, and panels below or beside
them."""

from __future__ import annotations

from tinygpt_tui.generate import token_chart, view
from tinygpt_tui.generate.candidates import WITH_BAR, Grid, arranged, inspector, needed_height
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.sidebar import sidebar, sidebar_columns, sidebar_head
from tinygpt_tui.render.cells import Row, fit
from tinygpt_tui.render.panel import GAP, rule, side_by_side
from tinygpt_tui.render.text import sentence
from tinygpt_tui.render.timeline import checkpoint_words
from tinygpt_tui.theme import NAMES


def texts(controller: GenerateController, note: str, columns: int, height: int) -> list[Row]:
    """Exactly `height` rows; `note` is a warning shown below the texts, empty for none."""
    side = sidebar_columns(columns, height)
    main = columns - side - GAP if side else columns
    if not controller.sides and not controller.listed:
        rows = _empty(controller, note, main, height)
    else:
        below = sentence(note, main, "warn") if note else []
        if not side:
            below += _below(controller, columns, height)
        rows = [*_texts(controller, main, height - len(below)), *below]
    if not side:
        return rows
    return side_by_side(
        [rows, sidebar(controller, _legend(controller, side - 1), side, height)], [main, side]
    )


def _texts(controller: GenerateController, columns: int, height: int) -> list[Row]:
    if not controller.listed:
        return _sides(controller, columns, height)
    return view.listing(
        controller.listed,
        controller.place,
        columns,
        height,
        controller.options,
        timeline=controller.timeline,
        run=controller.run.name if controller.run else "",
        name_of=controller.name_of,
    )


def _legend(controller: GenerateController, columns: int) -> Row:
    """What the colours mean; empty if there are none."""
    options, text = controller.options, controller.text
    if options.colour == "plain":
        return ()
    routed = (side.text for side in controller.sides if side.text and side.text.experts)
    chosen = view.expert_at(text, controller.cursor, options.layer)
    return view.legend(options, next(routed, text), columns, chosen)


def _below(controller: GenerateController, columns: int, height: int) -> list[Row]:
    """The candidates at the cursor; without a cursor, what the colours mean."""
    legend = _legend(controller, columns - 4)
    if rows := inspector_height(controller, columns, height):
        text, cursor = controller.text, controller.cursor
        assert text is not None
        assert cursor is not None
        candidate = controller.candidate
        return inspector(text, cursor, columns, rows, candidate=candidate, legend=legend)
    return [rule(legend, columns)] if legend else []


def inspector_height(controller: GenerateController, columns: int, height: int) -> int:
    """Rows of the distribution below the texts, at most half of the height; 0 without a cursor."""
    text, cursor = controller.text, controller.cursor
    if cursor is None or text is None or controller.listed:
        return 0
    return max(3, min(needed_height(len(text.tokens[cursor].ids), columns), height // 2))


def candidate_grid(controller: GenerateController, columns: int, height: int) -> Grid:
    """How the candidates at the cursor are arranged in a tab of this size."""
    text, cursor = controller.text, controller.cursor
    count = len(text.tokens[cursor].ids) if text is not None and cursor is not None else 0
    if side := sidebar_columns(columns, height):
        taken = len(sidebar_head(controller, _legend(controller, side - 1), side))
        return arranged(count, side, height - taken, WITH_BAR)
    return arranged(count, columns, inspector_height(controller, columns, height))


def _sides(controller: GenerateController, columns: int, height: int) -> list[Row]:
    sides = controller.sides
    each = (columns - GAP * (len(sides) - 1)) // len(sides)
    sizes = [each] * (len(sides) - 1)
    sizes.append(columns - sum(sizes) - GAP * len(sizes))
    below = token_chart.lines_of(height)
    blocks = []
    for side, size in zip(sides, sizes, strict=True):
        cursor = controller.cursor if side is controller.side else None
        block = view.column(
            side,
            size,
            height - below,
            controller.options,
            active=len(sides) > 1 and side is controller.side,
            cursor=cursor,
            name_of=controller.name_of,
        )
        if below and side.text is not None and side.text.tokens:
            block += token_chart.chart(side, size, below, controller.options, cursor)
        blocks.append([*block, *[fit((), size)] * (height - len(block))])
    return side_by_side(blocks, sizes)


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
