"""Writes tensors as a safetensors file, one after the other.

The file is the same as that of `safetensors.torch.save`, which makes the whole of it in memory. For
that it holds Python's lock, half a second per 0.7 GB, in which a training beside it stands still.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
}
"""In the order in which they are written, so that every number is aligned."""
_ALIGNMENT = 8
"""Of the length of the header, in bytes."""
_BUFFER = 1 << 20
"""Bytes that are collected before a write: a tiny model takes one."""


def write(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Write floating-point tensors to a new file, not synced to disk; returns what meta.json
    records of it, its size in bytes and its sha256.

    Raises:
        OSError: it cannot be written; a part of it may be there.
    """
    assert sys.byteorder == "little", "safetensors files are little-endian"
    order = [*_NAMES]
    names = sorted(tensors, key=lambda name: (order.index(tensors[name].dtype), name))
    digest, size = hashlib.sha256(), 0
    with open(path, "xb", buffering=_BUFFER) as file:
        for piece in chain([_header(names, tensors)], (_numbers(tensors[name]) for name in names)):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _header(names: Sequence[str], tensors: Mapping[str, Tensor]) -> memoryview:
    """Its own length, then the type, shape and place of each tensor as JSON."""
    begin, entries = 0, {}
    for name in names:
        shape, kind = [*tensors[name].shape], tensors[name].dtype
        end = begin + math.prod(shape) * kind.itemsize
        entries[name] = {"dtype": _NAMES[kind], "shape": shape, "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return memoryview(len(text).to_bytes(8, "little") + text)


def _numbers(tensor: Tensor) -> memoryview:
    """The bytes of a tensor on any device, of which only this one is copied."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
