"""Errors that a user can cause."""

from tinygpt.errors import TinyGPTError


def test_errors_are_value_errors() -> None:
    assert issubclass(TinyGPTError, ValueError)
