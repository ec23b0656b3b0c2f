"""Expert load and samples below the table."""
# ruff: noqa: RUF001 - the commas are Chinese

import dataclasses

from tests.helpers.scenes import history
from tests.helpers.train_states import make_state
from tinygpt_tui.render.cells import plain
from tinygpt_tui.train.lower_panels import lower_lines, lower_rows, sample_block


def test_a_sample_of_wide_characters_is_wrapped_not_cut() -> None:
    known = history(70)
    variant = known.variants["dense"]
    assert variant.sample is not None
    text = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"
    variant.sample = dataclasses.replace(variant.sample, prompt="", text=text)
    rows = plain(sample_block("dense", variant, 20, 9))[1:]
    assert [line.strip() for line in rows] == [text[:9], text[9:18], text[18:]]


def test_the_height_is_that_of_the_contents_in_steps_and_nothing_before_there_are_any() -> None:
    assert lower_lines(make_state(history=history(9)), 120) == 0
    shown = make_state(history=history(70))
    assert lower_lines(shown, 120) == 5
    variant = shown.history.variants["moe"]
    assert variant.sample is not None
    for lines, height in ((5, 6), (6, 9), (8, 9), (9, 12)):
        variant.sample = dataclasses.replace(variant.sample, text="\n".join("abcdefghi"[:lines]))
        assert lower_lines(shown, 120) == height
        rows = plain(lower_rows(shown, 120, height))
        assert len(rows) == height
        assert {len(line) for line in rows} <= {119, 120}
