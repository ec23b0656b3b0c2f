"""A decoder Transformer for one text: characters in, logits of the next character out.

Read it top to bottom in the order of the computation: embed the tokens, mix each embedding with
those of the few tokens before it, then one block per layer (attention, then feed-forward or
experts, each applied to a normalised input and added to the residual stream), a final norm, the
output head. Some choices are made for fast learning at this size, as measured in
docs/benchmarks.md: the short convolution, rotary position embeddings (RoPE, arXiv:2104.09864),
normalised queries and keys (QK-norm, arXiv:2010.04245), output projections initialised to zero, no
biases. The head has weights of its own, or with tied embeddings (arXiv:1608.05859) those of the
embedding.

Letters: B batch, T time (new tokens), S time (all keys), D width, H heads, K head width,
V vocabulary, L layers, C context.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tinygpt.errors import TinyGPTError
from tinygpt.model.kv_cache import Cache, LayerCache
from tinygpt.model.moe import MoE, Routing
from tinygpt.model.precision import at_least_fp32
from tinygpt.model_config import ModelConfig


@dataclass(frozen=True, slots=True)
class Trace:
    """What a forward pass returns: what the head reads, and what is needed to look inside."""

    hidden: Tensor
    """(B, T, D) after the final norm."""
    head: Tensor
    """(V, D)"""
    routing: list[Routing]
    """One per layer, tokens flattened to B x T; empty for Dense."""
    attention: list[Tensor]
    """(B, H, T, S) weights, one per layer; empty unless `run` was called with `explicit`."""

    @property
    def logits(self) -> Tensor:
        """(B, T, V), computed now: what needs only some of them, or only their loss, need not hold
        all."""
        return project(self.hidden, self.head)


HEAD_STD = 0.02
"""Initial standard deviation of the head's weights, and at most of tied embeddings, which need no
factor: scaled to the 1 of untied ones on their way to the blocks, they learn more slowly
(docs/log.md)."""


class GPT(nn.Module):
    """The model: Dense, or with ``config.moe`` a mixture of experts.

    Weights are initialised from torch's global generator.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.conv = ShortConv(config.width, config.conv_size)
        self.blocks = Blocks(Block(config) for _ in range(config.layers))
        self.norm = Norm(config.width)
        head = None if config.tied else nn.Parameter(torch.empty(config.vocab_size, config.width))
        self.head: nn.Parameter | None  # None with tied embeddings: see `head_weight`
        self.register_parameter("head", head)
        self.rotary = Rotary(config.head_width, config.context, config.rope_base)
        self.dropout = nn.Dropout(config.dropout)
        self.recompute = False
        """Whether blocks are computed again in the backward pass, instead of keeping their
        activations."""
        self._init_weights()

    @property
    def head_weight(self) -> Tensor:
        """(V, D) the weights of the output head; with tied embeddings the embedding."""
        return self.embed.weight if self.head is None else self.head

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.embed.weight.device

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, T) int64 -> logits (B, T, V).

        Raises:
            TinyGPTError: more tokens than the context.
        """
        return self.run(ids).logits

    def run(self, ids: Tensor, cache: Cache | None = None, *, explicit: bool = False) -> Trace:
        """ids (B, T) int64 -> `Trace`, with the routing, and with `explicit` the attention weights.

        With a `cache`, `ids` continue the tokens that it holds. The logits equal those of one pass
        over all tokens while these fit in the context; see `Cache` for longer texts.

        Raises:
            TinyGPTError: more tokens than the context.
        """
        if ids.shape[1] > self.config.context:
            raise TinyGPTError(
                f"{ids.shape[1]} tokens are more than the model's context of "
                f"{self.config.context}: pass only the last ones"
            )
        rope = self.rotary(cache.position if cache else 0, ids.shape[1])
        x = self.dropout(self.conv(self.embed, ids, cache))
        attention, routing = [], []
        recomputed = self.recompute and torch.is_grad_enabled() and not cache
        for index, block in enumerate(self.blocks):
            layer_cache = cache.layers[index] if cache else None
            run = self._recomputed(block) if recomputed else block
            x, weights, routed = run(x, rope, layer_cache, explicit=explicit)
            attention += [weights] if weights is not None else []
            routing += [routed] if routed is not None else []
        if cache:
            cache.position += ids.shape[1]
        return Trace(self.norm(x), self.head_weight, routing, attention)

    def _recomputed(self, block: Block) -> Callable[..., Any]:
        """The block, of which only the input is kept for the backward pass."""
        dropout = self.config.dropout > 0
        return partial(checkpoint, block, use_reentrant=False, preserve_rng_state=dropout)

    def parameter_counts(self) -> tuple[int, int]:
        """(total, active per token). Selection biases are not learned and not counted."""
        total = sum(parameter.numel() for parameter in self.parameters())
        moe = self.config.moe
        if moe is None:
            return total, total
        experts = sum(b.feed.up.numel() + b.feed.down.numel() for b in self.blocks)
        return total, total - experts + experts * moe.top_k // moe.experts

    def rebalance(self, loads: list[Tensor], rate: float) -> None:
        """Update every router's selection bias from `loads`: per layer, (E,) tokens per expert."""
        for block, load in zip(self.blocks, loads, strict=True):
            assert isinstance(block.feed, MoE)
            block.feed.router.rebalance(load, rate)

    @torch.no_grad()
    def _init_weights(self) -> None:
        """Output projections start at zero, so that each block starts as the identity."""
        for name, parameter in self.named_parameters():
            kind = name.rpartition(".")[2]
            if kind in ("out", "down"):
                nn.init.zeros_(parameter)
            elif parameter is self.head:
                nn.init.normal_(parameter, std=HEAD_STD)  # near-uniform first predictions
            elif name == "embed.weight" and self.config.tied:
                # Until the blocks learn, a token predicts itself: its embedding, normalised, times
                # itself is a logit of up to the width times this.
                nn.init.normal_(parameter, std=min(HEAD_STD, 5 / self.config.width))
            elif name == "embed.weight" or kind == "taps":
                nn.init.normal_(parameter, std=1.0)  # random signs tell the offsets apart
            elif "norm" not in name:
                nn.init.normal_(parameter, std=0.5 * parameter.shape[-1] ** -0.5)


def project(x: Tensor, head: Tensor) -> Tensor:
    """(..., D) -> logits (..., V)."""
    return padded_linear(x, head, 64) if x.device.type == "cuda" else F.linear(x, head)


def padded_linear(x: Tensor, weight: Tensor, multiple: int) -> Tensor:
    """F.linear, computed with rows of zeros up to a `multiple`, which are cut off again.

    The fast matmuls of a GPU read and write whole 16-byte words, and 65 characters are none.
    """
    rows = len(weight)
    return F.linear(x, F.pad(weight, (0, 0, 0, -rows % multiple)))[..., :rows]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout) inside the block; restores the previous mode afterwards."""
    training = model.training
    if training:
        model.eval()
    try:
        yield
    finally:
        if training:
            model.train()


class ShortConv(nn.Module):
    """Adds to each embedding those of the tokens just before it, each channel with a learned tap.

    A causal depthwise convolution, as used before the layers of H3 (arXiv:2212.14052) and many
    models since. The characters just before say most about the next one. This way every layer sees
    them, where attention would first have to learn to find them.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.reach = size - 1
        """How many previous tokens each embedding is mixed with."""
        taps = nn.Parameter(torch.empty(self.reach, width)) if self.reach else None
        self.taps: nn.Parameter | None  # for offsets of 1, 2, … tokens back
        self.register_parameter("taps", taps)

    def forward(self, embed: nn.Embedding, ids: Tensor, cache: Cache | None) -> Tensor:
        """The mixed embeddings (B, T, D) of ids (B, T), which continue those in the cache."""
        window = cache.extend(ids) if cache else ids  # the new tokens, and up to `reach` before
        x: Tensor = embed(window)
        if self.taps is None:
            return x
        new = ids.shape[1]
        # Zero padding before the start of the text.
        x = F.pad(x, (0, 0, self.reach + new - window.shape[1], 0))
        mixed = x[:, self.reach :]
        for offset, tap in enumerate(self.taps, 1):
            mixed = torch.addcmul(mixed, tap, x[:, self.reach - offset :][:, :new])
        return mixed

    def kernel(self, embed: nn.Embedding) -> Tensor:
        """(conv_size, D): the factors of the last `conv_size` embeddings, newest last."""
        own = torch.ones_like(embed.weight[:1])
        return own if self.taps is None else torch.cat((self.taps.flip(0), own))


class Block(nn.Module):
    """Pre-norm attention, then pre-norm feed-forward or experts, added to the residual stream."""

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
        """(B, T, D) -> (B, T, D), attention weights if `explicit`, routing unless Dense."""
        y, weights = self.attention(self.norm_attention(x), rope, cache, explicit=explicit)
        x = x + self.dropout(y)
        y, routing = self.feed(self.norm_feed(x))
        return x + self.dropout(y), weights, routing


class Blocks(nn.ModuleList):
    """A `ModuleList` whose elements have a type: `Block`."""

    def __iter__(self) -> Iterator[Block]:
        """From the first layer to the last."""
        return iter(self._modules.values())  # type: ignore[arg-type]


class Norm(nn.Module):
    """Layer norm without bias: a single kernel on every device, unlike RMSNorm on a CPU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return F.layer_norm(x, x.shape[-1:], self.weight)


class FeedForward(nn.Module):
    """The dense feed-forward layer: up to the hidden width, GELU, down again."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.empty(config.active_hidden, config.width))
        self.down = nn.Parameter(torch.empty(config.width, config.active_hidden))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """(..., D) -> (..., D), and no routing."""
        return F.linear(F.gelu(F.linear(x, self.up)), self.down), None


class Attention(nn.Module):
    """Causal self-attention with rotary positions (RoPE) and normalised queries and keys."""

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
        """(B, T, D) -> (B, T, D), and the attention weights (B, H, T, S) if `explicit`."""
        # Queries and keys share one projection, norm and rotation. Values have their own
        # projection, so that no part needs to be copied out of a joint result.
        qk = at_least_fp32(F.linear(x, self.query_key.flatten(0, 1)))
        qk = qk.unflatten(-1, (2, self.heads, self.head_width))
        qk = apply_rope(F.layer_norm(qk, qk.shape[-1:]), rope)
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
    """Causal attention weights: (B, H, T, K), (B, H, S, K) -> (B, H, T, S) fp32; rows sum to 1."""
    query, key = at_least_fp32(query), at_least_fp32(key)
    scores = (query @ key.transpose(-2, -1)) / math.sqrt(query.shape[-1])
    return scores.masked_fill(~causal_mask(query, key, window), -math.inf).softmax(-1)


def attend(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """`attention_weights` @ value, by the fastest way: one fused kernel, or matmuls in CPU bf16."""
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
"""Up to this many positions, attention by bf16 matmuls on a CPU is twice as fast as torch's fused
kernel, which is slower in bf16 than in fp32. It holds a batch's attention weights in memory."""


def _attend_by_bmm(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    masked = ~causal_mask(query, key, window)
    bias = torch.zeros_like(masked, dtype=query.dtype).masked_fill_(masked, -math.inf)
    scale = query.shape[-1] ** -0.5
    queries, keys, values = (x.flatten(0, 1) for x in (query, key, value))
    scores = torch.baddbmm(bias, queries, keys.transpose(-2, -1), alpha=scale)
    return torch.bmm(scores.softmax(-1), values).view_as(query)


def causal_mask(query: Tensor, key: Tensor, window: int) -> Tensor:
    """(T, S) bool: True where a query may attend: to itself and the `window` - 1 keys before.

    The T queries are the last T of the S positions.
    """
    new, total = query.shape[-2], key.shape[-2]
    first = total - new  # position of the first query
    mask = torch.ones(new, total, dtype=torch.bool, device=query.device)
    return mask.tril(first).triu(first - window + 1)


INITIAL_ROPE_POSITIONS = 4096
"""Most positions in the RoPE table of a new model: a checkpoint may claim any context length."""


class Rotary(nn.Module):
    """The RoPE table: one row per position. It grows when a text continues past its end."""

    table: Tensor

    def __init__(self, head_width: int, context: int, base: float) -> None:
        super().__init__()
        self.head_width, self.base = head_width, base
        self.register_buffer(
            "table", self._rows(min(context, INITIAL_ROPE_POSITIONS)), persistent=False
        )

    def forward(self, start: int, count: int) -> Tensor:
        """(T, K/2, 2): cosine and sine per pair of channels, for `count` positions from `start`."""
        if start + count > len(self.table):
            with torch.inference_mode(False):  # a table made in inference mode could not train
                self.table = self._rows(2 * (start + count)).to(self.table)
        return self.table[start : start + count]

    def _rows(self, count: int) -> Tensor:
        # In fp64: at position 100,000 an fp32 angle would be off by a hundredth.
        pairs = torch.arange(self.head_width // 2, dtype=torch.float64)
        angle = torch.outer(torch.arange(count), self.base ** (-2 * pairs / self.head_width))
        return torch.stack((angle.cos(), angle.sin()), -1).float()


def apply_rope(x: Tensor, rope: Tensor) -> Tensor:
    """Rotate each pair of neighbouring channels of x (B, T, 2, H, K) by `rope` (T, K/2, 2)."""
    rope = rope[:, None, None]
    if x.device.type == "cpu" and x.dtype == torch.float32:
        # One complex product takes a third of the time of four real ones.
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * torch.view_as_complex(rope)).flatten(-2)
    cos, sin = rope.to(x.dtype).unbind(-1)
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)
