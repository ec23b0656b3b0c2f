"""Computed from attention alone: rollout, and the uniform baselines of head statistics.

In NumPy, so that the interface needs no torch for them.

Letters: L layers, H heads, T tokens (the rows of attention are queries, its columns keys).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def rollout(attention: Floats) -> Floats:
    """Attention rollout (arXiv:2005.00928) of (L, H, T, T): (L, T, T), rows sum to 1.

    Row q of layer l is the share of each token in position q after that layer. Each layer's
    attention is averaged over its heads, and then with the identity, which stands for the residual
    stream; the layers are multiplied. This is an approximation: it weights all heads equally,
    whatever their values, and ignores the feed-forward layers.
    """
    mixed = (attention.mean(axis=1) + np.eye(attention.shape[-1], dtype=attention.dtype)) / 2
    layers = [mixed[0]]
    for layer in mixed[1:]:
        layers.append(layer @ layers[-1])
    return np.stack(layers)


def uniform_baseline(tokens: int) -> dict[str, float]:
    """`heads.statistics` over `tokens` tokens for a head that attends uniformly to all it may see.

    For a single token, the statistics that leave out the first query are nan.
    """
    visible = np.arange(1, tokens + 1)  # keys that each query may attend to
    one_key = float((1 / visible[1:]).mean()) if tokens > 1 else float("nan")
    return {
        "entropy": float(np.log(visible).mean()),
        "distance": float((visible - 1).mean()) / 2,
        "previous": one_key,
        "self": float((1 / visible).mean()),
        "first": one_key,
    }


def repeated_baseline(length: int) -> dict[str, float]:
    """`heads.repeated` for a head that attends uniformly to all it may see."""
    one_key = float((1 / np.arange(length + 1, 2 * length + 1)).mean())
    return {"duplicate": one_key, "induction": one_key}
