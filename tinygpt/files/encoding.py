"""Says what bytes are that should have been UTF-8 text."""

from __future__ import annotations

import codecs

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SAMPLE = 4096
"""Bytes that are looked at, an even number."""


def wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32, as iconv names it, if `data` is text in it; else None.

    Found by the byte-order mark, which is not UTF-8. Without one, text in a Latin alphabet is
    found: every second byte of it is zero.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    sample = data[:_SAMPLE]
    for name, zeros, others in (
        ("UTF-16LE", sample[1::2], sample[::2]),
        ("UTF-16BE", sample[::2], sample[1::2]),
    ):
        if 2 * zeros.count(0) > len(zeros) and 0 not in others and _is_text(sample, name):
            return name
    return None


def _is_text(sample: bytes, encoding: str) -> bool:
    text = sample.decode(encoding, errors="replace")
    return "".join(text.split()).isprintable()


def encoding_problem(error: UnicodeDecodeError) -> str:
    """What bytes are that are not UTF-8, as the end of "... is"."""
    if encoding := wide_encoding(error.object):
        return f"{encoding} text"
    byte = error.object[error.start]
    return f"not UTF-8 text (invalid byte 0x{byte:02x} at byte {error.start:,})"
