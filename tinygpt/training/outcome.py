"""How a session of training ended: state, reason, and the results of each variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tinygpt.overfitting import overfitting
from tinygpt.training.evaluation import perplexity
from tinygpt.training.learner import Learner
from tinygpt.training.text_units import TextUnits


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `Loop.run` returns."""

    state: Literal["done", "stopped", "failed"]
    reason: str
    error: str | None
    models: dict[str, dict[str, Any]]
    """`summary` of each variant."""
    trace: str | None = None
    """Traceback of an unexpected exception."""


def summary(learner: Learner, units: TextUnits, val_tokens: int | None = None) -> dict[str, Any]:
    """Results of one variant, as the final table and ``--json`` show them.

    `val_tokens` is the size of the sample that its evaluations were of, None if they were of the
    whole validation split; `units` are those of the tokens that were evaluated last.
    """
    progress = learner.progress
    total, active = learner.model.parameter_counts()
    overfit = overfitting(learner.evaluations)
    numbers: dict[str, Any] = {
        "step": progress.step,
        "tokens": progress.tokens,
        "train_seconds": progress.train_seconds,
        "wall_seconds": progress.wall_seconds,
        "val_loss": progress.val_loss,
        "best_val_loss": progress.best_val_loss,
        "overfitting_since": overfit.step if overfit else None,
        "perplexity": None if progress.val_loss is None else perplexity(progress.val_loss),
        "params_total": total,
        "params_active": active,
        "tokens_per_second": progress.tokens / max(progress.train_seconds, 1e-9),
        "seconds_to_target": progress.seconds_to_target,
        **(_whole(learner, val_tokens) if val_tokens else {}),
    }
    if (loss := numbers["val_loss"]) is not None:
        numbers |= {
            "bits_per_byte": units.bits_per_byte(loss),
            "nats_per_char": units.nats_per_character(loss),
        }
    if test := learner.test:
        numbers |= {"test_loss": test.last, "best_test_loss": test.best}
    if learner.model.config.moe:
        numbers["expert_load"] = progress.expert_load
    return numbers


def _whole(learner: Learner, val_tokens: int) -> dict[str, Any]:
    """The losses over the whole split where they are known, and those over the sample."""
    progress, whole = learner.progress, learner.whole
    numbers: dict[str, Any] = {
        "val_tokens": val_tokens,
        "val_loss_over": "whole split" if whole else "sample",
        "sampled_val_loss": progress.val_loss,
        "sampled_best_val_loss": progress.best_val_loss,
    }
    if whole:
        replaced = {"val_loss": whole.last, "best_val_loss": whole.best}
        numbers |= {**replaced, "perplexity": perplexity(whole.last)}
    return numbers
