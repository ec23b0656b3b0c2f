"""A decoder Transformer for one text: characters in, logits of the next character out.

Reads top to bottom like the computation: embed, mix each embedding with the few before it, then a
block a layer (attention, feed-forward or experts, each behind a norm and added to the residual
stream), a last norm, the head. Chosen for learning fast at this size, measured in
docs/benchmarks.md: that short convolution, rotary positions (RoFormer, arXiv:2104.09864),
normalised queries and keys (arXiv:2010.04245), an untied head, output projections that start at
zero, no biases.

Letters: B batch, T time (new tokens), S time (all keys), D width, H heads, K head width,
V vocabulary, L layers, C context.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinygpt.config import ModelConfig
from tinygpt.errors import TinyGPTError
from tinygpt.model.kv_cache import Cache, LayerCache
from tinygpt.model.moe import MoE, Routing


@dataclass(frozen=True, slots=True)
class Trace:
    """What a forward pass returns to whoever wants to look inside."""

    logits: Tensor
    """(B, T, V)"""
    routing: list[Routing]
    """One a layer, tokens flattened to B x T; empty for Dense."""
    attention: list[Tensor]
    """(B, H, T, S) weights, one a layer; empty unless the explicit path was asked for."""


class GPT(nn.Module):
    """Dense, or with ``config.moe`` a mixture of experts. Weights come from torch's generator."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.conv = ShortConv(config.width, config.conv_size)
        self.blocks = Blocks(Block(config) for _ in range(config.layers))
        self.norm = Norm(config.width)
        self.head = nn.Parameter(torch.empty(config.vocab_size, config.width))
        self.rotary = Rotary(config.head_width, config.context, config.rope_base)
        self.dropout = nn.Dropout(config.dropout)
        self._start()

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, T) int64 -> logits (B, T, V).

        Raises:
            TinyGPTError: more tokens than the context.
        """
        return self.run(ids).logits

    def run(self, ids: Tensor, cache: Cache | None = None, *, explicit: bool = False) -> Trace:
        """ids (B, T) int64 -> logits, with the routing, and with `explicit` the attention weights.

        With a `cache`, `ids` continue the tokens that it holds. Its logits are those of one pass
        over all of them while they fit the context; see `Cache` for what happens after.
        """
        if ids.shape[1] > self.config.context:
            raise TinyGPTError(
                f"{ids.shape[1]} tokens are more than the model's context of "
                f"{self.config.context}: give it the last ones"
            )
        rope = self.rotary(cache.position if cache else 0, ids.shape[1])
        x = self.dropout(self.conv(self.embed, ids, cache))
        attention, routing = [], []
        for index, block in enumerate(self.blocks):
            layer_cache = cache.layers[index] if cache else None
            x, weights, decision = block(x, rope, layer_cache, explicit=explicit)
            attention += [weights] if weights is not None else []
            routing += [decision] if decision is not None else []
        if cache:
            cache.position += ids.shape[1]
        return Trace(F.linear(self.norm(x), self.head), routing, attention)

    def parameter_counts(self) -> tuple[int, int]:
        """(total, active for one token); selection biases are not learned, and not counted."""
        total = sum(parameter.numel() for parameter in self.parameters())
        moe = self.config.moe
        if moe is None:
            return total, total
        experts = sum(b.feed.up.numel() + b.feed.down.numel() for b in self.blocks)
        return total, total - experts + experts * moe.top_k // moe.experts

    def rebalance(self, loads: list[Tensor], rate: float) -> None:
        """Move every router's selection bias; `loads` (E,) a layer are what they sent where."""
        for block, load in zip(self.blocks, loads, strict=True):
            assert isinstance(block.feed, MoE)
            block.feed.router.rebalance(load, rate)

    @torch.no_grad()
    def _start(self) -> None:
        """Draw the weights: each block starts as the identity, its output projections being 0."""
        for name, parameter in self.named_parameters():
            kind = name.rpartition(".")[2]
            if kind in ("out", "down"):
                nn.init.zeros_(parameter)
            elif name == "embed.weight" or kind == "taps":
                nn.init.normal_(parameter, std=1.0)  # taps of any sign tell places apart at once
            elif name == "head":
                nn.init.normal_(parameter, std=0.02)  # near-uniform first predictions
            elif "norm" not in name:
                nn.init.normal_(parameter, std=0.5 * parameter.shape[-1] ** -0.5)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout inside the block; the model's mode is as it was afterwards."""
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()


class ShortConv(nn.Module):
    """Each embedding plus those of the tokens just before, channel by channel times a learned tap.

    A causal depthwise convolution, as in front of the layers of H3 (arXiv:2212.14052) and many
    since. What comes just before a character says most about the next one; so every layer sees it,
    where attention would have to learn to find it first.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.reach = size - 1
        """Tokens before its own that an embedding is mixed with."""
        taps = nn.Parameter(torch.empty(self.reach, width)) if self.reach else None
        self.taps: nn.Parameter | None  # of 1, 2, … tokens before
        self.register_parameter("taps", taps)

    def forward(self, embed: nn.Embedding, ids: Tensor, cache: Cache | None) -> Tensor:
        """The mixed embeddings (B, T, D) of ids (B, T), which continue those of the cache."""
        seen = cache.follow(ids) if cache else ids
        x: Tensor = embed(seen)
        if self.taps is None:
            return x
        new = ids.shape[1]
        # Nothing stands before a text: zeros.
        x = F.pad(x, (0, 0, self.reach + new - seen.shape[1], 0))
        mixed = x[:, self.reach :]
        for before, tap in enumerate(self.taps, 1):
            mixed = torch.addcmul(mixed, tap, x[:, self.reach - before :][:, :new])
        return mixed

    def kernel(self, embed: nn.Embedding) -> Tensor:
        """(conv_size, D): what each of as many embeddings is multiplied by, a token's own last."""
        own = torch.ones_like(embed.weight[:1])
        return own if self.taps is None else torch.cat((self.taps.flip(0), own))


class Block(nn.Module):
    """Attention, then feed-forward or experts, each behind a norm and added to the stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm_attention = Norm(config.width)
        self.attention = Attention(config)
        self.norm_feed = Norm(config.width)
        self.feed: FeedForward | MoE = MoE(config) if config.moe else FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, rope: Tensor, cache: LayerCache | None, *, explicit: bool
    ) -> tuple[Tensor, Tensor | None, Routing | None]:
        """(B, T, D) -> (B, T, D), the attention weights if wanted, the routing if there is one."""
        y, weights = self.attention(self.norm_attention(x), rope, cache, explicit=explicit)
        x = x + self.dropout(y)
        y, routing = self.feed(self.norm_feed(x))
        return x + self.dropout(y), weights, routing


class Blocks(nn.ModuleList):
    """The blocks in their order; a list that knows what it holds."""

    def __iter__(self) -> Iterator[Block]:
        """From the first layer to the last."""
        return iter(self._modules.values())  # type: ignore[arg-type]


class Norm(nn.Module):
    """Layer norm with a gain and no bias: one kernel on every device, unlike RMS norm on a CPU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return F.layer_norm(x, x.shape[-1:], self.weight)


class FeedForward(nn.Module):
    """The dense block: up to the hidden channels, GELU, down again."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.empty(config.active_hidden, config.width))
        self.down = nn.Parameter(torch.empty(config.width, config.active_hidden))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """(..., D) -> (..., D), and no routing."""
        return F.linear(F.gelu(F.linear(x, self.up)), self.down), None


class Attention(nn.Module):
    """Causal self-attention with rotary positions and normalised queries and keys."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.head_width = config.heads, config.head_width
        self.window = config.context
        width = config.width
        self.query_key = nn.Parameter(torch.empty(2, width, width))
        self.value = nn.Parameter(torch.empty(width, width))
        self.out = nn.Parameter(torch.empty(width, width))

    def forward(
        self, x: Tensor, rope: Tensor, cache: LayerCache | None, *, explicit: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, D) -> (B, T, D), and the weights (B, H, T, S) if they are wanted."""
        # Queries and keys are normalised and turned together; apart from the values, so that
        # neither needs a copy.
        qk = F.linear(x, self.query_key.flatten(0, 1)).float()
        qk = qk.unflatten(-1, (2, self.heads, self.head_width))
        qk = rotate(F.layer_norm(qk, qk.shape[-1:]), rope)
        value = F.linear(x, self.value).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        query, key = qk.to(value.dtype).transpose(1, 3).unbind(2)  # (B, H, T, K) each
        if cache:
            key, value = cache.extend(key, value)
        if explicit:
            weights = attention_weights(query, key, self.window)
            y = weights.to(value.dtype) @ value
        else:
            weights, y = None, attend(query, key, value, self.window)
        return F.linear(y.transpose(1, 2).flatten(-2), self.out), weights


def attention_weights(query: Tensor, key: Tensor, window: int) -> Tensor:
    """Causal attention, spelled out: (B, H, T, K), (B, H, S, K) -> (B, H, T, S) fp32.

    Rows sum to 1.
    """
    scores = (query.float() @ key.float().transpose(-2, -1)) / math.sqrt(query.shape[-1])
    return scores.masked_fill(~causal_mask(query, key, window), -math.inf).softmax(-1)


def attend(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """`attention_weights` @ value by the fastest way: one kernel, or in bf16 on a CPU, products."""
    new, total = query.shape[-2], key.shape[-2]
    with torch.autocast("cpu", enabled=False):
        if value.device.type == "cpu" and value.dtype == torch.bfloat16:
            if total <= BMM_ATTENTION_MAX:
                return _attend_by_bmm(query, key, value, window)
            query, key, value = query.float(), key.float(), value.float()
        if total <= window and new in (1, total):
            return F.scaled_dot_product_attention(query, key, value, is_causal=new > 1)
        mask = causal_mask(query, key, window)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


BMM_ATTENTION_MAX = 512
"""Positions up to which a CPU with bf16 products attends twice as fast by these than by torch's
one kernel, which is slower in bf16 than in fp32. The weights of a batch are in memory, as bf16."""


def _attend_by_bmm(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    hidden = ~causal_mask(query, key, window)
    bias = torch.zeros_like(hidden, dtype=query.dtype).masked_fill_(hidden, -math.inf)
    scale = query.shape[-1] ** -0.5
    queries, keys, values = (x.flatten(0, 1) for x in (query, key, value))
    scores = torch.baddbmm(bias, queries, keys.transpose(-2, -1), alpha=scale)
    return torch.bmm(scores.softmax(-1), values).view_as(query)


def causal_mask(query: Tensor, key: Tensor, window: int) -> Tensor:
    """(T, S) bool: which keys each query may see: its own and the `window` - 1 before.

    The T queries are the last of the S positions.
    """
    new, total = query.shape[-2], key.shape[-2]
    own = total - new
    mask = torch.ones(new, total, dtype=torch.bool, device=query.device)
    return mask.tril(own).triu(own - window + 1)


INITIAL_ROPE_POSITIONS = 4096
"""Positions whose rotations are computed at first, whatever a description says of the context."""


class Rotary(nn.Module):
    """A table of rotations, a row a position; it grows when a text goes on past its end."""

    table: Tensor

    def __init__(self, head_width: int, context: int, base: float) -> None:
        super().__init__()
        self.head_width, self.base = head_width, base
        self.register_buffer(
            "table", self._rows(min(context, INITIAL_ROPE_POSITIONS)), persistent=False
        )

    def forward(self, start: int, count: int) -> Tensor:
        """(T, K/2, 2): cosine and sine of each pair of channels at positions `start` and on."""
        if start + count > len(self.table):
            with torch.inference_mode(False):  # or training could not use the table afterwards
                self.table = self._rows(2 * (start + count)).to(self.table)
        return self.table[start : start + count]

    def _rows(self, count: int) -> Tensor:
        # In fp64: at position 100,000 an fp32 angle would be off by a hundredth.
        pairs = torch.arange(self.head_width // 2, dtype=torch.float64)
        angle = torch.outer(torch.arange(count), self.base ** (-2 * pairs / self.head_width))
        return torch.stack((angle.cos(), angle.sin()), -1).float()


def rotate(x: Tensor, rope: Tensor) -> Tensor:
    """Turn neighbouring channels of x (B, T, 2, H, K) as pairs by `rope` (T, K/2, 2)."""
    rope = rope[:, None, None]
    if x.device.type == "cpu" and x.dtype == torch.float32:
        # One product of complex numbers, a third of the time of the four real ones.
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * torch.view_as_complex(rope)).flatten(-2)
    cos, sin = rope.to(x.dtype).unbind(-1)
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)
