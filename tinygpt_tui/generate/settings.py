"""The decoding settings as the tab knows them: keys, steps, words, presets."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from tinygpt.errors import ConfigError
from tinygpt.generation.params import SamplingParams


@dataclass(frozen=True)
class Setting:
    """One field of `SamplingParams` on a key."""

    key: str
    """A capital letter."""
    name: str
    label: str
    short: str
    """For a narrow window."""
    ladder: tuple[float, ...] = ()
    """The values that up and down walk over; without one, it is switched or typed."""
    off: Any = None
    """The value at which it does nothing."""
    range: str = ""


LONGEST = 20_000
"""Tokens that one press may ask for."""

SETTINGS = (
    Setting("G", "greedy", "greedy", "greedy", off=False),
    Setting(
        "T",
        "temperature",
        "temperature",
        "temp",
        tuple(round(i / 10, 1) for i in range(21)),
        off=1.0,
        range="0 (greedy) or more",
    ),
    Setting(
        "K",
        "top_k",
        "top-k",
        "top-k",
        (0, 1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 50, 65, 100),
        off=0,
        range="0 (off) or more",
    ),
    Setting(
        "P",
        "top_p",
        "top-p",
        "top-p",
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0),
        off=1.0,
        range="between 0 and 1 (off)",
    ),
    Setting(
        "M",
        "min_p",
        "min-p",
        "min-p",
        (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5),
        off=0.0,
        range="between 0 (off) and 1",
    ),
    Setting(
        "Y",
        "typical_p",
        "typical-p",
        "typ",
        (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
        off=1.0,
        range="more than 0 and at most 1 (off)",
    ),
    Setting(
        "R",
        "repetition_penalty",
        "repetition penalty",
        "rep",
        (0.8, 0.9, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0),
        off=1.0,
        range="more than 0; 1 is off",
    ),
    Setting(
        "N",
        "no_repeat_ngram",
        "no-repeat n-gram",
        "ngram",
        (0, 2, 3, 4, 5, 6, 8, 10, 15, 20),
        off=0,
        range="0 (off) or more",
    ),
    Setting("L", "temperature_last", "temperature last", "T last", off=False),
    Setting(
        "X",
        "max_new_tokens",
        "tokens",
        "tokens",
        (1, 20, 50, 100, 200, 300, 500, 1000, 2000, 5000),
        range=f"0 to {LONGEST:,}",
    ),
    Setting("S", "seed", "seed", "seed", range="a whole number; empty draws one"),
    Setting("E", "stop", "stop texts", "stop", range=r"texts between |; \n is a new line"),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}

NEUTRAL = SamplingParams()
PRESETS = {
    "neutral": NEUTRAL,
    "greedy": replace(NEUTRAL, greedy=True),
    "careful": replace(NEUTRAL, temperature=0.7, top_k=40, top_p=0.9),
    "creative": replace(NEUTRAL, temperature=1.1, top_p=0.95, min_p=0.02),
    "assignment": replace(NEUTRAL, temperature=0.8, top_k=50, top_p=0.95),
}
"""Seed, length and stop texts are not part of a preset."""
KEPT = ("seed", "max_new_tokens", "stop")


def with_preset(params: SamplingParams, preset: SamplingParams) -> SamplingParams:
    """The preset's chain, with the seed, the length and the stop texts as they are."""
    return replace(preset, **{name: getattr(params, name) for name in KEPT})


def preset_name(params: SamplingParams, presets: dict[str, SamplingParams]) -> str | None:
    """Which preset these settings are."""
    for name, preset in presets.items():
        if with_preset(params, preset) == params:
            return name
    return None


def stepped(params: SamplingParams, setting: Setting, by: int) -> SamplingParams:
    """The next value of the ladder, or the other side of a switch."""
    now = getattr(params, setting.name)
    if isinstance(now, bool):
        return changed(params, setting, not now)
    if setting.name == "seed":
        return replace(params, seed=max(0, (now or 0) + by))
    if not setting.ladder:
        return params
    ladder = setting.ladder
    place = bisect_right(ladder, now) if by > 0 else bisect_left(ladder, now) - 1
    value = ladder[min(max(place, 0), len(ladder) - 1)]
    if (value - now) * by <= 0:  # beyond the ladder's end
        return params
    return changed(params, setting, value)


def changed(params: SamplingParams, setting: Setting, value: Any) -> SamplingParams:
    """With another value of one setting. Raises ConfigError if it cannot be."""
    return replace(params, **{setting.name: value})


def parsed(params: SamplingParams, setting: Setting, text: str) -> SamplingParams:
    """With the value that was typed.

    Raises:
        ConfigError: it is no value of this setting; says which are.
    """
    text = text.strip()
    try:
        value = _READ.get(setting.name, _number)(setting, text)
        return changed(params, setting, value)
    except (ValueError, OverflowError):  # a ConfigError is one
        raise ConfigError(f"{setting.label} {text!r}: it has to be {setting.range}") from None


def _number(setting: Setting, text: str) -> float | int:
    if not text and setting.off is not None:
        return setting.off  # type: ignore[no-any-return]
    whole = isinstance(setting.ladder[0], int)
    value = int(text) if whole else float(text)
    if setting.name == "max_new_tokens" and value > LONGEST:
        raise ValueError
    return value


def _seed(_: Setting, text: str) -> int | None:
    value = int(text) if text else None
    if value is not None and not 0 <= value < 2**63:
        raise ValueError
    return value


def _stops(_: Setting, text: str) -> tuple[str, ...]:
    return tuple(part.replace("\\n", "\n") for part in text.split("|")) if text else ()


_READ: dict[str, Callable[[Setting, str], Any]] = {"seed": _seed, "stop": _stops}


def typed(params: SamplingParams, setting: Setting) -> str:
    """The value as a person would type it."""
    value = getattr(params, setting.name)
    if setting.name == "stop":
        return "|".join(stop.replace("\n", "\\n") for stop in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def shown(params: SamplingParams, setting: Setting) -> str:
    """The value in a word."""
    value = getattr(params, setting.name)
    if setting.name == "seed":
        return "random" if value is None else str(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if setting.off is not None and value == setting.off and setting.name != "temperature":
        return "off"
    return typed(params, setting) or "none"


def chain_words(params: SamplingParams) -> str:
    """The filters that are on, in their order: "temperature 0.8 → top-k 40"."""
    p = params
    words = []
    if p.repetition_penalty != 1:
        words.append(f"repetition penalty {p.repetition_penalty:g}")
    if p.no_repeat_ngram:
        words.append(f"no-repeat n-gram {p.no_repeat_ngram}")
    if p.deterministic:
        words.append("greedy" if p.greedy else "greedy (temperature 0)")
    else:
        heat = [f"temperature {p.temperature:g}"] if p.temperature != 1 else []
        words += [] if p.temperature_last else heat
        for name, off in (("top_k", 0), ("top_p", 1), ("min_p", 0), ("typical_p", 1)):
            if (value := getattr(p, name)) != off:
                words.append(f"{name.replace('_', '-')} {value:g}")
        words += heat if p.temperature_last else []
    if not words:
        return "the model's own distribution"
    return " → ".join(words)


def as_dict(params: SamplingParams) -> dict[str, Any]:
    """All fields by name; `stop` as a list."""
    found = {field.name: getattr(params, field.name) for field in fields(params)}
    return {**found, "stop": list(params.stop)}


def from_dict(values: dict[str, Any]) -> SamplingParams:
    """The reverse of `as_dict`. Raises ConfigError for what cannot be settings."""
    try:
        return SamplingParams(**values)
    except TypeError as error:
        raise ConfigError(f"these are no decoding settings: {error}") from None
