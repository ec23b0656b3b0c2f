"""Losses per byte and per character of the text.

A loss per token says little beside that of a model with other tokens; these compare.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from tinygpt.data.tokenizer import Tokenizer, text_lengths

TOKENS = 1 << 20
"""Tokens counted at a time: a large split is not copied as a whole."""


class TextUnits(NamedTuple):
    """How much text a token of a split is, on average."""

    bytes_per_token: float
    characters_per_token: float

    def bits_per_byte(self, loss: float) -> float:
        """Of a loss in nats per token."""
        return loss / self.bytes_per_token / math.log(2)

    def nats_per_character(self, loss: float) -> float:
        """Of a loss in nats per token."""
        return loss / self.characters_per_token


def text_units(tokenizer: Tokenizer, windows: list[Tensor]) -> TextUnits:
    """The units of the tokens that are predicted in windows (W, T + 1): all but the first of each.

    The windows need not be on the CPU.
    """
    bytes_of, characters_of = map(torch.from_numpy, text_lengths(tokenizer))
    counts = torch.zeros(tokenizer.vocab_size, dtype=torch.int64)
    for part in windows:
        for some in part.split(max(1, TOKENS // part.shape[1])):
            predicted = some[:, 1:].cpu().long().flatten()
            counts += torch.bincount(predicted, minlength=tokenizer.vocab_size)
    tokens = int(counts.sum())
    return TextUnits(
        int(counts @ bytes_of) / tokens,
        int(counts @ characters_of) / tokens,
    )
