"""Decodes one token at a time on the CPU in NumPy, with as little overhead as possible.

The results are those of `GPT.run` up to rounding. There, for one token of a small model, most of
the time is overhead around the matmuls. Here little but the matmuls is left, and NumPy does them: a
call costs a third of torch's, and a matrix-vector product, which is bound by reading the matrix
from memory, is faster in its BLAS on the processors measured (docs/log.md).

Norms are folded into the matrices that follow them. A layer norm subtracts the mean and multiplies
by a gain; both are linear, so they are applied to the matrix once. It also divides by one number,
the standard deviation, which can wait until after the product. The mean of the residual stream
itself never needs to be subtracted: everything added to the stream has a mean of zero.

Letters: V vocabulary, D width, H heads, K head width, S keys, F hidden, E experts.
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
"""Epsilon of torch's layer norm."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one block, with norms folded in."""

    query_key_value: Floats
    """(3 D, D), with its norm; queries and keys centred within each head"""
    out: Floats
    """(D, D), centred: its output has a mean of zero"""
    gate: Floats | None
    """(E, D), with its norm; None for Dense"""
    bias: Floats | None
    """(E,) of the selection; None for Dense"""
    top_k: int
    up: list[Floats]
    """(F, D) per expert, with the norm; a single one for Dense"""
    down: list[Floats]
    """(D, F) per expert, centred, times the factor of a half in GELU"""


class NumpyDecoder:
    """Feeds one token at a time through a model, for a batch of one.

    Copies the weights when it is created, and does not see later changes. Never applies dropout.
    """

    def __init__(self, model: GPT) -> None:
        assert is_supported(model)
        self._model = model
        self._shape = (model.config.heads, model.config.head_width)
        with torch.no_grad():
            self._embed = model.embed.weight.numpy().copy()
            self._kernel = model.conv.kernel(model.embed).numpy()
            self._head = _fold_norm(model.norm.weight, model.head_weight).numpy()
            self._layers = [_layer(block) for block in model.blocks]

    def step(self, token: int, cache: Cache) -> tuple[Tensor, tuple[int, ...]]:
        """The logits (V,) after `token`, which continues the cache, and its expert per layer."""
        rope = self._model.rotary(cache.position, 1)[0].numpy().view(np.complex64)[:, 0]
        x = self._embedded(token, cache)
        experts = []
        for layer, layer_cache in zip(self._layers, cache.layers, strict=True):
            x += layer.out @ self._attend(x, layer, rope, layer_cache)
            scale = _inverse_std(x)
            if layer.gate is None or layer.bias is None:
                x += _feed_forward(x, scale, layer, 0)
            else:
                p = _softmax(layer.gate @ x * scale)
                chosen = np.argsort(-(p + layer.bias), kind="stable")[: layer.top_k].tolist()
                x += sum(_feed_forward(x, scale, layer, expert) * p[expert] for expert in chosen)
                experts.append(chosen[0])
        cache.position += 1
        return torch.from_numpy(self._head @ x * _inverse_std(x)), tuple(experts)

    def _embedded(self, token: int, cache: Cache) -> Floats:
        """The token's embedding after the short convolution (D,), with a mean of zero."""
        window = cache.extend_by_one(token)
        mixed = np.einsum("td,td->d", self._embed[window], self._kernel[-len(window) :])
        result: Floats = mixed - mixed.mean()
        return result

    def _attend(self, x: Floats, layer: Layer, rope: Floats, cache: LayerCache) -> Floats:
        """The values attended to, before the output projection: (D,)."""
        heads, width = self._shape
        qkv = layer.query_key_value @ x * _inverse_std(x)
        qk = qkv[: 2 * heads * width].reshape(2 * heads, width)
        qk /= np.sqrt(np.einsum("hk,hk->h", qk, qk) / width + EPS)[:, None]
        qk = (qk.view(np.complex64) * rope).view(np.float32)
        keys, values = cache.extend_by_one(
            qk[heads:], qkv[2 * heads * width :].reshape(heads, width)
        )
        # No maximum needs to be subtracted before exp: as queries and keys are normalised, no score
        # exceeds sqrt(K).
        weights = np.exp(keys @ (qk[:heads, :, None] * width**-0.5))  # (H, S, 1)
        y = weights.transpose(0, 2, 1) @ values  # (H, 1, K)
        result: Floats = (y[:, 0] / weights.sum(1)).reshape(-1)
        return result


def is_supported(model: GPT) -> bool:
    """Whether `NumpyDecoder` can run this model: only fp32 on the CPU."""
    return model.device.type == "cpu" and model.head_weight.dtype == torch.float32


def _feed_forward(x: Floats, scale: float, layer: Layer, expert: int) -> Floats:
    hidden = layer.up[expert] @ x * scale
    # GELU, with its factor of a half in `down`. F.gelu would start threads, which cost more.
    gate = torch.from_numpy(hidden * 0.5**0.5).erf_().numpy()
    gate += 1
    hidden *= gate
    return layer.down[expert] @ hidden


def _inverse_std(x: Floats) -> float:
    """The factor of a layer norm, for an x with a mean of zero."""
    return 1 / math.sqrt(x @ x / len(x) + EPS)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    probabilities: Floats = powers / powers.sum()
    return probabilities


def _layer(block: Block) -> Layer:
    attention, feed = block.attention, block.feed
    heads = attention.query_key.unflatten(1, (attention.heads, -1))  # (2, H, K, D)
    query_key = _centred(heads, 2).flatten(0, 2)
    gain = block.norm_feed.weight
    gate = bias = None
    if isinstance(feed, MoE):
        gate = _fold_norm(gain, feed.router.gate).numpy()
        bias = feed.router.bias.numpy().copy()
        ups, downs = list(feed.up), list(feed.down)
    else:
        ups, downs = [feed.up], [feed.down]
    return Layer(
        _fold_norm(block.norm_attention.weight, torch.cat((query_key, attention.value))).numpy(),
        _centred(attention.out, 0).numpy(),
        gate,
        bias,
        feed.router.top_k if isinstance(feed, MoE) else 1,
        [_fold_norm(gain, up).numpy() for up in ups],
        [(_centred(down, 0) / 2).numpy() for down in downs],
    )


def _fold_norm(gain: Tensor, matrix: Tensor) -> Tensor:
    """A matrix (O, D) that includes the gain and the mean subtraction of the layer norm before."""
    return _centred(matrix * gain, 1).contiguous()


def _centred(x: Tensor, axis: int) -> Tensor:
    return x - x.mean(axis, keepdim=True)
