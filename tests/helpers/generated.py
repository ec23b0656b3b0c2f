"""Decoding settings and texts, as if a model had generated them."""

import math

from hypothesis import strategies as st

from tinygpt.generation.params import SamplingParams
from tinygpt_tui.engine.protocol import Opened, Token
from tinygpt_tui.generate.tree import Text, Tree

VOCABULARY = "\n abcde"


def token(text: str, *, experts: tuple[int, ...] = (), p: float = 0.4) -> Token:
    """A token chosen with raw probability p; the others share the rest."""
    ids = [VOCABULARY.index(text), *(i for i, c in enumerate(VOCABULARY) if c != text)]
    rest = (1 - p) / (len(ids) - 1)
    raw = (p, *[rest] * (len(ids) - 1))
    return Token(
        ids[0],
        text,
        1,
        -math.log(p),
        1.5,
        experts,
        tuple(ids),
        tuple(VOCABULARY[i] for i in ids),
        raw,
        (p + rest, 0.0, *raw[2:]),
        ("", "top-k", *[""] * (len(ids) - 2)),
    )


def made(text: str, prompt: str = "ab", **how: object) -> Text:
    """A text as if the engine had generated it."""
    found = Tree().add(prompt, SamplingParams(seed=3), "run/dense/step-00000007")
    found.tokens = [token(c, **how) for c in text]  # type: ignore[arg-type]
    found.opened = Opened(1, "run/dense/step-00000007", "dense", 7, 1.5, 2, 0)
    return found


sampling_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.7, 1.0, 1.3]),
    top_k=st.sampled_from([0, 5]),
    top_p=st.sampled_from([0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.1]),
    typical_p=st.sampled_from([0.9, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.2]),
    no_repeat_ngram=st.sampled_from([0, 3]),
    temperature_last=st.booleans(),
    greedy=st.booleans(),
    seed=st.none() | st.integers(0, 99),
    stop=st.lists(st.sampled_from(["x", "a\nb"]), max_size=2).map(tuple),
)

texts = st.text(st.sampled_from("ab \n漢é\t"), max_size=70)
