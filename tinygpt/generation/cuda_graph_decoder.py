"""Decodes one token at a time on a GPU, as one captured CUDA graph.

One token of a small model takes about a hundred kernels of a few microseconds each; launching them
one by one takes the host many times as long. A CUDA graph launches all at once, but replays fixed
addresses and shapes. So keys and values live in a ring buffer with one slot per position of the
context: each new position overwrites the one a context length before it, and a bias masks the slots
that are still empty. The order of the slots does not matter, since positions are encoded in the
keys (RoPE).

Letters: V vocabulary, L layers, D width, H heads, K head width, C context, E experts.
"""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from tinygpt import cuda_graphs
from tinygpt.errors import TinyGPTWarning, first_line
from tinygpt.model.gpt import GPT, Attention, Block, FeedForward, apply_rope
from tinygpt.model.kv_cache import Cache
from tinygpt.model.moe import MoE

WARM_UPS = 3
"""Passes before the capture, in which libraries choose kernels and allocate memory."""


class CudaGraphDecoder:
    """Feeds one token at a time through a model, for a batch of one, with its current weights.

    It copies the cache into its own ring buffer; from then on only the cache's `position` is
    updated. Without CUDA the same pass runs without a graph. It does not keep the model alive.
    """

    def __init__(self, model: GPT) -> None:
        config, device = model.config, model.device
        self._model_reference = weakref.ref(model)
        self._addresses = _addresses(model)
        ring = (config.layers, config.heads, config.context, config.head_width)
        self._keys = torch.zeros(ring, device=device, dtype=model.head_weight.dtype)
        self._values = torch.zeros_like(self._keys)
        self._bias = torch.full((config.context,), -math.inf, device=device)
        self._recent = torch.zeros(config.conv_size, dtype=torch.int64, device=device)
        self._valid = torch.zeros(config.conv_size, 1, device=device, dtype=model.head_weight.dtype)
        """1 where `_recent` holds a token, 0 before the start of the text."""
        self._slot = torch.zeros_like(self._recent[:1])
        self._rope = torch.zeros(1, config.head_width // 2, 2, device=device)
        self._cache: Cache | None = None
        self._position = 0
        self._run: Callable[[], None] | None = None
        self._output: Tensor | None = None
        """(V + L,) logits after the last token, and its experts, on the device."""

    @property
    def _model(self) -> GPT:
        model = self._model_reference()
        assert model is not None
        return model

    @property
    def usable(self) -> bool:
        """Whether the model's weights are where a captured graph reads them."""
        return _addresses(self._model) == self._addresses

    def forget(self) -> None:
        """Let go of the cache of a text that is finished."""
        self._cache = None

    def step(self, token: int, cache: Cache) -> tuple[Tensor, tuple[int, ...]]:
        """Logits (V,) fp32 after `token`, which continues the cache, and its expert per layer."""
        if cache is not self._cache or cache.position != self._position:
            self._load(cache)
        self._recent.copy_(torch.cat((self._recent[1:], self._recent.new_full((1,), token))))
        if cache.position < len(self._valid):
            self._valid[-1 - cache.position :] = 1.0
        self._slot.fill_(cache.position % len(self._bias))
        self._rope.copy_(self._model.rotary(cache.position, 1))
        if self._run is None:
            self._run = self._capture() if is_supported(self._model) else self._forward
        self._run()
        cache.position += 1
        self._position = cache.position
        assert self._output is not None
        output = self._output.cpu()  # the only transfer and the only sync
        vocabulary = self._model.config.vocab_size
        return output[:vocabulary], tuple(map(int, output[vocabulary:].tolist()))

    def _load(self, cache: Cache) -> None:
        """Copy a cache's keys, values and recent tokens into this decoder's buffers."""
        self._valid.fill_(cache.position >= len(self._valid))
        if cache.recent is not None:
            self._recent[1:] = cache.recent[0]
        self._bias.fill_(-math.inf)
        for layer, layer_cache in enumerate(cache.layers):
            if entries := layer_cache.entries():
                keys, values = entries  # (1, H, S, K) each
                start = cache.position - keys.shape[2]
                slots = torch.arange(start, cache.position, device=keys.device) % len(self._bias)
                self._keys[layer].index_copy_(1, slots, keys[0])
                self._values[layer].index_copy_(1, slots, values[0])
                self._bias[slots] = 0.0
        self._cache = cache

    def _capture(self) -> Callable[[], None]:
        """The replay of a captured `_forward`, or with a warning `_forward` if capturing fails."""
        device = self._keys.device
        try:
            for _ in range(WARM_UPS):
                cuda_graphs.warm_up(self._forward, device)
            return cuda_graphs.capture(self._forward, device)
        except RuntimeError as error:
            warnings.warn(
                f"CUDA graph capture failed, decoding without it ({first_line(error)})",
                TinyGPTWarning,
                stacklevel=2,
            )
            return self._forward

    def _forward(self) -> None:
        """Set `_output` from the buffers."""
        model = self._model
        self._bias.index_fill_(0, self._slot, 0.0)
        window = model.embed.weight.index_select(0, self._recent)  # (conv_size, D)
        x = (window * (self._valid * model.conv.kernel(model.embed))).sum(0, keepdim=True)
        experts = []
        for index, block in enumerate(model.blocks):
            x = x + self._attend(block.norm_attention(x), block.attention, index)
            y, expert = _feed_forward(block.norm_feed(x), block)
            x = x + y
            experts += [expert.float()] if expert is not None else []
        logits = F.linear(model.norm(x), model.head_weight)[0].float()
        self._output = torch.cat((logits, *experts))

    def _attend(self, x: Tensor, attention: Attention, layer: int) -> Tensor:
        """(1, D) -> (1, D)."""
        keys, values = self._keys[layer], self._values[layer]
        qk = F.linear(x, attention.query_key.flatten(0, 1))
        qk = qk.view(1, 1, 2, attention.heads, attention.head_width)
        query, key = apply_rope(F.layer_norm(qk, qk.shape[-1:]), self._rope)[0, 0]  # (H, K) each
        value = F.linear(x, attention.value).view(attention.heads, 1, -1)
        keys.index_copy_(1, self._slot, key[:, None])
        values.index_copy_(1, self._slot, value)
        scores = (keys @ query[:, :, None])[..., 0].float() * attention.head_width**-0.5
        weights = (scores + self._bias).softmax(-1).to(values.dtype)  # (H, C)
        return F.linear((weights[:, None] @ values).view(1, -1), attention.out)


_idle: WeakKeyDictionary[GPT, list[CudaGraphDecoder]] = WeakKeyDictionary()


@contextmanager
def borrow_decoder(model: GPT) -> Iterator[CudaGraphDecoder]:
    """A decoder of the model that no other text uses: an earlier one, or else a new one.

    A graph is captured once per model and text at the same time, not once per text.
    """
    idle = _idle.setdefault(model, [])
    decoder = idle.pop() if idle else CudaGraphDecoder(model)
    if not decoder.usable:
        decoder = CudaGraphDecoder(model)
    try:
        yield decoder
    finally:
        decoder.forget()
        idle.append(decoder)


def is_supported(model: GPT) -> bool:
    """Whether a CUDA graph of the model can be captured."""
    return model.device.type == "cuda"


def _addresses(model: GPT) -> list[int]:
    return [parameter.data_ptr() for parameter in model.parameters()]


def _feed_forward(x: Tensor, block: Block) -> tuple[Tensor, Tensor | None]:
    """(1, D) -> (1, D), and the first expert (1,), None for Dense.

    The experts' weights are selected on the device: the host never waits for the choice.
    """
    feed = block.feed
    if isinstance(feed, FeedForward):
        return feed(x)[0], None
    assert isinstance(feed, MoE)
    routing = feed.router(x)
    chosen = routing.choice[0]  # (top-k,)
    hidden = F.gelu(feed.up.index_select(0, chosen) @ x[0])[..., None]
    y = (feed.down.index_select(0, chosen) @ hidden)[..., 0]
    return (routing.weight[0] @ y.float()).to(x.dtype)[None], chosen[:1]
