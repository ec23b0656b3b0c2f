"""One token through the model on the CPU, at the least cost: what a stream of text consists of.

The numbers are those of `GPT.run` to rounding. There, for a single token of a small model, most of
the time goes into modules, shapes and batches around the products, not into the products; here
vectors are multiplied by matrices and little else is done. The weights are the model's own, not
copies: a model that is trained on between two tokens is read as it has become.

Letters: D width, H heads, K head width, S keys that are seen, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tinygpt.model import GPT, Block, Cache, FeedForward, LayerCache
from tinygpt.moe import MoE


def suits(model: GPT, ids: Tensor) -> bool:
    """Whether `read_one` can read ids (B, T): one token of one continuation, in fp32 on the CPU."""
    head = model.head
    return ids.numel() == 1 and head.device.type == "cpu" and head.dtype == torch.float32


def read_one(model: GPT, token: int, cache: Cache) -> tuple[Tensor, tuple[int, ...]]:
    """The logits (V,) behind a token that continues a cache, and the expert a layer that read it.

    To be called in inference mode, of a model that `suits`; dropout is never applied.
    """
    turn = torch.view_as_complex(model.rotary(cache.position, 1)[0])
    x = model.embed.weight[token]
    experts = []
    for block, memory in zip(model.blocks, cache.layers, strict=True):
        x = _attend(x, block, turn, memory)
        h = F.layer_norm(x, x.shape, block.norm_feed.weight)
        feed = block.feed
        if isinstance(feed, FeedForward):
            x = torch.addmv(x, feed.down, F.gelu(torch.mv(feed.up, h)))
        else:
            x, expert = _ask_experts(x, h, feed)
            experts.append(expert)
    cache.position += 1
    return torch.mv(model.head, F.layer_norm(x, x.shape, model.norm.weight)), tuple(experts)


def _attend(x: Tensor, block: Block, turn: Tensor, memory: LayerCache) -> Tensor:
    """x (D,) and what the token found in those before it."""
    attention = block.attention
    heads, width = attention.heads, attention.head_width
    h = F.layer_norm(x, x.shape, block.norm_attention.weight)
    qk = torch.mv(attention.query_key.view(-1, h.shape[0]), h).view(2 * heads, width)
    qk = F.layer_norm(qk, (width,))
    qk = torch.view_as_real(torch.view_as_complex(qk.view(2 * heads, -1, 2)) * turn)
    query, key = qk.view(2, heads, width)
    keys, values = memory.push(key, torch.mv(attention.value, h).view(heads, width))
    found = F.scaled_dot_product_attention(query[:, None], keys, values)
    return torch.addmv(x, attention.out, found.reshape(-1))


def _ask_experts(x: Tensor, h: Tensor, feed: MoE) -> tuple[Tensor, int]:
    """x (D,) and what the selected experts made of h (D,), and the first of them."""
    probabilities = torch.mv(feed.router.gate, h).softmax(-1)
    scores, chances = (probabilities + feed.router.bias).tolist(), probabilities.tolist()
    chosen = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[: feed.router.top_k]
    for expert in chosen:
        hidden = F.gelu(torch.mv(feed.up[expert], h))
        x = torch.addmv(x, feed.down[expert], hidden, alpha=chances[expert])
    return x, chosen[0]
