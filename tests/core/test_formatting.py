"""Numbers as short text."""
# ruff: noqa: RUF001 - the signs are meant

import math

import pytest

from tinygpt import formatting

NAN, INF = math.nan, math.inf


def test_numbers() -> None:
    losses = [
        formatting.loss(x) for x in (1.59312, 9.9996, 65.012, 512.34, 123456, 0, INF, None, NAN)
    ]
    assert losses == ["1.593", "10.00", "65.01", "512.3", "123k", "0.000", "∞", "–", "–"]
    counts = [formatting.count(x) for x in (0, 987, 999.6, 12345, 1234567, 3.1e9, -2500, 1e30)]
    assert counts == ["0", "987", "1.00k", "12.3k", "1.23M", "3.10G", "-2.50k", "1.00e+30"]
    times = (0, 0.42, 42, 59.7, 187, 7500, 86400 * 3 + 4 * 3600, -42, None)
    assert [formatting.duration(x) for x in times] == [
        *("0s", "0.4s", "42s", "1:00", "3:07", "2h05", "3d04h", "-42s", "–")
    ]
    assert [formatting.percent(x) for x in (0, 0.032, 0.42, 1, NAN)] == [
        *("0%", "3.2%", "42%", "100%", "–")
    ]
    assert [formatting.loss(-0.0), formatting.percent(-0.0)] == ["0.000", "0%"]
    assert [formatting.rate(12345, "tok"), formatting.rate(None)] == ["12.3k tok/s", "–/s"]


@pytest.mark.parametrize("name", ["loss", "count", "rate", "duration", "percent"])
@pytest.mark.parametrize("value", [None, NAN, INF, -INF, -1.5, 0.0, 1e300])
def test_any_number_is_said(name: str, value: float | None) -> None:
    assert getattr(formatting, name)(value)
