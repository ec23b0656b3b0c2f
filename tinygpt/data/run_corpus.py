"""Finds the corpus of an existing run: the same bytes, wherever they are now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tinygpt.data.corpus import KNOWN, Corpus, find_corpus, read_text
from tinygpt.data.documents import FIELD
from tinygpt.data.token_files import is_token_file
from tinygpt.data.tokenizer_file import FILE, load_tokenizer
from tinygpt.errors import CorpusError
from tinygpt.files.paths import user_path


def find_run_corpus(
    run: Path, stored: Mapping[str, Any], data: str | None = None, *, validation: bool = False
) -> Corpus:
    """The text that the run was started with, checked by its sha256.

    Args:
        run: the run directory.
        stored: its settings, as in run.toml.
        validation: whether the text for validation is meant, which is another.
        data: where the text is, as ``--data`` takes it. By default it is looked for at the stored
            path; then in the run's folder, in the folder of the runs and in the current folder,
            under its name, or under any name if the size is the same; a known corpus also as a new
            run would find it.

    Raises:
        CorpusError: it is at none of these places, or `data` is another text.
    """
    if validation:
        stored = _of_validation(stored)
    recorded, flag = _recorded(stored), "--val-data" if validation else "--data"
    sha256, field = recorded.get("sha256"), _field(stored)
    tokenizer = partial(load_tokenizer, run / FILE)
    if data is not None:
        corpus = find_corpus(data, field, tokenizer() if is_token_file(data) else None)
        if corpus.sha256 != sha256:
            raise CorpusError(
                f"{flag} {data} is not the text of {run}: it has the sha256 "
                f"{corpus.sha256[:12]}…, but the run was started with {str(sha256)[:12]}…"
            )
        return corpus
    paths = _stored_paths(stored, recorded)
    seen = set()
    for place in (*paths, *map(os.path.abspath, _places(run, paths, recorded.get("bytes")))):
        if place not in seen:
            seen.add(place)
            with suppress(CorpusError):
                corpus = read_text(place, field, tokenizer() if is_token_file(place) else None)
                if corpus.sha256 == sha256:
                    return corpus
    if recorded.get("name") in KNOWN:
        corpus = find_corpus(str(recorded["name"]))
        if corpus.sha256 == sha256:
            return corpus
    raise CorpusError(_not_found(run, paths, recorded, flag, field))


def probable_place(run: Path, stored: Mapping[str, Any]) -> str:
    """Where the text of a run probably is, as ``--data`` takes it: the first of the places of
    `find_run_corpus` with a file of its name and size. No file is read."""
    recorded = _recorded(stored)
    size = recorded.get("bytes")
    for place in _places(run, _stored_paths(stored, recorded), None):
        if os.path.isfile(place) and size in (None, os.path.getsize(place)):
            return os.path.abspath(place)
    return str(stored.get("data", "auto"))


def validation_source(stored: Mapping[str, Any]) -> str | None:
    """The text for validation, as ``--val-data`` takes it; None if it is a share of the corpus."""
    named = stored.get("val_data")
    return named if isinstance(named, str) else None


def _of_validation(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run, with what they say of the text for validation in the place of what
    they say of the corpus."""
    recorded = {
        name.removeprefix("val_"): value
        for name, value in _recorded(stored).items()
        if name.startswith("val_")
    }
    return {**stored, "data": validation_source(stored), "corpus": recorded}


def _field(stored: Mapping[str, Any]) -> str:
    found = stored.get("data_field")
    return found if isinstance(found, str) else FIELD


def _recorded(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """What run.toml records of the corpus."""
    recorded = stored.get("corpus")
    return recorded if isinstance(recorded, Mapping) else {}


def _stored_paths(stored: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Where run.toml says that the text is; empty for a corpus that is known by name."""
    named = (stored.get("data"), recorded.get("path"))
    return [path for path in named if isinstance(path, str) and path not in ("auto", *KNOWN)]


def _places(run: Path, paths: list[str], size: object) -> Iterator[Path]:
    """Where the text may be, the most probable first; `size` in bytes, if it was recorded."""
    expanded = [user_path(path) for path in paths]
    yield from expanded
    # Runs of earlier versions have the path relative to the folder in which they were started,
    # which is usually that of the folder of runs.
    own = run.absolute()
    yield from (own.parent.parent / path for path in expanded)
    folders = dict.fromkeys((own, own.parent, Path.cwd()))
    for folder in folders:
        yield from (folder / path.name for path in expanded)
    if isinstance(size, int):
        for folder in folders:
            yield from _of_size(folder, size)


def _of_size(folder: Path, size: int) -> Iterator[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file() and entry.stat().st_size == size:
                yield Path(entry.path)


def _not_found(
    run: Path, paths: list[str], recorded: Mapping[str, Any], flag: str, field: str
) -> str:
    sha256 = recorded.get("sha256")
    remedy = f"name its file with --resume {flag} PATH (sha256 {str(sha256)[:12]}…)"
    for path in paths:
        with suppress(CorpusError):
            changed = read_text(path, field).sha256[:12]
            return f"the corpus of {run} has changed: {path} has the sha256 {changed}…; {remedy}"
    where = f"at {paths[0]}, beside the run" if paths else "beside the run"
    return f"the corpus of {run} is neither {where} nor in this folder: {remedy}"
