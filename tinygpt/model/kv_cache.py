"""The KV cache: keys and values of the tokens so far, per layer, and the last token ids.

Letters: B batch, T new tokens, S keys returned, H heads, K head width, C context.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinygpt.model_config import ModelConfig

Floats = NDArray[np.float32]

SMALLEST_BUFFER = 1024
"""Entries that a layer's buffer holds from the start, if the context is not shorter."""


class Cache:
    """Keys and values of the tokens so far, so that a new token costs one position's work.

    Within the context, decoding with a cache gives the logits of a full pass. Past it, the cache
    keeps the keys and values of the last C tokens (a sliding window): in each layer a query attends
    to C positions, at their true distances thanks to rotary positions. Those keys and values were
    computed with older tokens in view, so the model sees a little further than its context, where a
    full pass over the last C tokens would not.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.position = 0
        """Number of tokens so far, which is the position of the next one."""
        self.recent: Tensor | None = None
        """(B, conv_size - 1) int64: the last tokens, newest last, for the short convolution. Before
        the start of a text it holds zeros; `position` says how many entries are tokens."""
        self._reach = config.conv_size - 1
        self.layers = [LayerCache(config) for _ in range(config.layers)]

    def extend(self, ids: Tensor) -> Tensor:
        """Add new tokens (B, T) to `recent`; returns them with the recent tokens before them.

        Does not advance `position`, which the layers still need.
        """
        if self.recent is None:
            self.recent = ids.new_zeros(len(ids), self._reach)
        window = torch.cat((self.recent, ids), 1)
        self.recent = window[:, window.shape[1] - self._reach :]
        return window[:, max(0, self._reach - self.position) :]

    def extend_by_one(self, token: int) -> list[int]:
        """`extend` for a single token and a batch of one on the CPU."""
        if self.recent is None:
            self.recent = torch.zeros(1, self._reach, dtype=torch.int64)
        (recent,) = self.recent.numpy()
        window = [*recent[max(0, self._reach - self.position) :].tolist(), token]
        recent[:-1] = recent[1:]
        recent[-1:] = token
        return window


class LayerCache:
    """One layer's sliding window of keys and values, in a buffer of up to twice its length.

    Attention needs the window as one contiguous slice, in order. A ring buffer would wrap around,
    and shifting the window by one would copy C entries per token. Here new entries are appended
    after the last, and only when the buffer of 2C is full does the window move to its front: one
    copy per C tokens. The buffer grows with the text, so that a short text in a long context (which
    a checkpoint may claim as it likes) takes little memory.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.window = config.context
        self._end = 0
        self._buffer: Tensor | None = None  # (2, B, H, 2C, K)

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values (B, H, T, K); returns those that the queries may see (B, H, S, K)."""
        batch, heads, new, width = key.shape
        if self._buffer is None:
            self._buffer = key.new_empty(2, batch, heads, self._capacity(new), width)
        end = self._advance(new)
        buffer = self._buffer
        buffer[0, :, :, end - new : end] = key
        buffer[1, :, :, end - new : end] = value
        start = max(0, end - self.window - new + 1)  # the first new query sees C - 1 before it
        keys, values = buffer[:, :, :, start:end]
        return keys, values

    def entries(self) -> tuple[Tensor, Tensor] | None:
        """The keys and values in the window (B, H, S, K), None before the first token."""
        if self._buffer is None:
            return None
        keys, values = self._buffer[:, :, :, max(0, self._end - self.window) : self._end]
        return keys, values

    def extend_by_one(self, key: Floats, value: Floats) -> tuple[Floats, Floats]:
        """`extend` for a single token and a batch of one on the CPU: (H, K) -> (H, S, K)."""
        if self._buffer is None:
            heads, width = key.shape
            self._buffer = torch.empty(2, 1, heads, self._capacity(1), width)
        end = self._advance(1)
        keys, values = self._buffer.numpy()[:, 0]  # (H, 2C, K) each
        keys[:, end - 1] = key
        values[:, end - 1] = value
        start = max(0, end - self.window)
        return keys[:, start:end], values[:, start:end]

    def _advance(self, new: int) -> int:
        """Make room for `new` entries at the end of the window; returns its new end."""
        assert self._buffer is not None
        if self._end + new > self._buffer.shape[3]:
            kept = self._buffer[:, :, :, max(0, self._end - self.window) : self._end].clone()
            self._end = kept.shape[3]
            if (size := self._capacity(self._end + new)) > self._buffer.shape[3]:
                self._buffer = kept.new_empty(*kept.shape[:3], size, kept.shape[4])
            self._buffer[:, :, :, : self._end] = kept
        self._end += new
        return self._end

    def _capacity(self, entries: int) -> int:
        """Length of a buffer for `entries`: with room for as many again, within its bounds."""
        return min(max(2 * entries, SMALLEST_BUFFER), 2 * self.window)
