"""The texts of a new run, as its settings name them."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tinygpt.config import RunConfig
from tinygpt.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from tinygpt.data.corpus import Corpus
    from tinygpt.data.scan import Report


def with_token_folder(config: RunConfig) -> RunConfig:
    """The settings with both files of a folder of token ids, if ``--data`` names one.

    Raises:
        ConfigError: another text for validation is named, too.
    """
    from tinygpt.data.token_files import token_folder  # noqa: PLC0415 - not for --help

    files = token_folder(config.data)
    if files is None:
        return config
    if config.val_data is not None:
        raise ConfigError(f"--val-data {config.val_data}: --data {config.data} has a val.bin")
    return dataclasses.replace(config, data=files[0], val_data=files[1])


def find_corpora(config: RunConfig, report: Report | None = None) -> tuple[Corpus, Corpus | None]:
    """The text to train on, and that for validation if it is another; a download shows a bar.

    Raises:
        TinyGPTError: one of them cannot be read, or the tokenizer of token ids.
    """
    from tinygpt.data.corpus import find_corpus  # noqa: PLC0415 - not for --help
    from tinygpt.data.scan import silent  # noqa: PLC0415
    from tinygpt.data.vocabulary import named_tokenizer  # noqa: PLC0415

    field, tokenizer = config.data_field, named_tokenizer(config.tokenizer)
    report = report or silent
    with ExitStack() as stack:
        bar: object = False
        if sys.stderr.isatty():
            from tinygpt.command.display import DownloadBar  # noqa: PLC0415 - it imports rich

            bar = stack.enter_context(DownloadBar())
        corpus = find_corpus(config.data, field, tokenizer, report=report, progress=bar)
    if config.val_data is None:
        return corpus, None
    try:
        return corpus, find_corpus(config.val_data, field, tokenizer, report=report)
    except CorpusError as error:
        raise CorpusError(str(error).replace("--data ", "--val-data ", 1)) from error
