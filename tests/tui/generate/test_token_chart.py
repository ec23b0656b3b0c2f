"""Bars of a text's tokens: one for each, or the mean of several."""

from tests.helpers.generated import made
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.generate import token_chart
from tinygpt_tui.generate.state import Side, ViewOptions
from tinygpt_tui.generate.token_chart import chart
from tinygpt_tui.render.cells import plain, width


def side_of(letters: str, expected: int, p: float = 0.4) -> Side:
    text = made(letters, p=p)
    text.params = SamplingParams(seed=3, max_new_tokens=expected)
    return Side("Dense", text=text)


def test_each_token_has_a_bar_as_high_as_its_surprisal() -> None:
    sure, unsure = side_of("abc", 30, p=0.99), side_of("abc", 30, p=0.02)
    low = plain(chart(sure, 40, 5, ViewOptions("surprisal")))
    high = plain(chart(unsure, 40, 5, ViewOptions("surprisal")))
    assert low[0].startswith("─ surprisal · per token · 0 to 4 nats ─")
    assert low[1:] == [" " * 40] * 3 + [" ▁▁▁" + " " * 36]
    assert [line[1:5] for line in high[1:]] == ["███ "] * 4


def test_room_is_left_for_the_tokens_to_come_so_that_bars_do_not_move() -> None:
    first = plain(chart(side_of("ab" * 10, 200), 42, 7, ViewOptions()))
    later = plain(chart(side_of("ab" * 60, 200), 42, 7, ViewOptions()))
    assert "mean of 5 tokens" in first[0]
    for before, after in zip(first, later, strict=True):
        assert after.startswith(before.rstrip())
    assert plain(chart(side_of("ab" * 150, 200), 42, 7, ViewOptions()))[0].count("mean of 8")


def test_the_bar_of_the_cursor_is_marked_and_the_colour_chooses_the_measure() -> None:
    rows = chart(side_of("abcde", 9), 30, 5, ViewOptions("probability"), 3)
    assert "probability" in plain(rows)[0]
    assert [span.style for span in rows[-1]].count("cursor") == 1
    assert {width(r) for r in rows} == {30}


def test_the_text_has_the_lines_that_it_needs_first() -> None:
    assert token_chart.lines_of(20) == 0
    assert token_chart.lines_of(22) == 7
    assert token_chart.lines_of(46) == 11


def test_a_text_that_grows_has_the_bars_of_one_drawn_at_once() -> None:
    grown, whole = side_of("ab", 90), side_of("abcdeab cd", 90)
    assert grown.text is not None
    assert whole.text is not None
    for options in (ViewOptions(), ViewOptions("entropy")):
        for count in range(1, 11):
            grown.text.tokens = whole.text.tokens[:count]
            drawn = chart(grown, 32, 5, options)
        assert drawn == chart(whole, 32, 5, options)
    assert "mean of 3 tokens" in plain(drawn)[0]
