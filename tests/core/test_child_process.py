"""The environment of Python processes that are started with this package's code."""

from pathlib import Path

import pytest

import tinygpt
from tinygpt.child_process import environment
from tinygpt.threads import SPIN_LIMITS


def test_a_child_finds_this_package_before_what_the_user_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = str(Path(tinygpt.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", "theirs")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    for name in SPIN_LIMITS:
        monkeypatch.delenv(name, raising=False)
    made = environment()
    assert made["PYTHONPATH"] == f"{here}:theirs"
    assert made["PYTHONIOENCODING"] == "utf-8"
    assert made.items() >= SPIN_LIMITS.items()
    monkeypatch.delenv("PYTHONPATH")
    assert environment()["PYTHONPATH"] == here
