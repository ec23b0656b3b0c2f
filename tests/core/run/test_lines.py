"""Records to lines and back, and how damaged or hostile lines are handled."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.records import train
from tests.helpers.run_files import (
    RECORDS,
)
from tinygpt import run
from tinygpt.errors import RunError


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.kind))
def test_round_trip(record: run.Record) -> None:
    line = run.to_json(record)
    assert line.isascii()
    assert "\n" not in line
    assert list(json.loads(line))[:2] == ["kind", "time"]
    parsed = run.parse_record(line)
    assert type(parsed) is type(record)
    assert parsed == record
    assert run.parse_record(line.encode()) == record


def test_every_kind_is_tested() -> None:
    kinds = ["start", "train", "eval", "sample", "routing", "checkpoint", "resume", "end"]
    assert [record.kind for record in RECORDS] == kinds


def test_parsed_records_are_frozen() -> None:
    parsed = run.parse_record(run.to_json(train("dense", 1)))
    assert isinstance(parsed, run.TrainRecord)
    with pytest.raises(dataclasses.FrozenInstanceError):
        parsed.loss = 0.0  # type: ignore[misc]
    assert dataclasses.replace(parsed, step=2).step == 2


def no_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_round_trip_as_strict_json(value: float) -> None:
    line = run.to_json(train("dense", 1, loss=value))
    json.loads(line, parse_constant=no_constant)
    parsed = run.parse_record(line)
    assert isinstance(parsed, run.TrainRecord)
    assert parsed.loss == value or (math.isnan(parsed.loss) and math.isnan(value))


def test_whole_numbers_serve_as_floats_and_unknown_keys_are_ignored() -> None:
    data = json.loads(run.to_json(train("dense", 1))) | {"loss": 2, "new": [{}]}
    parsed = run.parse_record(json.dumps(data))
    assert parsed == train("dense", 1, loss=2.0)
    assert isinstance(parsed, run.TrainRecord)
    assert type(parsed.loss) is float


def test_unknown_kind_is_none() -> None:
    assert run.parse_record('{"kind": "gradient", "time": 1}') is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", 1.5),
        ("step", True),
        ("loss", "low"),
        ("loss", None),
        ("model", 3),
        ("loss", 10**400),
    ],
)
def test_wrong_types_name_the_field(key: str, value: object) -> None:
    data = json.loads(run.to_json(train("dense", 1))) | {key: value}
    with pytest.raises(RunError, match=f"{key} is missing or not valid"):
        run.parse_record(json.dumps(data))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.kind))
def test_missing_keys(record: run.Record) -> None:
    data = json.loads(run.to_json(record))
    optional = {"steps", "note", "error", "ends", "val_tokens", "data", "warm_from"}
    optional |= {"tokenizer", "processes", "bits_per_byte", "nats_per_char"}
    optional |= set() if record.kind == "eval" else {"val_loss"}
    for key in data:
        line = json.dumps({name: value for name, value in data.items() if name != key})
        if key in optional:
            assert getattr(run.parse_record(line), key) is None
        else:
            with pytest.raises(RunError, match=key):
                run.parse_record(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "{} {}",
        '{"kind": 1}',
        '{"kind": ["train"]}',
        b"\xff",
        b"\0" * 9,
        "[" * 10**5,
    ],
)
def test_lines_that_are_no_records(line: str | bytes) -> None:
    with pytest.raises(RunError, match="cannot read the metrics record"):
        run.parse_record(line)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(RECORDS), st.data())
def test_any_value_in_any_field_reads_or_raises_run_error(record: run.Record, data: Any) -> None:
    values = json.loads(run.to_json(record))
    values[data.draw(st.sampled_from(sorted(values)))] = data.draw(json_values)
    line = json.dumps(values)
    try:
        parsed = run.parse_record(line)
    except RunError:
        return
    assert parsed is None or run.parse_record(run.to_json(parsed)) is not None
