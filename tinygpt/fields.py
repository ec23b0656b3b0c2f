"""One setting of a configuration: its type, range and help, and its parsing from text or TOML."""

import dataclasses
import difflib
import math
import numbers
import operator
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Literal

from tinygpt.errors import ConfigError


def setting(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A dataclass field with help and range: `low` to `high`, or strictly `above`, `below`."""
    limits = {"low": low, "high": high, "above": above, "below": below}
    return dataclasses.field(default=default, metadata={"help": text, **limits})


def flag(name: str) -> str:
    """``optim.learning_rate`` as ``--optim.learning-rate``."""
    return "--" + name.replace("_", "-")


def as_text(value: object) -> str:
    """A value as it is typed on the command line or in the form."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class Setting(str):
    """The dotted name of a setting, as a part of a `SettingError`."""


class SettingError(ConfigError):
    """A value that a setting cannot have. The message names settings as flags.

    Where the value came from a file, `naming` words it with the keys of that file.
    """

    def __init__(self, *parts: str) -> None:
        """`parts` are joined; those that are a `Setting` are names."""
        super().__init__(
            "".join(flag(part) if isinstance(part, Setting) else part for part in parts)
        )
        self._parts = parts

    def naming(self, name: Callable[[str], str]) -> str:
        """The message with each setting as `name` gives it for its dotted name."""
        return "".join(name(part) if isinstance(part, Setting) else part for part in self._parts)


def convert(field: dataclasses.Field[Any], value: object, name: str) -> Any:
    """A value (text from the command line, or from TOML) as the type of `field`, range checked.

    Raises:
        SettingError: names the setting, the value and what would be valid.
    """
    if value is None and type(None) in _kinds(field):
        return None
    if allowed := choices(field):
        if value not in allowed:
            hint = nearest(str(value), allowed)
            valid = f"{', '.join(allowed)}{hint}"
            raise SettingError(Setting(name), f" {value!r} is not one of {valid}")
        return value
    return _in_range(field, _typed(kind_of(field), value, name), name)


_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _typed(kind: type, value: object, name: str) -> Any:
    if kind is bool and isinstance(value, str) and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if isinstance(value, kind) and kind in (bool, str):
        return value
    if kind in (int, float) and (number or isinstance(value, str)):
        try:
            parsed = float(typing.cast(Any, value)) if kind is float else _whole(value)
            if math.isfinite(parsed):
                return parsed
        except (ValueError, OverflowError):  # a number of 400 digits, for example
            pass
    raise SettingError(Setting(name), f" {value!r} is not {_EXPECTED[kind]}")


def _whole(value: object) -> int:
    """`value` as an int; ValueError for floats, even 2.0: in TOML that is not an integer."""
    if isinstance(value, str | numbers.Integral):
        return int(value)
    raise ValueError


def whole_number(text: str, option: str, most: int | None = None, limit: str = "") -> int:
    """The number from 1 to `most` that an option gives; `limit` says what that is in words.

    Raises:
        ConfigError: it is none, or out of range.
    """
    count = int(text[:20]) if text.isdecimal() else 0
    if count < 1 or (most is not None and count > most):
        valid = (
            "of at least 1" if most is None else f"from 1 to {most:,}" + f", {limit}" * bool(limit)
        )
        raise ConfigError(f"{option} {text!r} is not a whole number {valid}")
    return count


def _in_range(field: dataclasses.Field[Any], value: Any, name: str) -> Any:
    limits = field.metadata
    for key, holds in (
        ("low", operator.ge),
        ("high", operator.le),
        ("above", operator.gt),
        ("below", operator.lt),
    ):
        if limits[key] is not None and not holds(value, limits[key]):
            valid = f"{_LIMITS[key]} {limits[key]:g}"
            raise SettingError(Setting(name), f" {value} is out of range: it must be {valid}")
    return value


def range_text(field: dataclasses.Field[Any]) -> str:
    """The values that a field accepts, in a few words: "1 to 1024", "more than 0", "dense or moe";
    empty for any text."""
    if allowed := choices(field):
        return " or ".join([", ".join(allowed[:-1]), allowed[-1]])
    if kind_of(field) is bool:
        return "true or false"
    limits = {
        key: f"{field.metadata[key]:,g}" for key in _LIMITS if field.metadata[key] is not None
    }
    if limits.keys() == {"low", "high"}:
        return f"{limits['low']} to {limits['high']}"
    return ", ".join(f"{_LIMITS[key]} {limit}" for key, limit in limits.items())


_LIMITS = {"low": "at least", "high": "at most", "above": "more than", "below": "less than"}


def choices(field: dataclasses.Field[Any]) -> list[str]:
    """The values that a field accepts, if it is a Literal; else empty."""
    return [kind for kind in _kinds(field) if isinstance(kind, str)]


def kind_of(field: dataclasses.Field[Any]) -> type:
    """The type of the field's values, other than None: int, float, bool or str."""
    kinds = [kind for kind in _kinds(field) if kind is not type(None)]
    return str if isinstance(kinds[0], str) else typing.cast(type, kinds[0])


def nearest(word: str, candidates: Iterable[str]) -> str:
    """Suffix of an error message that suggests the closest candidate; empty if none is close."""
    near = closest(word, candidates)
    return f"; did you mean {near!r}?" if near else ""


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most similar to `word`; None if none is similar."""
    return next(iter(difflib.get_close_matches(word, list(candidates), 1)), None)


def _kinds(field: dataclasses.Field[Any]) -> list[object]:
    """The types that a field accepts, or the strings of its Literal."""
    if typing.get_origin(field.type) is Literal or isinstance(field.type, types.UnionType):
        return list(typing.get_args(field.type))
    return [field.type]
