"""What the worker says of a text and of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike
from torch import Tensor

from tinygpt.analysis import heads
from tinygpt.analysis.inspection import inspect_tokens, surprisal, window_start
from tinygpt.analysis.survey import Surveyor
from tinygpt.checkpoint import Checkpoint
from tinygpt.data.corpus import Corpus, split
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.errors import TinyGPTError, TokenizerError
from tinygpt_tui.engine.protocol import (
    Example,
    InspectRequest,
    InspectResult,
    SurveyRequest,
    SurveyResult,
)

AROUND = 12
"""Characters of an example on each side."""


@dataclass(frozen=True, slots=True)
class Found:
    """The corpus that a survey waited for, or why there is none."""

    asked: SurveyRequest
    corpus: Corpus | TinyGPTError


def look(asked: InspectRequest, checkpoint: Checkpoint) -> InspectResult:
    """Look inside one pass.

    Raises:
        TinyGPTError: the text is empty, or has a character that the model does not know.
    """
    config = checkpoint.model.config
    ids = checkpoint.tokenizer.encode(asked.text)
    start = window_start(len(ids), config.context, asked.start)
    window = ids[start : start + config.context]
    found = inspect_tokens(checkpoint.model, window)
    return InspectResult(
        job=asked.job,
        path=str(checkpoint.path),
        variant=checkpoint.variant,
        step=checkpoint.step,
        val_loss=checkpoint.val_loss,
        context=config.context,
        layers=config.layers,
        heads=config.heads,
        experts=config.moe.experts if config.moe else 0,
        total=len(ids),
        start=start,
        texts=tuple(checkpoint.tokenizer.decode([token]) for token in window),
        attention=raw(found.attention),
        router=raw(found.router),
        choice=raw(found.expert, np.int32),
        surprisal=raw(surprisal(found.logits, window)),
        statistics=all_raw(heads.statistics(found.attention)),
    )


class SurveyJob:
    """A survey on its way.

    Raises:
        TinyGPTError: the corpus has a character that the model does not know, or `final` another
            shape.
    """

    def __init__(
        self, asked: SurveyRequest, checkpoint: Checkpoint, corpus: Corpus, final: Checkpoint | None
    ) -> None:
        self.job = asked.job
        self._checkpoint, self._corpus = checkpoint, corpus
        self._ids = validation_ids(corpus, checkpoint.tokenizer)
        other = final.model if final else None
        self._surveyor = Surveyor(checkpoint.model, self._ids, final=other)

    def step(self) -> bool:
        """Look at one more window; whether there was one."""
        return self._surveyor.step()

    def told(self) -> SurveyResult:
        """What was found."""
        found, checkpoint = self._surveyor.findings(), self._checkpoint
        config, routing = checkpoint.model.config, found.routing
        vocabulary = tuple(checkpoint.tokenizer.decode([i]) for i in range(config.vocab_size))
        agreement = None if routing is None else routing.agreement
        return SurveyResult(
            job=self.job,
            path=str(checkpoint.path),
            variant=checkpoint.variant,
            step=checkpoint.step,
            val_loss=checkpoint.val_loss,
            tokens=found.tokens,
            corpus=self._corpus.name,
            layers=config.layers,
            heads=config.heads,
            experts=config.moe.experts if config.moe else 0,
            statistics=all_raw(found.statistics),
            uniform_baseline=found.uniform_baseline,
            vocabulary=vocabulary,
            expert_counts=b"" if routing is None else routing.expert_counts.tobytes(),
            pairs=b"" if routing is None else routing.pairs.tobytes(),
            top1_probability=() if routing is None else tuple(routing.top1_probability.tolist()),
            agreement=() if agreement is None else tuple(agreement.tolist()),
            examples={} if routing is None else self._examples(routing.examples),
        )

    def _examples(
        self, places: Mapping[tuple[int, int, int], tuple[int, ...]]
    ) -> dict[str, tuple[Example, ...]]:
        return {
            " ".join(map(str, key)): tuple(self._example(place) for place in found)
            for key, found in places.items()
        }

    def _example(self, place: int) -> Example:
        decode, ids = self._checkpoint.tokenizer.decode, self._ids
        return Example(
            decode(ids[max(0, place - AROUND) : place]),
            decode(ids[place : place + 1]),
            decode(ids[place + 1 : place + 1 + AROUND]),
        )


def validation_ids(corpus: Corpus, tokenizer: Tokenizer) -> list[int]:
    """The validation split as the model reads it.

    Raises:
        TokenizerError: it is another text than the model's.
    """
    try:
        return tokenizer.encode(split(corpus.text)[1])
    except TokenizerError as error:
        raise TokenizerError(f"{corpus.name} is not what was trained on: {error}") from error


def raw(values: Tensor | None, kind: DTypeLike = np.float32) -> bytes:
    """The numbers as they are sent; none where there are none."""
    return b"" if values is None else np.ascontiguousarray(values.numpy(), kind).tobytes()


def all_raw(values: Mapping[str, Tensor]) -> dict[str, bytes]:
    """`raw` of each."""
    return {name: raw(value) for name, value in values.items()}
