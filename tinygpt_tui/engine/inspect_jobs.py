"""Inspections, surveys and ablations as the worker runs them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinygpt.analysis import ablation, heads
from tinygpt.analysis.inspection import inspect_tokens, longest_window, window_start
from tinygpt.analysis.survey import SAMPLE_TOKENS, Surveyor, window_starts
from tinygpt.checkpoint import Checkpoint
from tinygpt.data.tokenizer import Ids, Tokenizer
from tinygpt.errors import TinyGPTError, TokenizerError
from tinygpt_tui.engine.protocol import (
    AblationRequest,
    AblationResult,
    Example,
    InspectRequest,
    InspectResult,
    SurveyRequest,
    SurveyResult,
)

EXAMPLE_CONTEXT = 12
"""Characters of an example before and after its token."""


@dataclass(frozen=True, slots=True)
class CorpusFound:
    """The text for a survey or ablations, or why it could not be loaded."""

    request: SurveyRequest | AblationRequest
    name: str
    """Of the corpus."""
    text: str | TinyGPTError
    """Its validation split, or the first part of a large one."""


def inspect(request: InspectRequest, checkpoint: Checkpoint) -> InspectResult:
    """Run one forward pass over a window of the text.

    Raises:
        TinyGPTError: the text is empty or has a character outside the model's vocabulary.
    """
    context = checkpoint.model.config.context
    ids = checkpoint.tokenizer.encode(request.text)
    at = None if request.character is None else token_at(checkpoint, ids, request.character)
    wanted = request.start if at is None else at - context // 2
    start = window_start(len(ids), context, wanted)
    window = ids[start : start + context]
    inspection = inspect_tokens(checkpoint.model, window)
    router, choice = inspection.router, inspection.expert
    return InspectResult(
        job=request.job,
        path=str(checkpoint.path),
        variant=checkpoint.variant,
        step=checkpoint.step,
        val_loss=checkpoint.val_loss,
        context=context,
        total=len(ids),
        start=start,
        at=at,
        texts=tuple(map(checkpoint.tokenizer.token_text, window)),
        attention=inspection.attention.numpy(),
        router=None if router is None else router.numpy(),
        choice=None if choice is None else choice.numpy().astype(np.int32),
        statistics=_arrays(heads.statistics(inspection.attention)),
    )


def token_at(checkpoint: Checkpoint, ids: Sequence[int], character: int) -> int:
    """The position of the token in which a character of a text begins; the last one after its
    end."""
    begun = 0
    for place, index in enumerate(ids):
        begun += sum(byte & 0xC0 != 0x80 for byte in checkpoint.tokenizer.token_bytes(index))
        if begun > character:
            return place
    return len(ids) - 1


class SurveyJob:
    """A survey in progress.

    Raises:
        TinyGPTError: the text could not be loaded or has a character outside the model's
            vocabulary, or `final` has another shape.
    """

    def __init__(
        self, found: CorpusFound, checkpoint: Checkpoint, final: Checkpoint | None
    ) -> None:
        self.job = found.request.job
        self._checkpoint, self._corpus = checkpoint, found.name
        self._ids = token_ids(found, checkpoint.tokenizer)
        other = final.model if final else None
        self._surveyor = Surveyor(checkpoint.model, torch.from_numpy(self._ids), final=other)

    def step(self) -> bool:
        """Process one more window; returns False if none was left."""
        return self._surveyor.step()

    def result(self) -> SurveyResult:
        """Everything measured so far."""
        findings, checkpoint = self._surveyor.findings(), self._checkpoint
        routing, size = findings.routing, checkpoint.model.config.vocab_size
        agreement = None if routing is None else routing.agreement
        return SurveyResult(
            job=self.job,
            path=str(checkpoint.path),
            step=checkpoint.step,
            tokens=findings.tokens,
            corpus=self._corpus,
            statistics=_arrays(findings.statistics),
            uniform_baseline=findings.uniform_baseline,
            vocabulary=tuple(map(checkpoint.tokenizer.token_text, range(size))),
            expert_counts=None if routing is None else routing.expert_counts,
            top1_probability=() if routing is None else tuple(routing.top1_probability.tolist()),
            agreement=() if agreement is None else tuple(agreement.tolist()),
            examples={} if routing is None else self._examples(routing.examples),
        )

    def _examples(
        self, places: Mapping[tuple[int, int, int], tuple[int, ...]]
    ) -> dict[tuple[int, int, int], tuple[Example, ...]]:
        return {key: tuple(map(self._example, at)) for key, at in places.items()}

    def _example(self, place: int) -> Example:
        tokenizer, ids = self._checkpoint.tokenizer, self._ids
        return Example(
            tokenizer.decode(ids[max(0, place - EXAMPLE_CONTEXT) : place])[-EXAMPLE_CONTEXT:],
            tokenizer.token_text(int(ids[place])),
            tokenizer.decode(ids[place + 1 : place + 1 + EXAMPLE_CONTEXT])[:EXAMPLE_CONTEXT],
        )


class AblationJob:
    """Ablations in progress; raises what `SurveyJob` raises, also for a text of a single token."""

    def __init__(self, found: CorpusFound, checkpoint: Checkpoint) -> None:
        self.job = found.request.job
        self._checkpoint = checkpoint
        ids = torch.from_numpy(token_ids(found, checkpoint.tokenizer))
        if len(ids) < 2:
            raise TinyGPTError("the validation split is too short to measure a loss")
        size = 1 + min(longest_window(checkpoint.model.config), len(ids) - 1)
        starts = window_starts(len(ids), size, math.ceil(SAMPLE_TOKENS / (size - 1)))
        windows = torch.stack([ids[start : start + size] for start in starts])
        self._tokens = windows[:, 1:].numel()
        self._ablator = ablation.Ablator(checkpoint.model, windows)

    def step(self) -> bool:
        """Measure without one more part; returns False if none was left."""
        return self._ablator.step()

    def result(self) -> AblationResult:
        """By how much the loss rises without each part."""
        found = self._ablator.findings()
        return AblationResult(
            job=self.job,
            path=str(self._checkpoint.path),
            step=self._checkpoint.step,
            tokens=self._tokens,
            loss=found.loss,
            heads=found.heads - found.loss,
            experts=None if found.experts is None else found.experts - found.loss,
        )


def token_ids(found: CorpusFound, tokenizer: Tokenizer) -> Ids:
    """The token ids of the text.

    Raises:
        TinyGPTError: it could not be loaded, or is not of the corpus that the model was trained on.
    """
    if isinstance(found.text, TinyGPTError):
        raise found.text
    try:
        return tokenizer.encode_array(found.text)
    except TokenizerError as error:
        raise TokenizerError(f"the model was not trained on {found.name}: {error}") from error


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.float().numpy() for name, tensor in tensors.items()}
