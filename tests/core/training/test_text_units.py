"""Losses per byte and per character are those of the same text with any tokenizer."""

import math

import pytest
import torch

from tinygpt.data.characters import CharTokenizer
from tinygpt.data.subword import BPETokenizer
from tinygpt.training.evaluation import windows
from tinygpt.training.text_units import text_units

TEXT = "día, 日本語 and a day. " * 29


def test_of_characters() -> None:
    tokenizer = CharTokenizer.train(TEXT)
    parts = windows(torch.from_numpy(tokenizer.encode_array(TEXT)), 7)
    units = text_units(tokenizer, parts)
    predicted = TEXT[1:]
    assert units.characters_per_token == 1
    assert units.bytes_per_token == len(predicted.encode()) / len(predicted)
    assert units.nats_per_character(1.3) == 1.3


def test_totals_are_those_of_the_text_that_is_predicted() -> None:
    tokenizer = BPETokenizer.train([TEXT], 271)
    ids = tokenizer.encode_array(TEXT)
    units = text_units(tokenizer, windows(torch.from_numpy(ids), 11))
    first, tokens = len(tokenizer.token_bytes(int(ids[0]))), len(ids) - 1
    assert units.bytes_per_token * tokens == pytest.approx(len(TEXT.encode()) - first)
    total = 1.7 * tokens / math.log(2)
    assert units.bits_per_byte(1.7) == pytest.approx(total / (len(TEXT.encode()) - first))
