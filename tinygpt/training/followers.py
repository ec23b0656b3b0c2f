"""How the processes of a resumed training come to have what the first one has read of the run.

The others may be on another machine, without the run directory. The first one sends them the
settings and the tokenizer, and then, variant by variant, all tensors of its checkpoint. They find
the corpus themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinygpt.checkpoint import Snapshot
from tinygpt.config import RunConfig, build, flatten
from tinygpt.data.corpus import Corpus, find_corpus
from tinygpt.data.encoding import Encoded, encode
from tinygpt.data.scan import Report
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.data.tokenizer_file import tokenizer_of
from tinygpt.data.vocabulary import named_tokenizer
from tinygpt.errors import CorpusError
from tinygpt.run import ResumeRecord
from tinygpt.training.disk_plan import plan
from tinygpt.training.learner import Learner
from tinygpt.training.session import Session, assemble, choose_devices, make_learners
from tinygpt.training.silent_writer import SilentWriter
from tinygpt.world import World


def tell(
    world: World,
    path: Path,
    *,
    config: RunConfig,
    corpora: Sequence[Corpus],
    tokenizer: Tokenizer,
    learners: Sequence[Learner],
    first: ResumeRecord,
) -> None:
    """Send the other processes what `follow` needs of a resumed run; returns when they have it."""
    if world.size == 1:
        return
    described: dict[str, Any] = {
        "path": str(path),
        "config": flatten(config),
        "data": [corpus.path for corpus in corpora],
        "sha256": [corpus.sha256 for corpus in corpora],
        "tokenizer": tokenizer.to_json(),
        "first": asdict(first),
    }
    world.agree(described)
    for learner in learners:
        snapshot = learner.snapshot()
        parts = {"weights": snapshot.weights, "training": snapshot.training}
        world.agree(
            {
                "step": snapshot.step,
                "tokens": snapshot.tokens,
                "pending": snapshot.pending,
                "progress": snapshot.progress,
                "warm_from": learner.warm_from,
                **{name: _shapes(part) for name, part in parts.items()},
            }
        )
        for part in parts.values():
            world.broadcast(list(part.values()))


def follow(world: World, report: Report) -> Session:
    """The session of a process that is not the first one, of a run that this has resumed.

    Raises:
        CorpusError: the corpus is not here, or is not the run's.
    """
    told: dict[str, Any] = world.agree({})
    config = build(told["config"], preset_applies=False)
    tokenizer = tokenizer_of(told["tokenizer"])
    corpora = [
        _corpus(name, path, sha256, config)
        for name, path, sha256 in zip(
            (config.data, config.val_data), told["data"], told["sha256"], strict=False
        )
    ]
    encoded: Encoded = encode(tokenizer, corpora, config.shares, report)
    learners = make_learners(config, tokenizer, choose_devices(config, world), world)
    for learner in learners:
        _restore(learner, world)
    return assemble(
        SilentWriter(Path(told["path"])),
        config,
        ResumeRecord(**told["first"]),
        corpus=corpora[0],
        encoded=encoded,
        learners=learners,
        kept=plan(config, learners),
        world=world,
    )


def _restore(learner: Learner, world: World) -> None:
    told: dict[str, Any] = world.agree({})
    parts = {name: _room(told[name], learner.device) for name in ("weights", "training")}
    for part in parts.values():
        world.broadcast(list(part.values()))
    learner.warm_from = told["warm_from"]
    learner.restore(
        Snapshot(
            variant=learner.variant,
            step=told["step"],
            tokens=told["tokens"],
            val_loss=None,
            config=learner.model.config,
            weights=parts["weights"],
            training=parts["training"],
            progress=told["progress"],
            pending=told["pending"],
        )
    )


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    """What makes room for tensors: shape, type, and whether they are on the CPU."""
    return {
        name: [list(tensor.shape), str(tensor.dtype).removeprefix("torch."), tensor.is_cpu]
        for name, tensor in tensors.items()
    }


def _room(shapes: Mapping[str, list[Any]], device: str) -> dict[str, Tensor]:
    return {
        name: torch.empty(shape, dtype=getattr(torch, kind), device="cpu" if on_cpu else device)
        for name, (shape, kind, on_cpu) in shapes.items()
    }


def _corpus(name: str | None, path: str | None, sha256: str, config: RunConfig) -> Corpus:
    """The corpus of the run, as found on this machine."""
    corpus = find_corpus(
        path or name or "auto", config.data_field, named_tokenizer(config.tokenizer)
    )
    if corpus.sha256 != sha256:
        raise CorpusError(
            f"{corpus.source} is not the text of the run on this machine: its sha256 is "
            f"{corpus.sha256}, not {sha256}"
        )
    return corpus
