"""The decoding settings in the Generate tab: their keys, the values that arrow keys step through,
and the parsing of typed values."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import Any

from tinygpt.errors import ConfigError
from tinygpt.generation.params import NEUTRAL, PENALTIES, TRUNCATIONS, SamplingParams, label

MAX_TOKENS = 20_000
"""Most tokens per request."""
SEEDS = range(2**63)
"""Valid seeds, as for training."""


@dataclass(frozen=True)
class Setting:
    """A field of `SamplingParams` and its key."""

    key: str
    """A capital letter."""
    name: str
    short: str
    """Its label in the row of all settings; when it is edited, there is room for `label`."""
    steps: tuple[float, ...] = ()
    """The values that up and down step through; empty if it is only toggled or typed."""

    @property
    def label(self) -> str:
        """The full name: "top-k"."""
        return label(self.name)

    @property
    def off(self) -> Any:
        """The value that turns a filter off; None for settings that are no filters."""
        filters = (*PENALTIES, *TRUNCATIONS, "temperature")
        return getattr(NEUTRAL, self.name) if self.name in filters else None

    @property
    def range(self) -> str:
        """The valid values in words."""
        match self.name:
            case "temperature":
                return f"{_limits(self.name)}; 0 is greedy"
            case "max_new_tokens":
                return f"0 to {MAX_TOKENS:,}"
            case "seed":
                return "integer; blank is random"
            case "stop":
                return r"separated by |; \n is a new line"
        return f"{_limits(self.name)}; {self.off:g} is off"


def _limits(name: str) -> str:
    limits = SamplingParams.__dataclass_fields__[name].metadata
    low, high, above = limits["low"], limits["high"], limits["above"]
    return f"{low:g} to {high:g}" if above is None else f"more than {above:g}, at most {high:g}"


SETTINGS = (
    Setting("G", "greedy", "greedy"),
    Setting("T", "temperature", "temp", tuple(round(i / 10, 1) for i in range(21))),
    Setting("K", "top_k", "top-k", (0, 1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 50, 65, 100)),
    Setting(
        "P",
        "top_p",
        "top-p",
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0),
    ),
    Setting("M", "min_p", "min-p", (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)),
    Setting("Y", "typical_p", "typ", (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)),
    Setting("R", "repetition_penalty", "rep", (0.8, 0.9, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0)),
    Setting("N", "no_repeat_ngram", "ngram", (0, 2, 3, 4, 5, 6, 8, 10, 15, 20)),
    Setting("L", "temperature_last", "T last"),
    Setting("X", "max_new_tokens", "tokens", (1, 20, 50, 100, 200, 300, 500, 1000, 2000, 5000)),
    Setting("S", "seed", "seed"),
    Setting("E", "stop", "stop"),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


def step(params: SamplingParams, setting: Setting, by: int) -> SamplingParams:
    """Step a setting up or down (`by` is 1 or -1), or toggle it."""
    now = getattr(params, setting.name)
    if isinstance(now, bool):
        return _replace(params, setting, not now)
    if setting.name == "seed":
        return replace(params, seed=max(0, (now or 0) + by))
    if not setting.steps:
        return params
    steps = setting.steps
    place = bisect_right(steps, now) if by > 0 else bisect_left(steps, now) - 1
    value = steps[min(max(place, 0), len(steps) - 1)]
    if (value - now) * by <= 0:  # already past the last step
        return params
    return _replace(params, setting, value)


def _replace(params: SamplingParams, setting: Setting, value: Any) -> SamplingParams:
    return replace(params, **{setting.name: value})


def parse(params: SamplingParams, setting: Setting, text: str) -> SamplingParams:
    """`params` with a typed value; blank means the default.

    Raises:
        ConfigError: the value is invalid; the message gives the range.
    """
    text = text.strip()
    value: Any = text
    if not text and setting.name != "max_new_tokens":
        value = getattr(NEUTRAL, setting.name)
    elif setting.name == "stop":
        value = tuple(part.replace("\\n", "\n") for part in text.split("|"))
    try:
        changed = _replace(params, setting, value)
    except ConfigError:
        changed = None
    if changed is None or changed.max_new_tokens > MAX_TOKENS or (changed.seed or 0) not in SEEDS:
        raise ConfigError(f"{setting.label} {text!r}: expected {setting.range}")
    return changed


def typed(params: SamplingParams, setting: Setting) -> str:
    """The value as text that `parse` accepts."""
    value = getattr(params, setting.name)
    if setting.name == "stop":
        return "|".join(stop.replace("\n", "\\n") for stop in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def shown(params: SamplingParams, setting: Setting) -> str:
    """The value as shown in the row of settings."""
    value = getattr(params, setting.name)
    if setting.name == "seed":
        return "random" if value is None else str(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if setting.off is not None and value == setting.off and setting.name != "temperature":
        return "off"
    return typed(params, setting) or "none"
