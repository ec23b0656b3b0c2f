"""One token through the model on the CPU, at the least cost: what a stream of text consists of.

The numbers are those of `GPT.run` to rounding. There, for a single token of a small model, most of
the time goes into everything around the products. Here little else than products is done, and
NumPy does them: its calls cost a third of torch's, and what bounds a product of a matrix and a
vector, reading the matrix from memory, is faster in its BLAS on the processors that were measured
(docs/benchmarks.md).

Norms are folded into the matrices that follow them. A layer norm subtracts the mean, which is
linear and so can be done to the matrix once, multiplies by a gain, likewise, and divides by one
number, which can wait until after the product. Nor need the mean be subtracted from the stream: it
is kept at zero by what is added to it.

Letters: V vocabulary, D width, H heads, K head width, S keys seen, F hidden, E experts, C context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinygpt.model.gpt import GPT, Block
from tinygpt.model.kv_cache import Cache, LayerCache
from tinygpt.model.moe import MoE

Floats = NDArray[np.float32]

EPS = 1e-5
"""Of torch's layer norm."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What a block multiplies by."""

    query_key_value: Floats
    """(3 D, D), behind its norm, queries and keys centred within each head"""
    out: Floats
    """(D, D), adding nothing to the mean"""
    gate: Floats | None
    """(E, D), behind its norm; None for Dense"""
    bias: Floats | None
    """(E,) for selection"""
    top_k: int
    up: list[Floats]
    """(F, D) each, behind the norm; one for Dense"""
    down: list[Floats]
    """(D, F) each, adding nothing to the mean, times a half"""


class NumpyDecoder:
    """Reads one token after another of one continuation, with the weights of when it was made.

    Dropout is never applied.
    """

    def __init__(self, model: GPT) -> None:
        assert suits(model)
        self._model = model
        self._shape = (model.config.heads, model.config.head_width)
        with torch.no_grad():
            self._embed = model.embed.weight.numpy().copy()
            self._kernel = model.conv.kernel(model.embed).numpy()
            self._head = _behind(model.norm.weight, model.head).numpy()
            self._layers = [_layer(block) for block in model.blocks]

    def read(self, token: int, cache: Cache) -> tuple[Tensor, tuple[int, ...]]:
        """The logits (V,) behind a token that continues a cache, and the experts that read it."""
        rope = self._model.rotary(cache.position, 1)[0].numpy().view(np.complex64)[:, 0]
        x = self._mixed(token, cache)
        experts = []
        for layer, memory in zip(self._layers, cache.layers, strict=True):
            x += layer.out @ self._attend(x, layer, rope, memory)
            scale = _scale(x)
            if layer.gate is None or layer.bias is None:
                x += _feed(x, scale, layer, 0)
            else:
                chances = _softmax(layer.gate @ x * scale)
                chosen = np.argsort(-(chances + layer.bias), kind="stable")[: layer.top_k].tolist()
                x += sum(_feed(x, scale, layer, expert) * chances[expert] for expert in chosen)
                experts.append(chosen[0])
        cache.position += 1
        return torch.from_numpy(self._head @ x * _scale(x)), tuple(experts)

    def _mixed(self, token: int, cache: Cache) -> Floats:
        """Its embedding and, in their parts, those before: (D,), its mean at zero."""
        seen = cache.push(token)
        mixed = np.einsum("td,td->d", self._embed[seen], self._kernel[-len(seen) :])
        result: Floats = mixed - mixed.mean()
        return result

    def _attend(self, x: Floats, layer: Layer, rope: Floats, memory: LayerCache) -> Floats:
        """What the token found in those before it (D,)."""
        heads, width = self._shape
        qkv = layer.query_key_value @ x * _scale(x)
        qk = qkv[: 2 * heads * width].reshape(2 * heads, width)
        qk /= np.sqrt(np.einsum("hk,hk->h", qk, qk) / width + EPS)[:, None]
        qk = (qk.view(np.complex64) * rope).view(np.float32)
        keys, values = memory.push(qk[heads:], qkv[2 * heads * width :].reshape(heads, width))
        # Queries and keys are normalised: no score exceeds the root of K, and exp no number.
        weights = np.exp(keys @ (qk[:heads, :, None] * width**-0.5))  # (H, S, 1)
        found = weights.transpose(0, 2, 1) @ values  # (H, 1, K)
        result: Floats = (found[:, 0] / weights.sum(1)).reshape(-1)
        return result


def suits(model: GPT) -> bool:
    """Whether `NumpyDecoder` can read with this model: in fp32 on the CPU."""
    return model.head.device.type == "cpu" and model.head.dtype == torch.float32


def _feed(x: Floats, scale: float, layer: Layer, expert: int) -> Floats:
    hidden = layer.up[expert] @ x * scale
    # GELU, its factor of a half in `down`; torch's own wakes threads that cost more than it does.
    area = torch.from_numpy(hidden * 0.5**0.5).erf_().numpy()
    area += 1
    hidden *= area
    return layer.down[expert] @ hidden


def _scale(x: Floats) -> float:
    """What a layer norm multiplies by, of a stream whose mean is zero."""
    return 1 / math.sqrt(x @ x / len(x) + EPS)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    chances: Floats = powers / powers.sum()
    return chances


def _layer(block: Block) -> Layer:
    attention, feed = block.attention, block.feed
    heads = attention.query_key.unflatten(1, (attention.heads, -1))  # (2, H, K, D)
    query_key = _centred(heads, 2).flatten(0, 2)
    gain = block.norm_feed.weight
    gate = bias = None
    if isinstance(feed, MoE):
        gate = _behind(gain, feed.router.gate).numpy()
        bias = feed.router.bias.numpy().copy()
        ups, downs = list(feed.up), list(feed.down)
    else:
        ups, downs = [feed.up], [feed.down]
    return Layer(
        _behind(block.norm_attention.weight, torch.cat((query_key, attention.value))).numpy(),
        _centred(attention.out, 0).numpy(),
        gate,
        bias,
        feed.router.top_k if isinstance(feed, MoE) else 1,
        [_behind(gain, up).numpy() for up in ups],
        [(_centred(down, 0) / 2).numpy() for down in downs],
    )


def _behind(gain: Tensor, matrix: Tensor) -> Tensor:
    """A matrix (O, D) that does a layer norm's gain, and needs no mean to be subtracted."""
    return _centred(matrix * gain, 1).contiguous()


def _centred(x: Tensor, axis: int) -> Tensor:
    return x - x.mean(axis, keepdim=True)
