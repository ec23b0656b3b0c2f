"""Reads and writes tokenizer.json, of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinygpt.data.characters import CharTokenizer
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.errors import TokenizerError
from tinygpt.files import atomic, safe_open

FILE = "tokenizer.json"
"""Its name, in a run and in Hugging Face's repositories."""


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer in the file `path`: of a run, or in Hugging Face's format.

    Raises:
        TokenizerError: the file, which it names, is missing or not a tokenizer that can be used.
    """
    data = _read(path)
    try:
        return _from_data(data)
    except TokenizerError as error:
        raise TokenizerError(f"{path} is not a tokenizer: {error}") from error


def tokenizer_of(text: str) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_json` describes."""
    return _from_data(json.loads(text))


def known_characters(path: str | Path) -> frozenset[str] | None:
    """The characters that the tokenizer in `path` can encode; None if it can encode all.

    Raises TokenizerError as `load_tokenizer`; but a file for all characters is not looked into.
    """
    data = _read(path)
    if isinstance(data, dict) and "model" in data:
        return None
    return frozenset(_char_tokenizer(data).characters)


def save_tokenizer(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write tokenizer.json atomically."""
    atomic.write_text(path, tokenizer.to_json())


def _read(path: str | Path) -> Any:
    try:
        return json.loads(safe_open.read_text(path))
    except OSError as error:
        raise TokenizerError(f"cannot read the tokenizer {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TokenizerError(
            f"{path} is not a tokenizer: it is not JSON in UTF-8 ({error})"
        ) from error


def _from_data(data: Any) -> Tokenizer:
    if isinstance(data, dict) and "model" in data:
        from tinygpt.data import subword  # noqa: PLC0415 - 20 ms to import

        return subword.from_description(data)
    return _char_tokenizer(data)


def _char_tokenizer(data: Any) -> CharTokenizer:
    if not isinstance(data, dict) or data.get("kind") != "char":
        kind = data.get("kind") if isinstance(data, dict) else None
        raise TokenizerError(
            f"its kind is {kind!r}: it is neither 'char' nor in Hugging Face's format"
        )
    characters = data.get("characters")
    if not isinstance(characters, list):
        raise TokenizerError("it has no list of characters")
    return CharTokenizer(characters, end_of_text=data.get("end_of_text") is True)
