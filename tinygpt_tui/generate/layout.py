"""The lower part of the Generate tab: texts side by side or as a list, and panels below or beside
them."""

from __future__ import annotations

from tinygpt_tui.generate import token_chart, view
from tinygpt_tui.generate.candidates import (
    NAME,
    WITH_BAR,
    Grid,
    arranged,
    inspector,
    name_columns,
    needed_height,
)
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
        below = _below_texts(controller, note, columns, height)
        rows = [*_texts(controller, main, height - len(below)), *below]
    if not side:
        return rows
    return side_by_side(
        [rows, sidebar(controller, _legend(controller, side - 1), side, height)], [main, side]
    )


def click(controller: GenerateController, note: str, size: tuple[int, int], x: int, y: int) -> None:
    """Select what `texts` draws at this place in so many (columns, lines): a token, or an entry of
    a list, which a second click opens."""
    columns, height = size
    beside = sidebar_columns(columns, height)
    main = columns - beside - GAP if beside else columns
    if x >= main or not (controller.listed or controller.sides):
        return
    room = height - len(_below_texts(controller, note, columns, height))
    if y >= room:
        return
    if controller.listed:
        place = view.entry_at(len(controller.listed), controller.place, room, y)
        if place == controller.place:
            controller.enter()
        elif place is not None:
            controller.place = place
        return
    lines = room - token_chart.lines_of(room)
    for place, (left, width) in enumerate(_places(controller, main)):
        side = controller.sides[place]
        cursor = controller.cursor if side is controller.side else None
        token = None
        if left <= x < left + width and y < lines:
            options = controller.options
            token = view.token_at(side, (width, lines), options, cursor, (x - left, y))
        if token is not None:
            controller.select(place, token)


def _below_texts(controller: GenerateController, note: str, columns: int, height: int) -> list[Row]:
    """What stands below the texts: the note, and unless that is beside them, the candidates."""
    side = sidebar_columns(columns, height)
    rows = sentence(note, columns - side - GAP if side else columns, "warn") if note else []
    return rows if side else [*rows, *_below(controller, columns, height)]


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
    token = text.tokens[cursor]
    needed = needed_height(len(token.ids), columns, names=name_columns(token))
    return max(3, min(needed, height // 2))


def candidate_grid(controller: GenerateController, columns: int, height: int) -> Grid:
    """How the candidates at the cursor are arranged in a tab of this size."""
    text, cursor = controller.text, controller.cursor
    token = text.tokens[cursor] if text is not None and cursor is not None else None
    count, names = (len(token.ids), name_columns(token)) if token else (0, NAME)
    if side := sidebar_columns(columns, height):
        taken = len(sidebar_head(controller, _legend(controller, side - 1), side))
        return arranged(count, side, height - taken, WITH_BAR, names=names)
    return arranged(count, columns, inspector_height(controller, columns, height), names=names)


def _sides(controller: GenerateController, columns: int, height: int) -> list[Row]:
    sides = controller.sides
    sizes = [size for _, size in _places(controller, columns)]
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


def _places(controller: GenerateController, columns: int) -> list[tuple[int, int]]:
    """The first column and the width of each side; the last gets what is left over."""
    count = len(controller.sides)
    each = (columns - GAP * (count - 1)) // count
    lefts = [place * (each + GAP) for place in range(count)]
    return [(left, each) for left in lefts[:-1]] + [(lefts[-1], columns - lefts[-1])]


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
        "t edits the prompt, capital letters change settings, ? lists every key.",
    ]
