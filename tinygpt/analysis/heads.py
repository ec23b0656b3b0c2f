"""Statistics of attention heads.

Each statistic is a mean over queries. `attention_maps.uniform_baseline` has its value for a head
that attends equally to all keys it may see: a head with random weights is near that baseline, so
only the difference from it is meaningful.

Letters: L layers, H heads, T tokens (the rows of attention are queries, its columns keys).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tinygpt.analysis.inspection import inspect_tokens, longest_window
from tinygpt.errors import TinyGPTError
from tinygpt.model.gpt import GPT
from tinygpt.model_config import ModelConfig

STATISTICS = ("entropy", "distance", "previous", "self", "first")
REPEATED = ("duplicate", "induction")
LONGEST_REPEATED = 1024
"""Tokens of a repeated sequence, both halves: enough for a mean, however long the context is."""


def statistics(attention: Tensor) -> dict[str, Tensor]:
    """Statistics of each head, from attention (L, H, T, T): name -> (L, H).

    - ``entropy``: nats; 0 if each query attends to a single key.
    - ``distance``: tokens; how far back a query attends, as a weighted mean.
    - ``previous``, ``self``: weight on the token before the query, and on the query itself.
    - ``first``: weight on the first token, where heads put attention that they have no use for
      (attention sinks, arXiv:2309.17453).

    ``previous`` and ``first`` leave out the first query, which can only attend to itself; with a
    single token they are nan.
    """
    own, later = attention.diagonal(dim1=-2, dim2=-1), attention[..., 1:, :]
    return {
        "entropy": 0.0 - torch.xlogy(attention, attention).sum(-1).mean(-1),  # 0, never -0
        "distance": (attention * _distances(attention)).sum(-1).mean(-1),
        "previous": later.diagonal(dim1=-2, dim2=-1).mean(-1),
        "self": own.mean(-1),
        "first": later[..., 0].mean(-1),
    }


def repeated_length(config: ModelConfig) -> int:
    """Tokens to pass to `repeated`: half a context, at most 512."""
    return min(longest_window(config), LONGEST_REPEATED) // 2


def repeated(model: GPT, length: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Copying scores of each head on `length` random tokens, repeated once: name -> (L, H).

    The second half can be predicted only from the first (induction heads, arXiv:2209.11895):

    - ``duplicate``: weight of each token of the second half on its earlier copy.
    - ``induction``: weight on the token after that copy, which is the one to predict.

    Raises:
        TinyGPTError: `length` is less than 2, or more than half the context.
    """
    if length < 2:
        raise TinyGPTError(f"a repeated sequence needs at least 2 tokens, not {length}")
    half = random_tokens(model.config.vocab_size, length, seed)
    return copying(inspect_tokens(model, half.repeat(2)).attention)


def copying(attention: Tensor) -> dict[str, Tensor]:
    """The scores of `repeated`, from attention (L, H, T, T) over the repeated sequence."""
    length = attention.shape[-1] // 2
    later = attention[..., length:, :]
    return {
        name: later.diagonal(offset, dim1=-2, dim2=-1)[..., :length].mean(-1)
        for offset, name in enumerate(REPEATED)
    }


def random_tokens(vocabulary: int, length: int, seed: int = 0) -> Tensor:
    """(length,) tokens; none repeats before all others were used, so copies are unambiguous."""
    generator = torch.Generator().manual_seed(seed)
    rounds = math.ceil(length / vocabulary)
    permutations = [torch.randperm(vocabulary, generator=generator) for _ in range(rounds)]
    return torch.cat(permutations)[:length]


def _distances(attention: Tensor) -> Tensor:
    """(T, T): how many tokens key k is before query q."""
    positions = torch.arange(attention.shape[-1], device=attention.device, dtype=attention.dtype)
    return positions[:, None] - positions
