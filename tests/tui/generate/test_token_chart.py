"""Bars of a text's tokens: one for each, or the mean of several."""

from tests.helpers.generated import made
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.generate import token_chart
from tinygpt_tui.generate.state import ViewOptions
from tinygpt_tui.generate.token_chart import chart
from tinygpt_tui.generate.tree import Text
from tinygpt_tui.render.cells import plain, width


def text_of(letters: str, expected: int, p: float = 0.4) -> Text:
    text = made(letters, p=p)
    text.params = SamplingParams(seed=3, max_new_tokens=expected)
    return text


def test_each_token_has_a_bar_as_high_as_its_surprisal() -> None:
    sure, unsure = text_of("abc", 30, p=0.99), text_of("abc", 30, p=0.02)
    low = plain(chart(sure, 40, 5, ViewOptions("surprisal")))
    high = plain(chart(unsure, 40, 5, ViewOptions("surprisal")))
    assert low[0].startswith("─ surprisal · per token · 0 to 4 nats ─")
    assert low[1:] == [" " * 40] * 3 + [" ▁▁▁" + " " * 36]
    assert [line[1:5] for line in high[1:]] == ["███ "] * 4


def test_room_is_left_for_the_tokens_to_come_so_that_bars_do_not_move() -> None:
    first = plain(chart(text_of("ab" * 10, 200), 42, 7, ViewOptions()))
    later = plain(chart(text_of("ab" * 60, 200), 42, 7, ViewOptions()))
    assert "mean of 5 tokens" in first[0]
    for before, after in zip(first, later, strict=True):
        assert after.startswith(before.rstrip())
    assert plain(chart(text_of("ab" * 150, 200), 42, 7, ViewOptions()))[0].count("mean of 8")


def test_the_bar_of_the_cursor_is_marked_and_the_colour_chooses_the_measure() -> None:
    rows = chart(text_of("abcde", 9), 30, 5, ViewOptions("probability"), 3)
    assert "probability" in plain(rows)[0]
    assert [span.style for span in rows[-1]].count("cursor") == 1
    assert {width(r) for r in rows} == {30}


def test_the_text_has_the_lines_that_it_needs_first() -> None:
    assert token_chart.lines_of(20) == 0
    assert token_chart.lines_of(22) == 7
    assert token_chart.lines_of(46) == 11
