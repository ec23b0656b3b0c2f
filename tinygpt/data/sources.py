"""What ``--data`` names: the files of a corpus.

A file, several separated by commas, a folder, or a pattern such as ``books/*.txt``. A folder stands
for the files of text and source code in it and in its folders, hidden ones left out.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator

from tinygpt.data.documents import COMPRESSED, KNOWN, missing
from tinygpt.errors import CorpusError
from tinygpt.files.paths import access_problem, user_path

_PROSE = "txt text md markdown rst tex org adoc srt html xml csv tsv jsonl ndjson"
_CODE = (
    "py pyi c h cc cpp cxx hh hpp cu cuh rs go java kt scala js mjs ts jsx tsx css scss vue rb php "
    "pl lua sh bash sql swift m cs fs hs ml r jl el lisp clj ex erl zig nim d f90 asm s vim tcl "
    "proto cmake json toml yaml yml ini"
)
TEXT = frozenset(f".{ending}" for ending in f"{_PROSE} {_CODE}".split(" "))
"""Endings of the files that a folder stands for, also before .gz or .zst."""
HUB = "hf:"
"""Begins the name of a Hugging Face dataset."""
_MAGIC = "*?["


def source_files(data: str) -> list[str]:
    """The paths of the files that `data` names, as they were named; those of a folder or a pattern
    in the order of their names.

    Raises:
        CorpusError: something named is not there, or a folder or pattern has no text.
    """
    found = [path for name in names(data) for path in _files(name)]
    return list(dict.fromkeys(found))


def names(data: str) -> list[str]:
    """`data` cut at its commas, unless it is itself the name of a file or folder."""
    if "," not in data or os.path.exists(user_path(data)):
        return [data]
    return [name for part in data.split(",") if (name := part.strip())]


def is_pattern(name: str) -> bool:
    """Whether a name stands for what a search finds: the files that match it, or a dataset."""
    return name.startswith(HUB) or any(sign in name for sign in _MAGIC)


def absolute(data: str) -> str:
    """`data` such that it names the same from any folder."""
    return ",".join(map(_absolute, names(data)))


def _absolute(name: str) -> str:
    if name in ("auto", *KNOWN, "-"):
        return name
    if not name.startswith(HUB):
        return os.path.abspath(user_path(name))
    place = user_path(name.removeprefix(HUB))
    return HUB + os.path.abspath(place) if os.path.exists(place) else name


def _files(name: str) -> list[str]:
    path = str(user_path(name))
    if os.path.isdir(path):
        found = list(_in_folder(path))
        if not found:
            why = access_problem(path) or "no files of text or source code, by their endings"
            raise CorpusError(f"--data {name} is a folder with {why}: name files or a pattern")
        return found
    if is_pattern(name) and not os.path.lexists(path):
        found = sorted(place for place in glob.glob(path, recursive=True) if os.path.isfile(place))
        if not found:
            raise CorpusError(f"--data {name} matches no file: name a text file or another pattern")
        return found
    if not os.path.lexists(path) and "\0" not in path and access_problem(path) is None:
        raise missing(name)
    return [name]


def _in_folder(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and _is_text(name) and os.path.isfile(f"{parent}/{name}"):
                yield os.path.join(parent, name)


def _is_text(name: str) -> bool:
    plain, ending = os.path.splitext(name.lower())
    return (os.path.splitext(plain)[1] if ending in COMPRESSED else ending) in TEXT
