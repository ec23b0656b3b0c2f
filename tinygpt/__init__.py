"""Train, sample and inspect small GPTs, dense or with a mixture of experts.

Public names are imported on first use, so that ``import tinygpt`` is fast: torch takes a second.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tinygpt.analysis.inspection import Inspection, inspect_tokens
    from tinygpt.analysis.survey import Findings, Surveyor, survey_tokens
    from tinygpt.checkpoint import Checkpoint, load
    from tinygpt.config import RunConfig
    from tinygpt.data.characters import CharTokenizer
    from tinygpt.data.subword import BPETokenizer, WordPieceTokenizer
    from tinygpt.errors import TinyGPTError
    from tinygpt.generation.decoding import TokenEvent, generate, stream, stream_many
    from tinygpt.generation.filters import filter_logits
    from tinygpt.generation.params import SamplingParams
    from tinygpt.model.gpt import GPT
    from tinygpt.model_config import ModelConfig, MoEConfig
    from tinygpt.run.metrics import read_metrics

_MODULE_OF = {
    "Checkpoint": "checkpoint",
    "load": "checkpoint",
    "ModelConfig": "model_config",
    "MoEConfig": "model_config",
    "RunConfig": "config",
    "SamplingParams": "generation.params",
    "TokenEvent": "generation.decoding",
    "filter_logits": "generation.filters",
    "generate": "generation.decoding",
    "stream": "generation.decoding",
    "stream_many": "generation.decoding",
    "TinyGPTError": "errors",
    "Inspection": "analysis.inspection",
    "inspect_tokens": "analysis.inspection",
    "Findings": "analysis.survey",
    "Surveyor": "analysis.survey",
    "survey_tokens": "analysis.survey",
    "GPT": "model.gpt",
    "CharTokenizer": "data.characters",
    "BPETokenizer": "data.subword",
    "WordPieceTokenizer": "data.subword",
    "read_metrics": "run.metrics",
}

__all__ = [
    "GPT",
    "BPETokenizer",
    "CharTokenizer",
    "Checkpoint",
    "Findings",
    "Inspection",
    "MoEConfig",
    "ModelConfig",
    "RunConfig",
    "SamplingParams",
    "Surveyor",
    "TinyGPTError",
    "TokenEvent",
    "WordPieceTokenizer",
    "filter_logits",
    "generate",
    "inspect_tokens",
    "load",
    "read_metrics",
    "stream",
    "stream_many",
    "survey_tokens",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'tinygpt' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tinygpt.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
