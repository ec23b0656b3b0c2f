"""The time until the planned end of the open run."""

from __future__ import annotations

from tinygpt.run import pace
from tinygpt_tui.monitor.history import History, VariantHistory
from tinygpt_tui.train.state import TrainState


def seconds_left(state: TrainState, variant: VariantHistory) -> float | None:
    """Seconds to the planned end at the current speed of all variants together; None if the run or
    this variant has ended, or before the training itself has measured its speed."""
    history, start = state.history, state.history.start
    ended = history.end or (state.run_state is not None and not state.run_state.active)
    if ended or not start or not variant.last or _ended_early(history, variant):
        return None
    ends = []
    if state.minutes:
        ends.append(60 * state.minutes - history.wall_seconds)
    if start.steps:
        by_steps = _seconds_of_steps(history, start.steps)
        if by_steps is None:
            return None
        ends.append(by_steps)
    return max(0.0, min(ends)) if ends else None


def _seconds_of_steps(history: History, planned: int) -> float | None:
    active = {n: v for n, v in history.variants.items() if not _ended_early(history, v)}
    paces = [
        pace.Pace(
            v.last.step if v.last else 0,
            pace.step_seconds(v.step.values, v.seconds.values, v.session_start),  # type: ignore[arg-type] # arrays are enough of a sequence
        )
        for v in active.values()
    ]
    evaluations = {name: v.evaluations for name, v in active.items()}
    return pace.seconds_left(planned, paces, pace.overhead(evaluations))


def _ended_early(history: History, variant: VariantHistory) -> bool:
    """Whether a variant takes no more steps while another one does: it has missed the other's last
    two records, and is not catching up after a resume either."""
    first = max(history.variants.values(), key=lambda v: v.last.step if v.last else 0)
    if not variant.last or not first.last or len(first.step.values) < 3:
        return False
    behind = variant.last.step < float(first.step.values[-3])
    return behind and variant.last.time < first.last.time
