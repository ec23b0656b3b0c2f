"""Single tokens as labels and within a text."""

import pytest
from rich.cells import cell_len

from tinygpt_tui.render.text import label, named, whole_mark


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        (" the", 9, "∙the"),
        (" the", 3, "∙t…"),
        (" the", 2, "t"),
        ("\n\n", 5, "⏎⏎"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("a", 9, "a"),
        (" ", 1, "∙"),
        ("a\x1b", 4, "a␛"),
        (" <0xE5><0xA4>", 13, "∙<0xE5><0xA4>"),
        (" <0xE5><0xA4>", 12, "∙E5A4"),
        (" <0xE5><0xA4>", 4, "∙E5…"),
        (" <0xE5><0xA4>", 2, "E5"),
        ("<0xE5>", 1, "□"),
        ("<|endoftext|>", 13, "<|endoftext|>"),
        ("<|endoftext|>", 12, "␃"),
        ("<|endoftext|>", 1, "␃"),
    ],
)
def test_a_label_holds_as_much_of_a_token_as_fits(text: str, columns: int, expected: str) -> None:
    assert label(text, columns) == expected
    assert cell_len(label(text, columns)) <= columns


def test_a_token_within_a_text_is_whole() -> None:
    assert [whole_mark(text) for text in (" the", "\n", " ", "é")] == ["∙the", "⏎", "∙", "é"]
    assert named(" the") == "∙the"
