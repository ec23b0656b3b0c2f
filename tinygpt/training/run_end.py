"""The end of a run: why it is reached, and whether a resume has anything left to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygpt import formatting
from tinygpt.config import END_SETTINGS, RunConfig
from tinygpt.errors import RunError
from tinygpt.run.reader import last_end
from tinygpt.training.learner import Learner


def why_done(config: RunConfig, learners: Sequence[Learner], *, time_over: bool) -> str:
    """Why a run is done, for each variant that ran out of patience and for the others together."""
    early = {v.variant: note for v in learners if (note := out_of_patience(v))}
    others = [v for v in learners if v.variant not in early]
    reasons = [_why_finished(config, others, time_over=time_over)] if others else []
    return "; ".join([*reasons, *early.values()])


def out_of_patience(learner: Learner) -> str | None:
    """That a variant has ended early because it ran out of patience, in words; None if not."""
    if not learner.out_of_patience or learner.steps_taken or learner.on_target:
        return None
    return f"{learner.variant}: no better validation loss in {_patience_used(learner)}"


def _why_finished(config: RunConfig, learners: Sequence[Learner], *, time_over: bool) -> str:
    if config.target_loss and all(v.on_target for v in learners):
        return f"target loss of {config.target_loss:g} reached"
    if time_over and not _all_finished(learners):
        return f"time limit of {config.minutes:g} min reached"
    return f"{config.steps:,} steps"


def _patience_used(learner: Learner) -> str:
    """How many evaluations were not better than the best one, and which that is."""
    count, progress = learner.evaluations_since_best, learner.progress
    return (
        f"{count} evaluation{'s' if count > 1 else ''}, "
        f"best {formatting.loss(progress.best_val_loss)} at step {progress.best_step:,}"
    )


def refuse_reached_end(
    config: RunConfig, stored: Mapping[str, Any], learners: Sequence[Learner], path: Path
) -> None:
    """Raises RunError if there is nothing left to train.

    An end in `config` that differs from the `stored` one must not have been reached, or the planned
    end would be lost for nothing. If none differs, a run is refused that has its end record; one
    that lacks only that is not, as the resume writes it.
    """
    new = {n for n in END_SETTINGS if (getattr(config, n) or None) != (stored.get(n) or None)}
    problem = _reached_new_end(config, new, learners, path)
    end = last_end(path)
    if problem is None and end is not None and end.state == "done":
        problem = _reached_end(config, learners, path)
    if problem:
        raise RunError(problem)


def _reached_new_end(
    config: RunConfig, new: set[str], learners: Sequence[Learner], path: Path
) -> str | None:
    """Which of the `new` settings sets an end that has been reached, and what would be right."""
    step, seconds = _last_step(learners), _seconds(learners)
    steps = config.steps if "steps" in new else None
    # A variant that fell back to an older checkpoint may have to catch up with the other.
    if steps is not None and (step > steps or (step == steps and _all_finished(learners))):
        return (
            f"--steps {steps} is not more than the {step:,} steps that {path} has taken: "
            "set more, they count from the start of the run"
        )
    if "minutes" in new and config.minutes is not None and seconds >= 60 * config.minutes:
        return (
            f"--minutes {config.minutes:g} is not more than the {formatting.duration(seconds)} "
            f"that {path} has taken: set more, they count from the start of the run"
        )
    if "target_loss" in new and all(v.on_target for v in learners):
        losses = ", ".join(f"{v.variant} {v.progress.val_loss:.4f}" for v in learners)
        return (
            f"--target-loss {config.target_loss:g} has been reached by {path} ({losses}): "
            "set a lower one"
        )
    if "patience" in new and all(v.out_of_patience for v in learners):
        used = "; ".join(f"{v.variant}: {_patience_used(v)}" for v in learners)
        return (
            f"--patience {config.patience} is used up by {path} ({used}): "
            "set more, or 0 to train on without it"
        )
    return None


def _reached_end(config: RunConfig, learners: Sequence[Learner], path: Path) -> str | None:
    """Why a finished run has nothing left to train; None if an end was moved."""
    step = _last_step(learners)
    if config.minutes is not None and _seconds(learners) >= 60 * config.minutes:
        return f"{path} has reached its limit of {config.minutes:g} minutes: set more --minutes"
    if not _all_finished(learners):
        return None
    if config.steps is not None and step >= config.steps:
        return f"{path} finished at step {step}: set more steps, as --steps {2 * step}"
    if any(v.on_target for v in learners):
        return (
            f"{path} has reached --target-loss {config.target_loss:g} at step {step}: "
            "set a lower one"
        )
    return (
        f"{path} has used up --patience {config.patience} at step {step}: "
        "set more, or 0 to train on without it"
    )


def _all_finished(learners: Sequence[Learner]) -> bool:
    return all(v.finished for v in learners)


def _last_step(learners: Sequence[Learner]) -> int:
    """The step of the variant that is furthest."""
    return max(v.progress.step for v in learners)


def _seconds(learners: Sequence[Learner]) -> float:
    """The wall-clock time of the run so far."""
    return max(v.progress.wall_seconds for v in learners)
