"""Sessions of tiny models, trained in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch

from tests.helpers.models import TEXT
from tinygpt.config import build
from tinygpt.data.corpus import read_text
from tinygpt.run import CheckpointRecord, Record
from tinygpt.training import Loop, Outcome, Session, begin
from tinygpt.training.learner import Learner

SHAPE: dict[str, object] = {
    "gpt.layers": 2,
    "gpt.heads": 2,
    "gpt.width": 12,
    "gpt.context": 7,
    "gpt.dropout": 0.1,
    "optim.weight_decay": 0.1,
    "optim.weight_decay_power": 0.5,
    "train.batch": 5,
    "train.eval_every": 6,
    "train.checkpoint_every": 4,
    "train.sample_tokens": 3,
    "train.accumulate": 1,
    "steps": 13,
    "device": "cpu",
}
OVERFITS = "ab" * 540 + "aabb" * 30
"""Its validation split is unlike the rest: both variants overfit from their first evaluation on."""


def make_session(folder: Path, text: str = TEXT, /, **changes: object) -> Any:
    """A new run in `folder`; ``train__batch=3`` changes the setting train.batch."""
    path = folder / "corpus.txt"
    path.write_text(text)
    values = {**SHAPE, "data": str(path), **{k.replace("__", "."): v for k, v in changes.items()}}
    return begin(build(values), read_text(path), str(folder), "run", ["test"])


def make_overfitting(folder: Path, **changes: object) -> Any:
    """A new run on `OVERFITS`, of 60 steps and without samples."""
    return make_session(folder, OVERFITS, **{"steps": 60, "train__sample_tokens": 0, **changes})


def train_session(session: Session, **arguments: Any) -> Outcome:
    """Train to the end; `arguments` are those of `Loop`."""
    with session.writer:
        return Loop(session, **arguments).run()


def stop_at(step: int, session: Session) -> Callable[[], str | None]:
    """An `interrupted` of `Loop` that stops it after some steps."""
    return lambda: "SIGTERM" if session.learners[0].progress.step >= step else None


def spoil(learner: Learner, after: int) -> Callable[[Record], None]:
    """An `observe` that makes a variant worse after the evaluation at a step."""

    def observe(record: Record) -> None:
        if isinstance(record, CheckpointRecord) and record.step == after:
            with torch.no_grad():
                learner.model.head_weight.mul_(50)
            for group in (g for o in learner.optimizers for g in o.param_groups):
                group["peak"] = 0.0

    return observe


class Trained(Protocol):
    """Gives runs; see the fixtures of tests/core/training."""

    def __call__(
        self, step: int | None = None, *, make: Callable[..., Any] = make_session, **options: object
    ) -> Path:
        """The directory of a run that was stopped at this step, or that ended."""
