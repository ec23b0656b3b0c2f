"""How the next token is chosen: the settings alone, which need no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinygpt.errors import ConfigError

GREEDY_TEMPERATURE = 1e-5
"""Temperature under which sampling is greedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How the next token is chosen. The defaults sample from the model's own distribution."""

    temperature: float = 1.0
    """Divides the logits; below 0.00001, where fp32 would overflow, it is greedy."""
    top_k: int = 0
    """Keep the k likeliest tokens, and those tied with the last of them; 0 keeps all."""
    top_p: float = 1.0
    """Keep the fewest likeliest tokens whose probabilities reach p (nucleus, arXiv:1904.09751)."""
    min_p: float = 0.0
    """Keep tokens of at least this share of the likeliest one's probability (arXiv:2407.01082)."""
    typical_p: float = 1.0
    """Keep the tokens of surprisal nearest the entropy that reach p (arXiv:2202.00666)."""
    repetition_penalty: float = 1.0
    """Divides positive logits of tokens seen, multiplies negative ones (CTRL, arXiv:1909.05858)."""
    no_repeat_ngram: int = 0
    """No sequence of so many tokens occurs twice, prompt included; 0 lets it."""
    temperature_last: bool = False
    """Apply the temperature after the filters instead of before them."""
    greedy: bool = False
    """Take the likeliest token, the first of equals: after the penalties, nothing else applies."""
    seed: int | None = None
    """Same seed, same text on the same device; None draws a new one."""
    max_new_tokens: int = 200
    """Tokens to make at most."""
    stop: tuple[str, ...] = ()
    """Texts that end the continuation; they stay part of it."""

    def __post_init__(self) -> None:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        object.__setattr__(self, "stop", stop)
        for name, holds, right in (
            ("temperature", 0 <= self.temperature < math.inf, "0 (greedy) or more"),
            ("top_k", self.top_k >= 0, "0 (all) or more"),
            ("top_p", 0 <= self.top_p <= 1, "between 0 and 1"),
            ("min_p", 0 <= self.min_p <= 1, "between 0 and 1"),
            ("typical_p", 0 < self.typical_p <= 1, "more than 0 and at most 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "more than 0"),
            ("no_repeat_ngram", self.no_repeat_ngram >= 0, "0 (off) or more"),
            ("max_new_tokens", self.max_new_tokens >= 0, "0 or more"),
        ):
            if not holds:
                raise ConfigError(f"{name} is {getattr(self, name)}; it has to be {right}")
        if "" in self.stop:
            raise ConfigError("stop has an empty text; it has to be at least one character")

    @property
    def deterministic(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.greedy or self.temperature < GREEDY_TEMPERATURE
