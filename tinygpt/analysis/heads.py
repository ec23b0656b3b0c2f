"""What an attention head does, in a few numbers.

Each statistic is a mean over queries and has a counterpart in `uniform_baseline`: its value for a
head that attends equally to all keys it may see. A head of random weights is near that baseline,
so only the difference says something.

Letters: L layers, H heads, T tokens (the rows of attention are queries, its columns keys).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tinygpt.analysis.inspection import inspect_tokens
from tinygpt.errors import TinyGPTError
from tinygpt.model.gpt import GPT

STATISTICS = ("entropy", "distance", "previous", "self", "first")
REPEATED = ("duplicate", "induction")


def statistics(attention: Tensor) -> dict[str, Tensor]:
    """What each head of attention (L, H, T, T) does, as (L, H) by name.

    - ``entropy``: nats; how many places a query looks at, 0 for one alone.
    - ``distance``: tokens; how far back it looks, as the weights' mean.
    - ``previous``, ``self``: weight on the token before the query, and on its own.
    - ``first``: weight on the first token, where heads put what they have no use for (attention
      sinks, arXiv:2309.17453).

    ``previous`` and ``first`` leave out the first query, which has no choice; of one token alone
    they are nan.
    """
    own, behind = attention.diagonal(dim1=-2, dim2=-1), attention[..., 1:, :]
    return {
        "entropy": -torch.xlogy(attention, attention).sum(-1).mean(-1),
        "distance": (attention * _distances(attention)).sum(-1).mean(-1),
        "previous": behind.diagonal(dim1=-2, dim2=-1).mean(-1),
        "self": own.mean(-1),
        "first": behind[..., 0].mean(-1),
    }


def uniform_baseline(tokens: int) -> dict[str, float]:
    """`statistics` over so many tokens of a head whose every query looks everywhere alike."""
    return {name: float(value) for name, value in statistics(_uniform(tokens)).items()}


def repeated(model: GPT, length: int, *, seed: int = 0) -> dict[str, Tensor]:
    """What heads do in a random sequence of `length` tokens that comes twice, as (L, H) by name.

    Its second half holds nothing to go by but the first (arXiv:2209.11895):

    - ``duplicate``: weight of each token of the second half on its earlier copy.
    - ``induction``: on the token after that copy, which is the one to predict.

    Raises:
        TinyGPTError: fewer than two tokens, or twice as many as exceed the context.
    """
    if length < 2:
        raise TinyGPTError(f"a sequence of {length} cannot be repeated: take at least 2 tokens")
    half = random_tokens(model.config.vocab_size, length, seed)
    return copying(inspect_tokens(model, half.repeat(2)).attention)


def repeated_chance(length: int) -> dict[str, float]:
    """`repeated` of a head whose every query looks everywhere alike."""
    return {name: float(value) for name, value in copying(_uniform(2 * length)).items()}


def copying(attention: Tensor) -> dict[str, Tensor]:
    """The scores of `repeated`, from attention (L, H, T, T) over a sequence that comes twice."""
    length = attention.shape[-1] // 2
    later = attention[..., length:, :]
    return {
        name: later.diagonal(offset, dim1=-2, dim2=-1)[..., :length].mean(-1)
        for offset, name in enumerate(REPEATED)
    }


def random_tokens(vocabulary: int, length: int, seed: int = 0) -> Tensor:
    """(length,) tokens, none a second time before all others came: a copy is then the only one."""
    dice = torch.Generator().manual_seed(seed)
    rounds = math.ceil(length / vocabulary)
    return torch.cat([torch.randperm(vocabulary, generator=dice) for _ in range(rounds)])[:length]


def rollout(attention: Tensor) -> Tensor:
    """Attention (L, H, T, T) followed down to the text: (L, T, T), rows sum to 1.

    Row q of layer l holds how much of each token is in position q after that layer: the mean of
    the heads, half of it for the residual stream, multiplied layer by layer (attention rollout,
    arXiv:2005.00928). It is an approximation: heads count alike whatever their values are, and the
    feed-forward blocks not at all.
    """
    mixed = attention.mean(1)
    mixed = mixed + torch.eye(mixed.shape[-1]).to(mixed)
    mixed = mixed / mixed.sum(-1, keepdim=True)
    layers = [mixed[0]]
    for layer in mixed[1:]:
        layers.append(layer @ layers[-1])
    return torch.stack(layers)


def _distances(attention: Tensor) -> Tensor:
    """(T, T): how many tokens key k lies before query q."""
    places = torch.arange(attention.shape[-1], device=attention.device, dtype=attention.dtype)
    return places[:, None] - places


def _uniform(tokens: int) -> Tensor:
    """(1, 1, T, T): each query looks alike at itself and all before, in fp64."""
    below = torch.ones(1, 1, tokens, tokens, dtype=torch.float64).tril()
    return below / below.sum(-1, keepdim=True)
