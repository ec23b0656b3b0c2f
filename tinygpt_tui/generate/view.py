"""The Generate tab's settings, texts and distributions as rows of cells: pure functions."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TypeAlias

from rich.cells import cell_len

from tinygpt.escape import printable
from tinygpt.formatting import count, rate
from tinygpt.generation.params import SamplingParams, describe_filters
from tinygpt_tui import theme
from tinygpt_tui.engine.protocol import Token
from tinygpt_tui.generate.settings import SETTINGS, Setting, shown
from tinygpt_tui.generate.state import Side, ViewOptions
from tinygpt_tui.generate.tree import Text
from tinygpt_tui.render.bars import expert_names
from tinygpt_tui.render.cells import Row, Span, fit, row, width
from tinygpt_tui.render.panel import rule, titled
from tinygpt_tui.render.scroll import around
from tinygpt_tui.render.text import sentence
from tinygpt_tui.render.timeline import checkpoint_words
from tinygpt_tui.render.wrap import Cell, Flow

BOUNDS = {
    "surprisal": (0.1, 0.3, 0.7, 1.2, 2.0, 3.0, 4.5),
    "entropy": (0.1, 0.3, 0.7, 1.2, 1.8, 2.4, 3.0),
    "probability": (0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95),
}
"""The values that separate the levels of colour: nats, nats, probability."""
NameOf: TypeAlias = Callable[[Text], str | None]
"""Whether a text is by the best or the newest checkpoint."""


def nameless(_: Text) -> str | None:
    """Any text, by whatever checkpoint."""
    return None


def settings_rows(params: SamplingParams, columns: int) -> list[Row]:
    """Every setting with its key and value, wrapped."""
    rows: list[Row] = []
    parts: list[Span | str] = []
    for setting in SETTINGS:
        entry = _setting(params, setting)
        if parts and width(row(*parts, *entry)) > columns:
            rows.append(fit(row(*parts), columns))
            parts = []
        parts += entry
    return [*rows, fit(row(*parts), columns)]


def _setting(params: SamplingParams, setting: Setting) -> list[Span | str]:
    value = printable(shown(params, setting))
    return [
        Span(f" {setting.key}", "key"),
        Span(f" {setting.short} ", "muted"),
        Span(value, "faint" if idle(params, setting, value) else "strong"),
        " ",
    ]


def idle(params: SamplingParams, setting: Setting, value: str) -> bool:
    """Whether a setting, shown as `value`, has no effect."""
    return value in ("off", "none", "random") or getattr(params, setting.name) == setting.off


def chain_row(params: SamplingParams, preset: str | None, columns: int) -> Row:
    """The preset, if any, and the active filters in words, as a rule."""
    name = [Span(preset, "accent"), Span(": ", "muted")] if preset else []
    return rule(row(*name, Span(describe_filters(params), "text")), columns)


def level(token: Token, experts: Sequence[int], options: ViewOptions) -> str:
    """The style of a token; `experts` are those it was routed to, one per layer."""
    match options.colour:
        case "surprisal":
            return _heat(bisect_right(BOUNDS["surprisal"], token.surprisal))
        case "entropy":
            return _heat(bisect_right(BOUNDS["entropy"], token.entropy))
        case "probability":
            return _heat(7 - bisect_right(BOUNDS["probability"], math.exp(-token.surprisal)))
        case "expert" if experts:
            return theme.expert_style(experts[min(options.layer, len(experts) - 1)])
        case _:
            return "text"


def _heat(number: int) -> str:
    return f"heat.{number}"


def legend(options: ViewOptions, text: Text | None, columns: int, chosen: int = 0) -> Row:
    """What the colours mean; if not all experts fit, those around the expert `chosen`."""
    mark = "■"
    parts: list[Span | str] = [Span(f"{options.colour} ", "muted")]
    if options.colour == "expert":
        experts = text.experts if text else 0
        if not experts:
            return row(Span("expert: Dense has no experts", "muted"))
        parts += [Span(f"in layer {options.layer}  ", "muted")]
        parts += expert_names(experts, columns - width(row(*parts)), chosen)
    else:
        bounds = BOUNDS[options.colour]
        names = [f"<{bounds[0]:g}", *(f"{low:g}" for low in bounds)]
        heats = range(len(names))
        order = reversed(heats) if options.colour == "probability" else heats
        for name, heat in zip(names, order, strict=True):
            parts += [Span(f" {mark} {name}", _heat(heat))]
        parts += [Span(" nats" if options.colour != "probability" else "", "muted")]
    return row(*parts)


def expert_at(text: Text | None, cursor: int | None, layer: int) -> int:
    """The expert of the token under the cursor; 0 if it is not known."""
    if text is None or cursor is None or cursor + 1 >= len(text.tokens):
        return 0
    experts = text.tokens[cursor + 1].experts
    return experts[min(layer, len(experts) - 1)] if experts else 0


def lay_out(side: Side, columns: int, options: ViewOptions) -> Flow | None:
    """The side's text as lines; cached, so only new tokens are laid out."""
    text = side.text
    if text is None:
        return None
    key = (text.id, text.corrections, columns, options.marks)
    if side.flow is None or side.flow_key != key:
        side.flow, side.flow_key = Flow(columns, marks=options.marks), key
        side.flow.add(text.prompt, -1)
    side.flow.extend(token.text for token in text.tokens[side.flow.tokens :])
    return side.flow


def heading(side: Side, columns: int, *, active: bool, name_of: NameOf) -> Row:
    """Model, checkpoint, seed, length and speed, as many as fit, as a rule."""
    facts = _facts_of(side.text, name_of(side.text)) if side.text else []
    room = columns - cell_len(side.title) - 4  # the line before it, and blanks
    while facts and sum(cell_len(f" · {words}") for _, words in facts) > room:
        facts.remove(max(facts))
    title = titled(side.title, *(words for _, words in facts), style=side.style)
    return rule(title, columns, active=active)


def _facts_of(text: Text, name: str | None) -> list[tuple[int, str]]:
    """The parts of a heading in order, each with a rank; the highest rank is dropped first."""
    facts: list[tuple[int, str]] = []
    if text.opened is not None:
        words = checkpoint_words(name, text.opened.step, text.opened.val_loss)
        facts += [(2 if word.startswith("val") else 1, word) for word in words]
    facts += [(6, f"seed {text.params.seed}"), (3, f"{count(len(text.tokens))} tok")]
    if text.generating:
        facts.append((0, "generating"))
    elif not math.isnan(text.speed):
        facts.append((4, rate(text.speed, "tok")))
    if text.tokens and not text.generating:
        facts.append((5, f"mean NLL {text.mean_surprisal:z.2f}"))
    if text.end == "end":
        facts.append((2, "end of text"))
    if text.name:
        facts.append((0, printable(text.name)))
    return facts


def column(
    side: Side,
    columns: int,
    height: int,
    options: ViewOptions,
    *,
    active: bool = False,
    cursor: int | None = None,
    name_of: NameOf = nameless,
) -> list[Row]:
    """Heading, note or error, and as much of the text as fits."""
    rows = [heading(side, columns, active=active, name_of=name_of), *_notes(side, columns)]
    text = side.text
    flow = lay_out(side, columns - 1, options)
    if flow is not None and text is not None:
        for number in _visible(flow, height - len(rows), cursor):
            spans = [_styled(cell, text, options, cursor) for cell in flow.line(number)]
            rows.append(fit(row(" ", *spans), columns))
    return [*rows[:height], *[fit((), columns)] * (height - len(rows))]


def token_at(
    side: Side, size: tuple[int, int], options: ViewOptions, cursor: int | None, at: tuple[int, int]
) -> int | None:
    """The token that `column` draws at this column and line, if any; `size` is columns, lines."""
    (columns, height), (x, y) = size, at
    flow = lay_out(side, columns - 1, options)
    y -= 1 + len(_notes(side, columns))
    room = height - 1 - len(_notes(side, columns))
    lines = _visible(flow, room, cursor) if flow is not None else range(0)
    return flow.token_at(lines[y], x - 1) if flow is not None and 0 <= y < len(lines) else None


def _notes(side: Side, columns: int) -> list[Row]:
    """What is said between the heading and the text."""
    rows = sentence(side.note, columns, "accent") if side.note else []
    if side.text is not None and side.text.failed:
        rows += sentence(side.text.end, columns, "bad")
    return rows


def _visible(flow: Flow, room: int, cursor: int | None) -> range:
    """The lines of a text that are shown in so many."""
    if room <= 0:
        return range(0)
    line = flow.place(cursor)[0] if cursor is not None else flow.height - 1
    first = _first_line(flow.height, room, line, centre=cursor is not None)
    return range(first, min(first + room, flow.height))


def _first_line(total: int, room: int, line: int, *, centre: bool) -> int:
    """The first visible line: around the cursor, else so that the last line is visible.

    A text that outgrows the column scrolls by half a column at once, not line by line: each scroll
    repaints the whole column, which over a slow link costs a hundred times the new token.
    """
    if centre:
        return max(0, min(line - room // 2, total - room))
    half = max(1, room // 2)
    return max(0, -(-(line - room + 1) // half) * half)


def _styled(cell: Cell, text: Text, options: ViewOptions, cursor: int | None) -> Span:
    if cell.token < 0:
        return Span(cell.text, "muted")
    token = text.tokens[cell.token]
    after = text.tokens[cell.token + 1] if cell.token + 1 < len(text.tokens) else None
    style = level(token, after.experts if after else (), options)
    style += "/token" if options.boundaries and cell.token % 2 else ""
    if cell.token in text.forced:
        style += "+underline"
    if cell.token == cursor:
        style += "+reverse bold"
    return Span(cell.text, style)


def listing(
    texts: Sequence[Text],
    chosen: int,
    columns: int,
    height: int,
    options: ViewOptions,
    *,
    timeline: bool,
    run: str = "",
    name_of: NameOf = nameless,
) -> list[Row]:
    """A list of texts: several samples, or with `timeline` one text per checkpoint.

    Texts of another run than the one named `run` are labelled with their run.
    """
    if not texts:
        return [fit((), columns)] * height
    each, places = _places(len(texts), chosen, height)
    rows: list[Row] = []
    for place in places:
        text = texts[place]
        active = place == chosen
        name = name_of(text) if timeline else None
        rows.append(_entry(text, columns, name, active=active, timeline=timeline, run=run))
        flow = Flow(columns - 4)
        flow.add(text.prompt, -1)
        flow.extend(token.text for token in text.tokens[: each * columns])
        if text.failed:
            rows += sentence(text.end, columns, "bad")[: each - 1]
            continue
        for number in range(each - 1):
            spans = [
                _styled(cell, text, options, None)
                for cell in (flow.line(number) if number < flow.height else ())
            ]
            rows.append(fit(row("   ", *spans), columns))
    return [*rows[:height], *[fit((), columns)] * (height - len(rows))]


def entry_at(count: int, chosen: int, height: int, y: int) -> int | None:
    """Which of `count` texts `listing` draws in line `y`."""
    each, places = _places(count, chosen, height)
    return places[y // each] if y // each < len(places) else None


def _places(count: int, chosen: int, height: int) -> tuple[int, range]:
    """How many lines each text of a list has, and which of them are shown."""
    each = max(2, min(8, height // count))
    return each, around(chosen, max(1, height // each), count)


def _entry(
    text: Text, columns: int, name: str | None, *, active: bool, timeline: bool, run: str
) -> Row:
    variant = text.opened.variant if text.opened else ""
    parts = [f"seed {text.params.seed}", f"{len(text.tokens)} tok"]
    if text.opened and timeline:
        parts = [*checkpoint_words(name, text.opened.step, text.opened.val_loss), *parts[1:]]
    text_run = "".join(PurePath(text.path).parts[-3:-2])
    if run and text_run not in ("", run):
        parts.insert(0, printable(text_run))
    if text.tokens:
        parts.append(f"mean NLL {text.mean_surprisal:z.2f}")
    parts += ["generating"] if text.generating else ["end of text"] if text.end == "end" else []
    mark = "▸" if active else " "
    dot = " · "
    model = theme.NAMES.get(variant, "waiting")
    style = f"{variant}.bold" if variant else "muted"
    words = "".join(f"{dot}{part}" for part in parts)
    cells = row(Span(f"{mark} {model}", style), Span(words, "strong" if active else "muted"))
    return fit(cells, columns)
