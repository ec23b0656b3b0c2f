"""Records to lines of metrics.jsonl and back.

JSON has no NaN and no infinities, but a diverged loss must be recorded: they are written as the
strings "NaN", "Infinity" and "-Infinity", as in protobuf's JSON mapping, and read back as floats in
fields that hold numbers. Text fields (`prompt`, `text`, `reason`, ...) are never converted.

The parser is our own, not msgspec's tagged structs, because runs may come from strangers. msgspec
rejects lone surrogates (which a sample may hold), a bare NaN and 1e400, accepts integers beyond 64
bits, cannot tell a record of an unknown kind from a damaged one, and writes different bytes. It
does decode train records in bulk, in `columns`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from tinygpt.errors import RunError
from tinygpt.run.layout import VARIANTS
from tinygpt.run.records import (
    CheckpointRecord,
    EndRecord,
    EndState,
    EvalRecord,
    Record,
    ResumeRecord,
    RoutingRecord,
    SampleRecord,
    StartRecord,
    TrainRecord,
    Variant,
)


def to_json(record: Record) -> str:
    """One line of strict ASCII JSON, without the newline.

    Raises TypeError for values that JSON cannot represent.
    """
    names = _FIELDS[type(record)]
    values = {"kind": record.kind} | {name: getattr(record, name) for name in names}
    try:
        return json.dumps(values, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_floats_to_strings(values), allow_nan=False, separators=(",", ":"))


def parse_record(line: str | bytes) -> Record | None:
    """The record on a line, or None for an unknown kind. Unknown keys are ignored.

    Raises RunError, which quotes the start of the line, for anything else: no JSON, no object, a
    field that is missing or of the wrong type.
    """
    data = _parse_object(line)
    kind = data.get("kind")
    if type(kind) is not str:
        raise _unreadable(line, "it has no kind")
    plan = _PLANS.get(kind)
    if plan is None:
        return None
    make, fields = plan
    values = []
    for name, convert, default in fields:
        try:
            values.append(convert(data.get(name, default)))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise _unreadable(line, f"{name} is missing or not valid") from error
    record = make(*values)
    if isinstance(record, RoutingRecord) and not _rectangular(record):
        raise _unreadable(
            line, "its lists do not have one entry per layer, and one share per expert"
        )
    return record


def _rectangular(record: RoutingRecord) -> bool:
    """Whether the load is layers by experts of shares, and the rest one number per layer."""
    layers, experts = len(record.load), len(record.load[0]) if record.load else 0
    others = (record.entropy, record.worst_over_mean, record.mean_top1, record.dead)
    return (
        layers > 0
        and experts > 0
        and all(len(row) == experts for row in record.load)
        and all(len(numbers) == layers for numbers in others)
        and all(0 <= share <= 1 for row in record.load for share in row)
    )


# Parsing. At import, the annotations of each record class become a plan: per field its name, a
# conversion and a default. A line then costs one JSON parse, one call per field, one constructor.

_STRINGS_TO_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MISSING: Any = object()  # not a JSON type, so every conversion rejects it
_decode = json.JSONDecoder().raw_decode

LARGEST = 1 << 63
"""Integers must be below this: larger ones are damage, and overflow in NumPy."""
YEAR_9999 = 253_370_764_800.0


def _parse_object(line: str | bytes) -> dict[str, Any]:
    try:
        text = (line if isinstance(line, str) else line.decode("utf-8")).strip()
        data, end = _decode(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(line, "it is not JSON") from error
    if end != len(text) or type(data) is not dict:
        raise _unreadable(line, "it is not one JSON object")
    return data


def _unreadable(line: str | bytes, why: str) -> RunError:
    text = line if isinstance(line, str) else line.decode("utf-8", "backslashreplace")
    return RunError(f"cannot read the metrics record {text[:80]!r}: {why}")


def _float(value: object) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str and value in _STRINGS_TO_FLOATS:
        return _STRINGS_TO_FLOATS[value]
    raise TypeError("not a number")


def _int(value: object) -> int:
    if type(value) is int and abs(value) < LARGEST:
        return value
    raise TypeError("not a 64-bit integer")


def _time(value: object) -> float:
    """Unix seconds that `datetime` can represent."""
    seconds = _float(value)
    if 0 <= seconds < YEAR_9999:
        return seconds
    raise ValueError("not a time")


def _str(value: object) -> str:
    if type(value) is str:
        return value
    raise TypeError("not text")


def _variant(value: object) -> Variant:
    if value in VARIANTS:
        return sys.intern(_str(value))  # so that a million records share one string
    raise ValueError("not a variant of the model")


def _end_state(value: object) -> EndState:
    if value in ("done", "stopped", "failed"):
        return value
    raise ValueError("not the state of an end")


def _or_none(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _list(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: object) -> list[Any]:
        if type(value) is not list:
            raise TypeError("not a list")
        return [convert(item) for item in value]

    return read


def _mapping(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: object) -> dict[str, Any]:
        if type(value) is not dict:
            raise TypeError("not an object")
        return {sys.intern(key): convert(item) for key, item in value.items()}

    return read


def _by_variant(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A mapping without variants that this version does not know."""
    read = _mapping(convert)
    return lambda value: {k: v for k, v in read(value).items() if k in VARIANTS}


def _any(value: object) -> object:
    """Any JSON value, with the strings of non-finite floats converted."""
    if isinstance(value, dict):
        return {key: _any(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_any(item) for item in value]
    if type(value) is int:
        return _int(value)
    return _STRINGS_TO_FLOATS.get(value, value) if isinstance(value, str) else value


def _floats_to_strings(value: object) -> object:
    """The inverse of `_any`: non-finite floats become strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _floats_to_strings(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_floats_to_strings(item) for item in value]
    return value


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "float": _float,
    "float | None": _or_none(_float),
    "int": _int,
    "int | None": _or_none(_int),
    "str": _str,
    "str | None": _or_none(_str),
    "Variant": _variant,
    "EndState": _end_state,
    "list[float]": _list(_float),
    "list[int]": _list(_int),
    "list[list[float]]": _list(_list(_float)),
    "Time": _time,
    "Mapping[str, int]": _by_variant(_int),
    "Mapping[str, int] | None": _or_none(_by_variant(_int)),
    "Mapping[str, Any]": _mapping(_any),
    "Mapping[str, Any] | None": _or_none(_mapping(_any)),
    "Mappings": _by_variant(_mapping(_any)),
}

_Plan: TypeAlias = tuple[Callable[..., Record], list[tuple[str, Callable[[Any], Any], Any]]]


def _plan(cls: type[Record]) -> _Plan:
    # A missing field gets its default only if that is None. The default of schema_version is for
    # writing: a line without one does not say how to read it.
    def default(field: dataclasses.Field[Any]) -> Any:
        return None if field.default is None else _MISSING

    fields = dataclasses.fields(cls)
    return _maker(cls), [
        (field.name, _CONVERT[cast(str, field.type)], default(field)) for field in fields
    ]


def _maker(cls: type[Record]) -> Callable[..., Record]:
    """A positional constructor, four times as fast as that of the frozen dataclass.

    A frozen `__init__` sets each field with `object.__setattr__`, which costs as much as parsing
    the JSON. Instead, a mutable class with the same slots is filled, and its `__class__` replaced.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    twin = dataclasses.make_dataclass(f"_{cls.__name__}", names, slots=True)

    def make(*values: Any) -> Record:
        record = twin(*values)
        record.__class__ = cls
        return cast(Record, record)

    return make


_CLASSES: tuple[type[Record], ...] = (
    StartRecord,
    TrainRecord,
    EvalRecord,
    SampleRecord,
    RoutingRecord,
    CheckpointRecord,
    ResumeRecord,
    EndRecord,
)
_FIELDS = {cls: tuple(field.name for field in dataclasses.fields(cls)) for cls in _CLASSES}
_PLANS: dict[str, _Plan] = {cls.kind: _plan(cls) for cls in _CLASSES}
