"""Datasets of Hugging Face, by the optional package `datasets`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from tinygpt.data.documents import Chunk
from tinygpt.data.sources import HUB
from tinygpt.errors import CorpusError, first_line

ROWS = 1000
"""Rows that are read at a time."""


def open_dataset(data: str, field: str) -> tuple[Callable[[], Iterator[Chunk]], list[str]]:
    """A function that reads the texts of a dataset, each a document, and the files they are in.

    Args:
        data: ``hf:`` and a name on the Hub, whose training split is meant, or a local path.
        field: the column of the text.

    Raises:
        CorpusError: the package is missing, or the dataset cannot be loaded, or has no such column.
    """
    try:
        import datasets  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        msg = f"--data {data} needs another package: pip install 'tinygpt-tui[datasets]'"
        raise CorpusError(msg) from error
    datasets.disable_progress_bars()
    name = data.removeprefix(HUB)
    try:
        found = _load(datasets, name)
    except Exception as error:  # the library raises many kinds
        msg = f"--data {data} cannot be loaded ({first_line(error)}): name a dataset or its folder"
        raise CorpusError(msg) from error
    if field not in found.column_names:
        columns = ", ".join(found.column_names)
        msg = f"--data {data} has no column {field!r}: name one of {columns} with --data-field"
        raise CorpusError(msg)
    texts = found.select_columns([field])

    def chunks() -> Iterator[Chunk]:
        for rows in texts.iter(batch_size=ROWS):
            for text in rows[field]:
                if not isinstance(text, str):
                    msg = f"--data {data}: the column {field!r} has a row that is no text"
                    raise CorpusError(f"{msg}: name another with --data-field")
                if text:
                    yield Chunk(text, ends=True)

    return chunks, [entry["filename"] for entry in found.cache_files]


def _load(datasets: Any, name: str) -> Any:
    """The training split."""
    saved = any(
        os.path.isfile(os.path.join(name, file)) for file in ("state.json", "dataset_dict.json")
    )
    if not saved:
        return datasets.load_dataset(name, split="train")
    found = datasets.load_from_disk(name)
    return found["train"] if isinstance(found, datasets.DatasetDict) else found
