"""The average behind every "train" loss on screen and in progress lines.

A debiased exponential moving average, as W&B and TensorBoard draw it: the weights of the values so
far are divided by their sum, so that the first averages are not drawn towards zero. Values that are
not finite have no weight. `span` is the usual parameter (pandas, W&B): a value of age n has the
weight (1 - 2 / (span + 1)) ** n, and a span of 1 is the last value alone.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Floats: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.float64]]"

SPAN = 50
"""Span of the train loss, in records, unless the user chooses another one."""
LARGEST = 1e4
"""Values are clipped to this, since one huge loss would hide all later ones."""
_BLOCK = 64
_LEAST_WEIGHT = 1e-9  # less than that of a single value of long ago: there is no current one


def name(span: int) -> str:
    """What the average is called: "train (ema 50)"; "train (batch)" where nothing is averaged."""
    return f"train ({kind(span)})"


def kind(span: int) -> str:
    """The kind of average alone: "ema 50" or "batch"."""
    return f"ema {span}" if span > 1 else "batch"


class Ema:
    """The average of a growing series: what `extend` returns does not depend on how the series is
    divided over calls."""

    def __init__(self, span: int) -> None:
        self._decay = 1 - 2 / (max(span, 1) + 1)
        self._sum = self._weight = 0.0

    def extend(self, values: Floats) -> Floats:
        """Add the next values (N,); the average after each of them (N,), NaN while none of the
        values that still have weight is finite."""
        if not len(values):
            return np.empty(0)
        finite = np.isfinite(values)
        sums = np.clip(np.where(finite, values, 0.0), -LARGEST, LARGEST)
        weights = finite.astype(np.float64)
        sums[0] += self._decay * self._sum
        weights[0] += self._decay * self._weight
        sums, weights = (_decaying_sums(terms, self._decay) for terms in (sums, weights))
        self._sum, self._weight = float(sums[-1]), float(weights[-1])
        averages = np.full(len(values), np.nan)
        np.divide(sums, weights, out=averages, where=weights > _LEAST_WEIGHT)
        return averages


def _decaying_sums(values: Floats, decay: float) -> Floats:
    """s[i] = values[i] + decay * s[i - 1], for (N,): blocks by a matrix, and the sums that they
    hand on in the same way."""
    count = len(values)
    blocks = np.zeros((-(-count // _BLOCK), _BLOCK))
    blocks.reshape(-1)[:count] = values
    ages = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    blocks = blocks @ np.where(ages >= 0, decay ** np.maximum(ages, 0), 0.0).T
    if len(blocks) > 1:
        handed_on = _decaying_sums(blocks[:, -1], decay**_BLOCK)[:-1]
        blocks[1:] += np.outer(handed_on, decay ** np.arange(1, _BLOCK + 1))
    return blocks.reshape(-1)[:count]
