"""What decoding remembers of the tokens before: keys and values per layer, and their last ids."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinygpt.config import ModelConfig

Floats = NDArray[np.float32]


class Cache:
    """Keys and values of the tokens so far, so that a new one costs one position's work.

    Within the context, decoding with a cache gives the logits of a full pass. Past it, the last C
    tokens' keys and values are kept (a sliding window): each layer's query sees C positions, at
    their right distances thanks to rotary positions; through the layers below, these still carry
    what older tokens told them, so the model sees a little further than its context, where a full
    pass over the last C tokens would forget them at once.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.position = 0
        """Tokens seen so far: the position of the next one."""
        self.last: Tensor | None = None
        """(B, conv_size - 1) int64: the last tokens, the newest behind; zeros stand before a text,
        which `position` tells from tokens."""
        self._reach = config.conv_size - 1
        self.layers = [LayerCache(config) for _ in range(config.layers)]

    def follow(self, ids: Tensor) -> Tensor:
        """New tokens (B, T) behind those of the last that there are, at most the convolution's
        reach; they are the last now. `position` has not moved yet."""
        if self.last is None:
            self.last = ids.new_zeros(len(ids), self._reach)
        seen = torch.cat((self.last, ids), 1)
        self.last = seen[:, seen.shape[1] - self._reach :]
        return seen[:, max(0, self._reach - self.position) :]

    def push(self, token: int) -> list[int]:
        """`follow` on the CPU by one token of a batch of one."""
        if self.last is None:
            self.last = torch.zeros(1, self._reach, dtype=torch.int64)
        (last,) = self.last.numpy()
        seen = [*last[max(0, self._reach - self.position) :].tolist(), token]
        last[:-1] = last[1:]
        last[-1:] = token
        return seen


class LayerCache:
    """One layer's window of keys and values, in a buffer of twice its length.

    New entries go behind the last; when the buffer is full, the window moves to its front. So the
    window is always in one piece, and moving it costs one copy in C tokens.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.window = config.context
        self._end = 0
        self._buffer: Tensor | None = None  # (2, B, H, 2C, K)

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, H, T, K) keys and values; all that one of these T may see, (B, H, S, K) each."""
        batch, heads, new, width = key.shape
        if self._buffer is None:
            self._buffer = key.new_empty(2, batch, heads, 2 * self.window, width)
        buffer, end = self._buffer, self._make_room(new)
        buffer[0, :, :, end - new : end] = key
        buffer[1, :, :, end - new : end] = value
        start = max(0, end - self.window - new + 1)
        keys, values = buffer[:, :, :, start:end]
        return keys, values

    def held(self) -> tuple[Tensor, Tensor] | None:
        """The keys and values of the last tokens, at most a window, (B, H, S, K) each."""
        if self._buffer is None:
            return None
        keys, values = self._buffer[:, :, :, max(0, self._end - self.window) : self._end]
        return keys, values

    def push(self, key: Floats, value: Floats) -> tuple[Floats, Floats]:
        """`extend` on the CPU by one token of a batch of one: (H, K) each -> (H, S, K) each."""
        if self._buffer is None:
            heads, width = key.shape
            self._buffer = torch.empty(2, 1, heads, 2 * self.window, width)
        end = self._make_room(1)
        keys, values = self._buffer.numpy()[:, 0]  # (H, 2C, K) each
        keys[:, end - 1] = key
        values[:, end - 1] = value
        start = max(0, end - self.window)
        return keys[:, start:end], values[:, start:end]

    def _make_room(self, new: int) -> int:
        """Where the entries end once `new` ones are there."""
        assert self._buffer is not None
        if self._end + new > self._buffer.shape[3]:
            kept = self._buffer[:, :, :, self._end - self.window : self._end].clone()
            self._buffer[:, :, :, : self.window] = kept
            self._end = self.window
        self._end += new
        return self._end
