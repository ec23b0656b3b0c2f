"""One setting: the valid values in a few words."""

import pytest

from tinygpt.config import dotted_fields
from tinygpt.fields import range_text


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
