"""One token through the model on a GPU, as one captured graph: what a stream of text consists of.

A token of a small model is some hundred kernels of microseconds; starting them one by one takes the
host many times as long. A CUDA graph starts them at once, but replays fixed addresses and shapes.
So the keys and values lie in a ring of as many slots as the context, each position in the slot that
the one a context before it leaves, and a bias hides the slots that nothing was written to. Rotary
positions make the order of the slots mean nothing.

Letters: V vocabulary, L layers, D width, H heads, K head width, C context, E experts.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tinygpt.model.gpt import GPT, Attention, Block, FeedForward, rotate
from tinygpt.model.kv_cache import Cache
from tinygpt.model.moe import MoE

WARM_UPS = 3
"""Passes before one is captured, in which libraries choose their kernels and take their memory."""


class CudaGraphDecoder:
    """Reads one token after another of one continuation, as the weights are at the time.

    It takes the cache over: what it reads is in its own ring from then on, and in the cache only
    the position moves on. Where there is no CUDA the same pass is run without a graph.
    """

    def __init__(self, model: GPT) -> None:
        config, device = model.config, model.head.device
        self._model = model
        ring = (config.layers, config.heads, config.context, config.head_width)
        self._keys = torch.zeros(ring, device=device, dtype=model.head.dtype)
        self._values = torch.zeros_like(self._keys)
        self._bias = torch.full((config.context,), -math.inf, device=device)
        self._seen = torch.zeros(config.conv_size, dtype=torch.int64, device=device)
        self._there = torch.zeros(config.conv_size, 1, device=device, dtype=model.head.dtype)
        """1 where a token of `_seen` is one, 0 before the beginning."""
        self._slot = torch.zeros_like(self._seen[:1])
        self._turn = torch.zeros(1, config.head_width // 2, 2, device=device)
        self._cache: Cache | None = None
        self._position = 0
        self._run: Callable[[], None] | None = None
        self._found: Tensor | None = None
        """(V + L,) logits and readers of the last token, on the device."""

    def read(self, token: int, cache: Cache) -> tuple[Tensor, tuple[int, ...]]:
        """The logits (V,) fp32 behind a token that continues a cache, and who read it."""
        if cache is not self._cache or cache.position != self._position:
            self._take_over(cache)
        self._seen.copy_(torch.cat((self._seen[1:], self._seen.new_full((1,), token))))
        if cache.position < len(self._there):
            self._there[-1 - cache.position :] = 1.0
        self._slot.fill_(cache.position % len(self._bias))
        self._turn.copy_(self._model.rotary(cache.position, 1))
        if self._run is None:
            self._run = self._captured() if suits(self._model) else self._pass
        self._run()
        cache.position += 1
        self._position = cache.position
        assert self._found is not None
        found = self._found.cpu()  # one transfer, and the only wait
        vocabulary = self._model.config.vocab_size
        return found[:vocabulary], tuple(map(int, found[vocabulary:].tolist()))

    def _take_over(self, cache: Cache) -> None:
        """Copy what a cache holds into the ring, and its last tokens."""
        self._there.fill_(cache.position >= len(self._there))
        if cache.last is not None:
            self._seen[1:] = cache.last[0]
        self._bias.fill_(-math.inf)
        for layer, memory in enumerate(cache.layers):
            if held := memory.held():
                keys, values = held  # (1, H, S, K) each
                start = cache.position - keys.shape[2]
                slots = torch.arange(start, cache.position, device=keys.device) % len(self._bias)
                self._keys[layer].index_copy_(1, slots, keys[0])
                self._values[layer].index_copy_(1, slots, values[0])
                self._bias[slots] = 0.0
        self._cache = cache

    def _captured(self) -> Callable[[], None]:
        """The pass as a graph; itself, with one warning, where it cannot be captured."""
        try:
            return graph_of(self._pass).replay
        except RuntimeError as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            warnings.warn(f"no CUDA graph, decoding goes on without ({reason})", stacklevel=2)
            return self._pass

    def _pass(self) -> None:
        """Find (V + L,): the logits, and the reader of each layer of a mixture."""
        model = self._model
        self._bias.index_fill_(0, self._slot, 0.0)
        seen = model.embed.weight.index_select(0, self._seen)  # (conv_size, D)
        x = (seen * (self._there * model.conv.kernel(model.embed))).sum(0, keepdim=True)
        readers = []
        for index, block in enumerate(model.blocks):
            x = x + self._attend(block.norm_attention(x), block.attention, index)
            y, chosen = _feed(block.norm_feed(x), block)
            x = x + y
            readers += [chosen.float()] if chosen is not None else []
        logits = F.linear(model.norm(x), model.head)[0].float()
        self._found = torch.cat((logits, *readers))

    def _attend(self, x: Tensor, attention: Attention, layer: int) -> Tensor:
        """(1, D) -> (1, D)."""
        keys, values = self._keys[layer], self._values[layer]
        qk = F.linear(x, attention.query_key.flatten(0, 1))
        qk = qk.view(1, 1, 2, attention.heads, attention.head_width)
        query, key = rotate(F.layer_norm(qk, qk.shape[-1:]), self._turn)[0, 0]  # (H, K) each
        value = F.linear(x, attention.value).view(attention.heads, 1, -1)
        keys.index_copy_(1, self._slot, key[:, None])
        values.index_copy_(1, self._slot, value)
        scores = (keys @ query[:, :, None])[..., 0].float() * attention.head_width**-0.5
        weights = (scores + self._bias).softmax(-1).to(values.dtype)  # (H, C)
        return F.linear((weights[:, None] @ values).view(1, -1), attention.out)


def suits(model: GPT) -> bool:
    """Whether a graph can be captured of it."""
    return model.head.device.type == "cuda"


def graph_of(run: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """What `run` does on the device, captured; it has to be the same when it is done again."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph


def _feed(x: Tensor, block: Block) -> tuple[Tensor, Tensor | None]:
    """(1, D) -> (1, D), and the first expert (1,) of a mixture; nothing waits for the choice."""
    feed = block.feed
    if isinstance(feed, FeedForward):
        return feed(x)[0], None
    assert isinstance(feed, MoE)
    routing = feed.router(x)
    chosen = routing.choice[0]  # (experts of a token,)
    hidden = F.gelu(feed.up.index_select(0, chosen) @ x[0])[..., None]
    found = (feed.down.index_select(0, chosen) @ hidden)[..., 0]
    return (routing.weight[0] @ found.float()).to(x.dtype)[None], chosen[:1]
