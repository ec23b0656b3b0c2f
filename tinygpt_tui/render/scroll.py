"""Which part of a list is visible."""

from __future__ import annotations


def around(place: int, room: int, total: int) -> range:
    """The indices of up to `room` of `total` entries, with `place` in the middle if possible."""
    first = max(0, min(place - room // 2, total - room))
    return range(first, min(first + max(room, 0), total))
