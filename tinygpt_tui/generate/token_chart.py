"""Bars of a text's tokens from first to last, below the text: how surprising each one was."""

from __future__ import annotations

import math

from tinygpt_tui.engine.protocol import Token
from tinygpt_tui.generate.state import Colour, Side, ViewOptions
from tinygpt_tui.generate.tree import Text
from tinygpt_tui.generate.view import level
from tinygpt_tui.render.bars import HEIGHTS
from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.panel import rule, titled

MIN_TEXT, LEAST, MOST = 15, 7, 12
"""Lines of text from which there is a chart, and the lines of the chart with its title."""
TOPS = {"surprisal": 4.0, "entropy": 3.0, "probability": 1.0}
"""The value of a full bar: nats, nats, probability. Fixed, so that two texts can be compared."""


def lines_of(height: int) -> int:
    """Lines of the chart in a column of this height; 0 if the text needs them."""
    return min(max(height // 4, LEAST), MOST) if height >= MIN_TEXT + LEAST else 0


def chart(
    side: Side, columns: int, lines: int, options: ViewOptions, cursor: int | None = None
) -> list[Row]:
    """A title, and a bar for each token of the side's text, or the mean of several if there are
    more than columns.

    There is room for as many as are to be generated, so that only the last bar changes meanwhile.
    """
    text = side.text
    assert text is not None
    kind = options.colour if options.colour in TOPS else "surprisal"
    expected = max(len(text.tokens), text.params.max_new_tokens)
    each = -(-expected // max(columns - 2, 1)) or 1
    bars = _bars(side, text, each, kind)
    if cursor is not None and text.tokens:
        bars[cursor // each] = (bars[cursor // each][0], "cursor")
    unit = "" if kind == "probability" else "nats"
    per = "per token" if each == 1 else f"mean of {each} tokens"
    rows = [rule(titled(kind, per, f"0 to {TOPS[kind]:g} {unit}".strip()), columns)]
    high = lines - 1
    for below in reversed(range(high)):
        cells = [Span(_block(value / TOPS[kind] * high - below), style) for value, style in bars]
        rows.append(fit(row(" ", *cells), columns))
    return rows


def _bars(side: Side, text: Text, each: int, kind: Colour) -> list[tuple[float, str]]:
    """Value and style of each bar; only new ones are computed."""
    key = (text.id, each, kind)
    if side.bars_key != key:
        side.bars, side.bars_key = [], key
    complete = len(text.tokens) // each
    for place in range(len(side.bars), complete):
        side.bars.append(_bar(text.tokens[place * each : (place + 1) * each], kind))
    rest = text.tokens[complete * each :]
    return [*side.bars, *([_bar(rest, kind)] if rest else [])]


def _bar(tokens: list[Token], kind: Colour) -> tuple[float, str]:
    """The mean over tokens, and the style of a token that has it."""
    value = sum(_value(token, kind) for token in tokens) / len(tokens)
    return value, level(_mean(tokens), (), ViewOptions(kind))


def _value(token: Token, kind: str) -> float:
    if kind == "entropy":
        return token.entropy
    return math.exp(-token.surprisal) if kind == "probability" else token.surprisal


def _mean(tokens: list[Token]) -> Token:
    """A token with the means of several, for its colour."""
    count = len(tokens)
    surprisal = sum(token.surprisal for token in tokens) / count
    entropy = sum(token.entropy for token in tokens) / count
    return Token(-1, "", 0, surprisal, entropy, (), (), (), (), (), ())


def _block(part: float) -> str:
    """A cell filled to this part of its height, by an eighth at least if it is not empty."""
    if part <= 0:
        return " "
    return HEIGHTS[min(math.ceil(part * len(HEIGHTS)), len(HEIGHTS)) - 1]
