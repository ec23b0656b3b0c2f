"""The decoding settings: fields with help and range, and the order and names of the filters.

Importable without torch: the command line and the interface are generated from this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from tinygpt.errors import ConfigError
from tinygpt.fields import convert, setting

GREEDY_TEMPERATURE = 1e-5
"""Temperature under which sampling is greedy: dividing by less would overflow fp32."""

MOST = 999_999
"""Largest top-k and n-gram: more than any vocabulary or context, and not too long for a message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplingParams:
    """How the next token is chosen. The defaults sample from the model's own distribution.

    Raises:
        ConfigError: a value is out of range; the message names the flag.
    """

    temperature: float = setting(1.0, "divides the logits; 0 is greedy", low=0.0, high=1000.0)
    top_k: int = setting(0, "sample from the N most likely tokens; 0 is off", low=0, high=MOST)
    """Tokens tied with the last of them are kept as well."""
    top_p: float = setting(
        1.0, "sample from the fewest tokens that reach probability X; 1 is off", low=0.0, high=1.0
    )
    """Nucleus sampling, arXiv:1904.09751."""
    min_p: float = setting(
        0.0, "drop tokens below X times the top probability; 0 is off", low=0.0, high=1.0
    )
    """arXiv:2407.01082."""
    typical_p: float = setting(
        1.0, "sample from the most typical tokens that reach X; 1 is off", above=0.0, high=1.0
    )
    """The most typical tokens are those of surprisal nearest the entropy (arXiv:2202.00666)."""
    repetition_penalty: float = setting(
        1.0, "make tokens that occurred less likely; 1 is off", low=0.01, high=100.0
    )
    """Divides positive logits of such tokens, multiplies negative ones (CTRL, arXiv:1909.05858)."""
    no_repeat_ngram: int = setting(
        0, "never repeat a sequence of N tokens; 0 is off", low=0, high=MOST
    )
    """The prompt counts as well."""
    temperature_last: bool = setting(False, "apply the temperature after the filters")
    greedy: bool = setting(False, "always take the most likely token")
    """The first of equals; of the filters, only the penalties apply."""
    seed: int | None = setting(None, "seed of the sampling")
    """The same seed gives the same text on the same device; None draws a new one."""
    max_new_tokens: int = setting(200, "maximum number of tokens to generate", low=0)
    stop: tuple[str, ...] = setting((), "stop after this text; may be given several times")
    """A stop sequence stays part of the text."""

    def __post_init__(self) -> None:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)
        if not all(isinstance(text, str) and text for text in stop):
            raise ConfigError("--stop must be text of at least one character")
        object.__setattr__(self, "stop", stop)
        for field in fields(self):
            if field.name != "stop":
                value = convert(field, getattr(self, field.name), field.name)
                object.__setattr__(self, field.name, value)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`, also after a round trip through JSON.

        Raises:
            ConfigError: a name is unknown or a value is invalid.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"invalid decoding settings: {error}") from None

    @property
    def deterministic(self) -> bool:
        """Whether the most likely token is always taken."""
        return self.greedy or self.temperature < GREEDY_TEMPERATURE


NEUTRAL = SamplingParams()
PENALTIES = ("repetition_penalty", "no_repeat_ngram")
TRUNCATIONS = ("top_k", "top_p", "min_p", "typical_p")


def active_filters(params: SamplingParams) -> list[str]:
    """The names of the filters that are on, in the order of Hugging Face's logits processors."""
    if params.deterministic:
        order: tuple[str, ...] = (*PENALTIES, "greedy")
    elif params.temperature_last:
        order = (*PENALTIES, *TRUNCATIONS, "temperature")
    else:
        order = (*PENALTIES, "temperature", *TRUNCATIONS)
    return [
        name
        for name in order
        if name == "greedy" or getattr(params, name) != getattr(NEUTRAL, name)
    ]


_LABELS = {
    "repetition_penalty": "repetition penalty",
    "no_repeat_ngram": "no-repeat n-gram",
    "temperature_last": "temperature last",
    "max_new_tokens": "tokens",
    "stop": "stop sequences",
}


def label(name: str) -> str:
    """What a field of `SamplingParams` is called on screen: ``top_k`` is "top-k"."""
    return _LABELS.get(name, name.replace("_", "-"))


def describe_filters(params: SamplingParams) -> str:
    """The active filters in their order: "temperature 0.8 → top-k 40"."""
    greedy = "greedy" if params.greedy else "greedy (temperature 0)"
    words = [
        greedy if name == "greedy" else f"{label(name)} {getattr(params, name):g}"
        for name in active_filters(params)
    ]
    return " → ".join(words) or "the model's own distribution"
