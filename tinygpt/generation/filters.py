"""Which tokens may be sampled, and with what probability.

The filters have the semantics and the order of Hugging Face's logits processors: repetition
penalty, no-repeat n-gram, temperature (or last, by choice), top-k, top-p, min-p, typical-p.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from tinygpt.generation.params import SamplingParams, active_filters, label

Filter: TypeAlias = Callable[[Tensor, Sequence[int]], Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """One filter of the chain, and what it left."""

    name: str
    logits: Tensor
    """(V,) after it; what it removed, or one before it, is -inf."""


def filter_logits(
    logits: Tensor, params: SamplingParams, context_ids: Sequence[int] = ()
) -> Tensor:
    """The logits (V,) after the whole chain: removed entries are -inf; the softmax is sampled from.

    `context_ids` are the tokens so far, which the penalties look at. At least one token always
    stays: a filter that would remove the last one is passed over. A logit of +inf is a certainty.
    """
    return filtered_logits(logits, filter_steps(logits, params, context_ids))


def filtered_logits(logits: Tensor, steps: Sequence[Step]) -> Tensor:
    """The logits after the last of the steps; without one, those of the model."""
    return steps[-1].logits if steps else certain(logits)


def filter_steps(
    logits: Tensor, params: SamplingParams, context_ids: Sequence[int] = ()
) -> list[Step]:
    """`filter_logits`, filter by filter; those that the parameters leave out are not in it."""
    logits, steps = certain(logits), []
    for name, apply in chain(params):
        left = apply(logits, context_ids)
        if not bool((left > -math.inf).any()):
            left = logits
        steps.append(Step(name, left))
        logits = left
    return steps


def chain(params: SamplingParams) -> list[tuple[str, Filter]]:
    """The filters that are on, with their names, in the order in which they apply."""
    p = params
    filters: dict[str, Filter] = {
        "repetition_penalty": lambda x, ids: penalize_repetition(x, p.repetition_penalty, ids),
        "no_repeat_ngram": lambda x, ids: forbid_repeats(x, p.no_repeat_ngram, ids),
        "greedy": lambda x, _: keep_only(x, _is_first_maximum(x)),
        "temperature": lambda x, _: x / p.temperature,
        "top_k": lambda x, _: keep_only(x, in_top_k(x, p.top_k)),
        "top_p": lambda x, _: keep_only(x, in_nucleus(x, p.top_p)),
        "min_p": lambda x, _: keep_only(x, reaches_share(x, p.min_p)),
        "typical_p": lambda x, _: keep_only(x, is_typical(x, p.typical_p)),
    }
    return [(label(name), filters[name]) for name in active_filters(params)]


def certain(logits: Tensor) -> Tensor:
    """The logits themselves; where some are +inf, those alone, as equals."""
    sure = logits == math.inf
    return keep_only(torch.zeros_like(logits), sure) if bool(sure.any()) else logits


def keep_only(logits: Tensor, keep: Tensor) -> Tensor:
    """-inf wherever `keep` is false."""
    return logits.masked_fill(~keep, -math.inf)


def penalize_repetition(logits: Tensor, penalty: float, context_ids: Sequence[int]) -> Tensor:
    """Make the tokens of `context_ids` less likely, each once however often it occurs."""
    if not len(context_ids):
        return logits
    seen = torch.tensor(sorted(set(context_ids)), device=logits.device)
    scores = logits[seen]
    return logits.index_copy(0, seen, torch.where(scores < 0, scores * penalty, scores / penalty))


def forbid_repeats(logits: Tensor, size: int, context_ids: Sequence[int]) -> Tensor:
    """-inf for every token that would repeat a sequence of `size` tokens of `context_ids`."""
    ids = list(context_ids)
    last = len(ids) - size + 1
    if last < 0:
        return logits
    start = ids[last:]  # the size - 1 tokens that the next one would follow
    banned = [ids[i + size - 1] for i in range(last) if ids[i : i + size - 1] == start]
    if not banned:
        return logits
    return logits.index_fill(0, torch.tensor(banned, device=logits.device), -math.inf)


def in_top_k(logits: Tensor, k: int) -> Tensor:
    """(V,) bool: the k likeliest tokens, and those tied with the last of them."""
    return logits >= logits.topk(min(k, logits.numel())).values[-1]


def in_nucleus(logits: Tensor, top_p: float) -> Tensor:
    """(V,) bool: the likeliest tokens that together reach `top_p`; always the likeliest one."""
    ascending, order = logits.sort()
    keep = ascending.softmax(-1).cumsum(-1) > 1 - top_p
    keep[-1] = True
    return torch.empty_like(keep).scatter_(0, order, keep)


def reaches_share(logits: Tensor, share: float) -> Tensor:
    """(V,) bool: at least this share of the likeliest one's probability."""
    probabilities = logits.softmax(-1)
    return probabilities >= share * probabilities.max()


def is_typical(logits: Tensor, mass: float) -> Tensor:
    """(V,) bool: tokens whose surprisal is nearest the entropy, until they reach `mass`."""
    log_p = logits.log_softmax(-1)
    entropy = -(log_p.exp() * log_p).nansum()
    distance = (-log_p - entropy).abs()
    nearest, order = distance.sort()
    last = int((logits[order].softmax(-1).cumsum(-1) < mass).sum())
    return distance <= nearest[min(last, len(nearest) - 1)]


def _is_first_maximum(logits: Tensor) -> Tensor:
    best = torch.zeros_like(logits, dtype=torch.bool)
    best[logits.argmax()] = True
    return best
