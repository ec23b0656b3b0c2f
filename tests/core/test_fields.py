"""One setting: the valid values in a few words; whole numbers of options."""

import pytest

from tinygpt.config import dotted_fields
from tinygpt.errors import ConfigError
from tinygpt.fields import range_text, whole_number


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("preset", "micro, nano, baby or small"),
        ("optim.optimizer", "muon or adamw"),
        ("train.compile", "true or false"),
        ("gpt.layers", "1 to 1,000"),
        ("gpt.dropout", "at least 0, less than 1"),
        ("target_loss", "more than 0"),
        ("steps", "at least 1"),
        ("train.sample_prompt", ""),
    ],
)
def test_valid_values_in_words(name: str, text: str) -> None:
    assert range_text(dict(dotted_fields())[name]) == text


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.0", "", "14", "9" * 5000, "²"])
def test_a_whole_number_of_an_option(text: str) -> None:
    assert whole_number("13", "--x", 13) == 13
    assert whole_number("999", "--x") == 999
    with pytest.raises(ConfigError, match=r"^--x '.*' is not a whole number from 1 to 13, all$"):
        whole_number(text, "--x", 13, "all")
