"""Statistics of routing: tokens per expert, lift, load, agreement between checkpoints.

In NumPy, so that the interface needs no torch for them.

Letters: L layers, T tokens, K experts per token, E experts, V vocabulary.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinygpt.data.tokenizer import END_OF_TEXT

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CLASSES = ("vowel", "consonant", "capital", "digit", "space", "newline", "punctuation", "other")

SUBWORD_CLASSES = (
    "word start",
    "word part",
    "number",
    "punctuation",
    "space",
    "newline",
    "bytes",
)
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_AS_LATIN = ("LATIN", "FEMININE", "MASCULINE", "MODIFIER", "MICRO")
"""How the names of Latin letters and of letters without a script begin."""
_WIDTHS = ("HALFWIDTH", "FULLWIDTH")
_SAME_SCRIPT = {"IDEOGRAPHIC": "CJK", "KATAKANA-HIRAGANA": "KATAKANA"}
"""Scripts of single signs within another one: the mark that repeats a Chinese character, and the
one that makes a vowel long."""
_END = "end of text"
"""The class of the token that ends a document."""


def expert_counts(choice: ArrayLike, ids: ArrayLike, experts: int, vocabulary: int) -> Ints:
    """(L, E, V): how often each token was routed to each expert.

    Args:
        choice: (L, T) experts, or (L, T, K), where each of the K counts.
        ids: (T,) the tokens.
        experts: E.
        vocabulary: V.
    """
    chosen = _with_k(choice)
    layers, _, k = chosen.shape
    tokens = np.repeat(np.asarray(ids, np.int64), k)
    cells = chosen.reshape(layers, -1) * vocabulary + tokens
    return _count(cells, experts * vocabulary).reshape(layers, experts, vocabulary)


def pairs(choice: ArrayLike, experts: int) -> Ints:
    """(L - 1, E, E): tokens routed to expert a of a layer and expert b of the next.

    `choice` is (L, T), or (L, T, K), where each of the K x K pairs of a token counts.
    """
    chosen = _with_k(choice)
    cells = chosen[:-1, :, :, None] * experts + chosen[1:, :, None, :]
    return _count(cells, experts * experts).reshape(-1, experts, experts)


def agreement(a: ArrayLike, b: ArrayLike) -> Floats:
    """(L,): share of tokens with the same expert in both choices (L, T).

    Compared with the last checkpoint of a run, it shows how early the routing became fixed
    (OpenMoE, arXiv:2402.01739). Independent, balanced routers agree on 1/E of the tokens.
    """
    same = np.asarray(a) == np.asarray(b)
    return np.asarray(same.mean(axis=1), np.float64)


def classes(vocabulary: Sequence[str]) -> dict[str, Ints]:
    """The token ids of each class: every token is in exactly one; some may be empty.

    Of characters, the classes are `CLASSES`, and the scripts of letters that are not Latin. Where
    tokens are longer, the classes are those of `subword_class`.
    """
    characters = are_characters(vocabulary)
    class_of, known = (
        (_character_class, CLASSES) if characters else (subword_class, SUBWORD_CLASSES)
    )
    names = np.array([class_of(token) for token in vocabulary])
    others = sorted(set(names.tolist()).difference(known))
    return {name: np.flatnonzero(names == name) for name in (*known, *others)}


def are_characters(tokens: Iterable[str]) -> bool:
    """Whether every token is a single character, or ends a document of characters."""
    return all(len(token) == 1 or token == END_OF_TEXT for token in tokens)


def subword_class(token: str) -> str:
    """What a token of several characters is: one of `SUBWORD_CLASSES`, the script of its first
    letter that is not Latin, as in "cyrillic", or "end of text".

    A word starts with its space; one at the start of a line counts as a part.
    """
    if token == END_OF_TEXT:
        return _END
    if _BYTE.search(token):
        return "bytes"
    if token.isspace():
        return "newline" if "\n" in token else "space"
    letters = [character for character in token if character.isalpha()]
    if script := next(filter(None, map(_script, letters)), ""):
        return script
    if letters:
        return "word start" if token[0].isspace() else "word part"
    return "number" if any(map(str.isnumeric, token)) else "punctuation"


def _script(letter: str) -> str:
    """The script of a letter, by the first word of its name; empty for a Latin one."""
    words = unicodedata.name(letter, "other").split()
    first = words[1] if words[0] in _WIDTHS else words[0]
    return "" if first in _AS_LATIN else _SAME_SCRIPT.get(first, first).lower()


def _character_class(token: str) -> str:
    """`token_class`; instead of "other", what is known of a character beyond ASCII."""
    if token == END_OF_TEXT:
        return _END
    name = token_class(token)
    if name != "other":
        return name
    if token.isalpha():
        return _script(token) or name
    return "punctuation" if unicodedata.category(token)[0] == "P" else name


def token_class(token: str) -> str:
    """The class of a token, one of `CLASSES`. Letters, digits and punctuation are ASCII; capitals
    count as neither vowels nor consonants."""
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


def class_counts(counts: Ints, members: Mapping[str, Ints]) -> Ints:
    """`expert_counts` (L, E, V) summed over the tokens of each class: (L, E, classes)."""
    return np.stack([counts[..., tokens].sum(-1) for tokens in members.values()], -1)


def lift(counts: Ints) -> Floats:
    """Lift of each token (or class) x in each expert, from counts (L, E, V).

    The share of x among an expert's tokens, divided by its share among all tokens: 1 means no
    preference. nan where the expert has no tokens, or x does not occur. A lift from few counts is
    unreliable.
    """
    with np.errstate(invalid="ignore"):
        of_expert = counts / counts.sum(-1, keepdims=True)
        of_all = counts.sum(-2, keepdims=True) / counts.sum((-2, -1), keepdims=True)
        return np.asarray(of_expert / of_all, np.float64)


def mutual_information(counts: ArrayLike) -> Floats:
    """(L,) bits that the expert of a token says about its class, from counts (L, E, classes).

    0 if independent, at most the entropy of either. The estimate from N tokens is too high by about
    (E - 1) (classes - 1) / (2 N ln 2): compare it with that of shuffled pairs.
    """
    joint = np.asarray(counts, np.float64)
    joint = joint / joint.sum((-2, -1), keepdims=True)
    independent = joint.sum(-1, keepdims=True) * joint.sum(-2, keepdims=True)
    ratio = np.divide(joint, independent, where=joint > 0, out=np.ones_like(joint))
    return np.asarray((joint * np.log2(ratio)).sum((-2, -1)), np.float64)


def load(counts: Ints) -> Floats:
    """(L, E): share of a layer's tokens routed to each expert; a layer sums to 1."""
    tokens = counts.sum(-1)
    return np.asarray(tokens / tokens.sum(-1, keepdims=True), np.float64)


def load_entropy(counts: Ints) -> Floats:
    """(L,): entropy of the load, in nats; log E if uniform, 0 if one expert gets all tokens."""
    share = load(counts)
    logs = np.log(share, where=share > 0, out=np.zeros_like(share))
    return np.asarray(0.0 - (share * logs).sum(-1), np.float64)  # of one expert 0, not -0


def worst_over_mean(counts: Ints) -> Floats:
    """(L,): largest load over the mean load; 1 if uniform, at most E."""
    return np.asarray(load(counts).max(-1) * counts.shape[-2], np.float64)


def dead(counts: Ints) -> Ints:
    """(L,): number of experts without tokens."""
    return np.asarray((counts.sum(-1) == 0).sum(-1), np.int64)


def _with_k(choice: ArrayLike) -> Ints:
    chosen = np.asarray(choice, np.int64)
    return chosen[..., None] if chosen.ndim == 2 else chosen


def _count(cells: Ints, size: int) -> Ints:
    """Cell numbers (L, ...) -> (L, size): how often each occurs in its layer."""
    rows = [np.bincount(layer.ravel(), minlength=size) for layer in cells]
    return np.asarray(rows, np.int64).reshape(-1, size)
