"""Logits filters: they decide which tokens can be sampled, and with what probability.

They have the semantics and the order of Hugging Face's logits processors: repetition
penalty, no-repeat n-gram, temperature (optionally last), top-k, top-p, min-p, typical-p.
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
    """One filter of the chain, and the logits after it."""

    name: str
    logits: Tensor
    """(V,) after it; -inf for tokens that it or an earlier filter removed."""


def filter_logits(
    logits: Tensor, params: SamplingParams, context_ids: Sequence[int] = ()
) -> Tensor:
    """The logits (V,) after all filters; removed tokens are -inf.

    `context_ids` are the tokens so far, which the penalties need. At least one token always stays:
    a filter that would remove all remaining tokens is skipped. Logits of +inf share all
    probability.
    """
    return filtered_logits(logits, filter_steps(logits, params, context_ids))


def filtered_logits(logits: Tensor, steps: Sequence[Step]) -> Tensor:
    """The logits after the last step; without steps, those of the model."""
    return steps[-1].logits if steps else resolve_infinities(logits)


def filter_steps(
    logits: Tensor, params: SamplingParams, context_ids: Sequence[int] = ()
) -> list[Step]:
    """The active filters of `filter_logits` in order, each with the logits after it."""
    logits, steps = resolve_infinities(logits), []
    for name, apply in chain(params):
        filtered = apply(logits, context_ids)
        if not bool((filtered > -math.inf).any()):
            filtered = logits
        steps.append(Step(name, filtered))
        logits = filtered
    return steps


def chain(params: SamplingParams) -> list[tuple[str, Filter]]:
    """The filters that are on, with their names, in the order in which they apply."""
    p = params
    filters: dict[str, Filter] = {
        "repetition_penalty": lambda x, ids: penalize_repetition(x, p.repetition_penalty, ids),
        "no_repeat_ngram": lambda x, ids: forbid_repeated_ngrams(x, p.no_repeat_ngram, ids),
        "greedy": lambda x, _: keep_only(x, _is_first_maximum(x)),
        "temperature": lambda x, _: at_most_finite(x / p.temperature),
        "top_k": lambda x, _: keep_only(x, in_top_k(x, p.top_k)),
        "top_p": lambda x, _: keep_only(x, in_nucleus(x, p.top_p)),
        "min_p": lambda x, _: keep_only(x, in_min_p(x, p.min_p)),
        "typical_p": lambda x, _: keep_only(x, in_typical(x, p.typical_p)),
    }
    return [(label(name), filters[name]) for name in active_filters(params)]


def resolve_infinities(logits: Tensor) -> Tensor:
    """Logits of +inf, whose softmax would be NaN, share all probability equally."""
    infinite = logits == math.inf
    return keep_only(torch.zeros_like(logits), infinite) if bool(infinite.any()) else logits


def at_most_finite(logits: Tensor) -> Tensor:
    """Logits that overflowed to +inf become the largest finite number."""
    return logits.clamp(max=torch.finfo(logits.dtype).max)


def keep_only(logits: Tensor, keep: Tensor) -> Tensor:
    """-inf wherever `keep` is false."""
    return logits.masked_fill(~keep, -math.inf)


def penalize_repetition(logits: Tensor, penalty: float, context_ids: Sequence[int]) -> Tensor:
    """Make the tokens of `context_ids` less likely, regardless of how often each occurs."""
    if not len(context_ids):
        return logits
    seen = torch.tensor(sorted(set(context_ids)), device=logits.device)
    scores = logits[seen]
    scores = torch.where(scores < 0, scores * penalty, scores / penalty)
    return logits.index_copy(0, seen, at_most_finite(scores))


def forbid_repeated_ngrams(logits: Tensor, size: int, context_ids: Sequence[int]) -> Tensor:
    """-inf for every token that would repeat an n-gram of `size` tokens of `context_ids`."""
    ids = list(context_ids)
    last = len(ids) - size + 1
    if last < 0:
        return logits
    prefix = ids[last:]  # the last size - 1 tokens, which the next one completes to an n-gram
    banned = [ids[i + size - 1] for i in range(last) if ids[i : i + size - 1] == prefix]
    if not banned:
        return logits
    return logits.index_fill(0, torch.tensor(banned, device=logits.device), -math.inf)


def in_top_k(logits: Tensor, k: int) -> Tensor:
    """(V,) bool: the k most likely tokens, and those tied with the last of them."""
    return logits >= logits.topk(min(k, logits.numel())).values[-1]


def in_nucleus(logits: Tensor, top_p: float) -> Tensor:
    """(V,) bool: the fewest most likely tokens whose probabilities reach `top_p`; at least one."""
    ascending, order = logits.sort()
    keep = ascending.softmax(-1).cumsum(-1) > 1 - top_p
    keep[-1] = True
    return torch.empty_like(keep).scatter_(0, order, keep)


def in_min_p(logits: Tensor, min_p: float) -> Tensor:
    """(V,) bool: tokens with at least `min_p` times the probability of the most likely one."""
    probabilities = logits.softmax(-1)
    return probabilities >= min_p * probabilities.max()


def in_typical(logits: Tensor, mass: float) -> Tensor:
    """(V,) bool: the tokens with surprisal nearest the entropy whose probabilities reach `mass`."""
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
