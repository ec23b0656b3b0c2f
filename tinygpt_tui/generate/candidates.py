"""The distribution at the cursor of the Generate tab: facts about the token, and its candidates."""

from __future__ import annotations

import math
from typing import NamedTuple

from rich.cells import cell_len

from tinygpt_tui.engine.protocol import Token
from tinygpt_tui.generate.tree import Text
from tinygpt_tui.render.cells import Row, Span, beside, fit, padded, row, width
from tinygpt_tui.render.panel import rule
from tinygpt_tui.render.text import named, named_within

CANDIDATE_WIDTH, WITH_BAR = 20, 30
"""Least columns per candidate, without and with a bar, where tokens are characters."""
NAME, LONGEST_NAME = 5, 14
"""Columns of the names of characters, and the most for the names of longer tokens."""
MIN_BAR, MAX_BAR = 4, 40
"""Columns of a candidate's bar; without room for the fewest, it has none."""
HEADINGS = 2
"""Rows above the candidates: the facts, and the headings of their columns."""


class Grid(NamedTuple):
    """How candidates are arranged: down the first column, then down the next."""

    across: int
    down: int

    @property
    def shown(self) -> int:
        """Candidates on a page."""
        return self.across * self.down


def name_columns(token: Token) -> int:
    """Columns for the names of a token's candidates, a blank included."""
    widest = max((cell_len(named(text)) for text in token.texts), default=0)
    return NAME if widest < NAME else min(widest + 1, LONGEST_NAME)


def arranged(
    candidates: int,
    columns: int,
    height: int,
    least: int = CANDIDATE_WIDTH,
    *,
    names: int = NAME,
) -> Grid:
    """As few columns of candidates as show all of them, each of `least` columns or more, or of as
    many more as their `names` are longer than those of characters."""
    down = max(height - HEADINGS, 1)
    most = max(1, columns // (least + names - NAME))
    return Grid(min(most, max(1, -(-candidates // down))), down)


def needed_height(candidates: int, columns: int, *, names: int = NAME) -> int:
    """Rows with which all candidates are shown."""
    return HEADINGS - (-candidates // max(1, columns // (CANDIDATE_WIDTH + names - NAME)))


def inspector(
    text: Text,
    cursor: int,
    columns: int,
    height: int,
    *,
    candidate: int | None = None,
    legend: Row = (),
    least: int = CANDIDATE_WIDTH,
) -> list[Row]:
    """The distribution at a token: each candidate's raw probability, and its final one or the
    filter that removed it, in `least` columns or more. `candidate` is the index of the one under
    the cursor, if any; `legend` stands beside the facts if there is room.
    """
    if height < HEADINGS:
        return []
    token = text.tokens[cursor]
    rows = [rule(token_facts(text, cursor), columns, right=legend)]
    names = name_columns(token)
    grid = arranged(len(token.ids), columns, height, least, names=names)
    each = columns // grid.across
    chosen = token.ids.index(token.id) if token.id in token.ids else None
    focus = candidate if candidate is not None else 0
    page = focus // grid.shown * grid.shown
    cells = [
        _candidate(token, place, each, names, chosen=place == chosen, cursor=place == candidate)
        for place in range(page, min(page + grid.shown, len(token.ids)))
    ]
    heading = f" {'token':<{names}} raw % final %"
    blocks = [
        [fit(row(Span(heading, "muted")), each), *cells[i : i + grid.down]]
        for i in range(0, len(cells), grid.down)
    ]
    rows += [fit(line, columns) for line in beside(blocks, gap=0)]
    return [*rows[:height], *[fit((), columns)] * (height - len(rows))]


def token_facts(text: Text, cursor: int) -> Row:
    """Which token of the text it is, and how probable it was."""
    token = text.tokens[cursor]
    after = text.tokens[cursor + 1] if cursor + 1 < len(text.tokens) else None
    dot = " · "
    parts = [
        f"rank {token.rank}",
        f"p {math.exp(-token.surprisal):.3f}",
        f"surprisal {token.surprisal:z.2f}",
        f"entropy {token.entropy:z.2f} nats",
    ]
    if after is not None and after.experts:
        parts.append("experts " + " ".join(map(str, after.experts)))
    if cursor in text.forced:
        parts.append("chosen by hand")
    if cursor < text.dropped:
        parts.append("other candidates not kept")
    head = f"{cursor + 1}/{len(text.tokens)} "
    return (
        *row(Span(head, "muted"), Span(_own_name(token), "strong"), Span(dot, "faint")),
        Span(dot.join(parts), "muted"),
    )


def _own_name(token: Token) -> str:
    """The name of a token; of one that is part of a character, its bytes."""
    if token.text or token.id not in token.ids:
        return named(token.text)
    return named(token.texts[token.ids.index(token.id)])


def _candidate(
    token: Token, place: int, columns: int, names: int, *, chosen: bool, cursor: bool
) -> Row:
    """Mark, name, raw percentage, the final one or the filter that removed it, and a bar."""
    filter_name = token.removed[place]
    mark = "●" if chosen else " "
    name = padded(named_within(token.texts[place], names - 1), names)
    result = filter_name[:7] if filter_name else _percent(token.filtered[place])
    style = "faint" if filter_name else "strong" if chosen else "text"
    words = f"{name}{_percent(token.raw[place]):>6}{result:>8}"
    cells = row(Span(mark, "good"), Span(words, style + ("+reverse" if cursor else "")))
    space = min(columns - width(cells) - 3, MAX_BAR)
    if space < MIN_BAR:
        return fit(cells, columns)
    bar = "▄" * round(space * token.raw[place])
    return fit(row(*cells, "  ", Span(bar, "bar")), columns)


def _percent(p: float) -> str:
    return f"{100 * p:.1f}" if p >= 0.0005 else "0"
