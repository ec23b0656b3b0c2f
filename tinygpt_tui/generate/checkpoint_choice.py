"""Which checkpoint of each model generates: the best, the newest, or one chosen by its step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tinygpt.run import VARIANTS, CheckpointList
from tinygpt.run.checkpoints import Name
from tinygpt_tui.engine.protocol import Request
from tinygpt_tui.engine.session import EngineSession, Timeline


class CheckpointChoice(EngineSession):
    """The selected models, and the checkpoint of each that generates."""

    def __init__(self, ask: Callable[[Request], None], new_job: Callable[[], int]) -> None:
        super().__init__(ask, new_job)
        self.models = "both"
        self.timelines: dict[str, Timeline] = {}
        """By variant: its checkpoints, and the one that generates."""

    def open(self, run: Path | None) -> None:
        """Use another run's models."""
        super().open(run)
        self.timelines = {}

    @property
    def variants(self) -> list[str]:
        """The selected variants that have a checkpoint; if none of them has, all that have one."""
        available = self.available_variants
        return [v for v in available if self.models in (v, "both")] or available

    def next_models(self) -> str:
        """Switch between both models, Dense and MoE; returns which are selected."""
        order = ("both", *VARIANTS)
        self.models = order[(order.index(self.models) + 1) % len(order)]
        return self.models

    def update_checkpoints(self, checkpoints: Mapping[str, CheckpointList]) -> bool:
        """Use the run's checkpoints as they are listed now; returns whether they changed."""
        changed = self.list_checkpoints(checkpoints)
        self.timelines = {
            v: self.timelines.get(v, Timeline()).listed(c) for v, c in self.checkpoints.items()
        }
        return changed

    def swapped_since(self, before: Mapping[str, Timeline]) -> bool:
        """Whether other checkpoints generate because the run has ended or was resumed."""
        return any(t.swapped_since(before[v]) for v, t in self.timelines.items() if v in before)

    def path(self, variant: str) -> str:
        """The directory of the checkpoint of a variant that generates."""
        step = self.timelines[variant].step
        assert step is not None
        return self.checkpoint(variant, step)

    def choose(self, choice: Name | tuple[str, int]) -> None:
        """Choose the best or the newest of each model, or the checkpoint of a step of one model."""
        if isinstance(choice, str):
            self.timelines = {v: t.selected(choice) for v, t in self.timelines.items()}
            return
        variant, step = choice
        self.timelines = {**self.timelines, variant: self.timelines[variant].selected(step)}

    def toggle_best(self) -> bool:
        """Switch between the best and the newest of each model, or after a step return to what is
        used by default; returns whether another checkpoint generates now."""
        before = self.timelines
        by_default = all(t.chosen is None for t in before.values())
        self.timelines = {
            v: t.toggled() if by_default else t.selected(None) for v, t in before.items()
        }
        return any(before[v].step != self.timelines[v].step for v in self.variants)

    def move_step(self, by: int) -> bool:
        """Select the checkpoint of each selected model that is `by` places later; returns whether
        another one generates now."""
        before = self.timelines
        moved = {v: before[v].moved(by) for v in self.variants}
        self.timelines = {**before, **moved}
        return any(before[v].step != t.step for v, t in moved.items())

    def take_note(self) -> str:
        """Why another checkpoint than the best or the newest generates; once."""
        notes = (self.note_once(v, self.timelines[v].chosen) for v in self.variants)
        return next(filter(None, notes), "")
