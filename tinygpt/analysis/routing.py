"""What a router's choices come to: who reads what, from numbers alone.

On NumPy, so that an interface can count without torch.

Letters: L layers, T tokens, K experts a token, E experts, V vocabulary.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CLASSES = ("vowel", "consonant", "capital", "digit", "space", "newline", "punctuation", "other")


def expert_counts(choice: ArrayLike, ids: ArrayLike, experts: int, vocabulary: int) -> Ints:
    """(L, E, V): how often each expert read each token.

    Args:
        choice: (L, T), or (L, T, K) where each of the K experts counts.
        ids: (T,) the tokens.
        experts: E.
        vocabulary: V.
    """
    chosen = _with_k(choice)
    layers, _, k = chosen.shape
    tokens = np.repeat(np.asarray(ids, np.int64), k)
    places = chosen.reshape(layers, -1) * vocabulary + tokens
    return _counted(places, experts * vocabulary).reshape(layers, experts, vocabulary)


def pairs(choice: ArrayLike, experts: int) -> Ints:
    """(L - 1, E, E): tokens that expert a of a layer read, and b of the next.

    Of `choice` (L, T), or (L, T, K) where each of the K x K pairs of a token counts.
    """
    chosen = _with_k(choice)
    places = chosen[:-1, :, :, None] * experts + chosen[1:, :, None, :]
    return _counted(places, experts * experts).reshape(-1, experts, experts)


def agreement(a: ArrayLike, b: ArrayLike) -> Floats:
    """(L,): share of the tokens that both read with the same expert, of choices (L, T).

    Against the last checkpoint of a run, this is how early its routing was settled (OpenMoE,
    arXiv:2402.01739). Two routers that know nothing of each other agree on 1/E.
    """
    same = np.asarray(a) == np.asarray(b)
    return np.asarray(same.mean(axis=1), np.float64)


def classes(vocabulary: Sequence[str]) -> dict[str, Ints]:
    """The tokens (V,) of each class in `CLASSES`, every token in one: a class may be empty.

    Letters, digits and punctuation are those of ASCII; a capital is no vowel and no consonant.
    """
    names = np.array([kind(token) for token in vocabulary])
    return {name: np.flatnonzero(names == name) for name in CLASSES}


def kind(token: str) -> str:
    """The class of one token."""
    if len(token) != 1:
        return "other"
    members = {
        "vowel": "aeiou",
        "consonant": string.ascii_lowercase,
        "capital": string.ascii_uppercase,
        "digit": string.digits,
        "space": " ",
        "newline": "\n",
        "punctuation": string.punctuation,
    }
    return next((name for name, characters in members.items() if token in characters), "other")


def by_class(counts: Ints, members: Mapping[str, Ints]) -> Ints:
    """`expert_counts` (L, E, V), a column a class instead of a token."""
    return np.stack([counts[..., tokens].sum(-1) for tokens in members.values()], -1)


def lift(counts: Ints) -> Floats:
    """Counts (L, E, V), or those by class, as lift: 1 where an expert gets its share of x.

    The share of an expert's tokens that are x, over the share of all tokens that are. nan where
    there is nothing to share: the expert read nothing, or nobody read x. It says nothing of how
    sure it is; the counts do.
    """
    with np.errstate(invalid="ignore"):
        of_expert = counts / counts.sum(-1, keepdims=True)
        of_all = counts.sum(-2, keepdims=True) / counts.sum((-2, -1), keepdims=True)
        return np.asarray(of_expert / of_all, np.float64)


def load(counts: Ints) -> Floats:
    """(L, E): share of the reads that each expert had; a layer sums to 1."""
    read = counts.sum(-1)
    return np.asarray(read / read.sum(-1, keepdims=True), np.float64)


def load_entropy(counts: Ints) -> Floats:
    """(L,): of the load, in nats; log E when uniform, 0 when one expert reads everything."""
    share = load(counts)
    logs = np.log(share, where=share > 0, out=np.zeros_like(share))
    return np.asarray(-(share * logs).sum(-1), np.float64)


def worst_over_mean(counts: Ints) -> Floats:
    """(L,): largest load over the mean load; 1 when uniform, E at worst."""
    return np.asarray(load(counts).max(-1) * counts.shape[-2], np.float64)


def dead(counts: Ints) -> Ints:
    """(L,): experts that read nothing."""
    return np.asarray((counts.sum(-1) == 0).sum(-1), np.int64)


def _with_k(choice: ArrayLike) -> Ints:
    chosen = np.asarray(choice, np.int64)
    return chosen[..., None] if chosen.ndim == 2 else chosen


def _counted(places: Ints, size: int) -> Ints:
    """(L, ...) places -> (L, size): how often each comes in its layer."""
    rows = [np.bincount(layer.ravel(), minlength=size) for layer in places]
    return np.asarray(rows, np.int64).reshape(-1, size)
