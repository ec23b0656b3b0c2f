"""Which variant and which of its checkpoints the Attention tab shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tinygpt.run import VARIANTS, CheckpointList, Which
from tinygpt_tui.attention.state import next_name
from tinygpt_tui.engine.protocol import Request
from tinygpt_tui.engine.session import EngineSession, Timeline


class ModelSelection(EngineSession):
    """A variant of the open run and a place in the timeline of its checkpoints."""

    def __init__(self, ask: Callable[[Request], None], new_job: Callable[[], int]) -> None:
        super().__init__(ask, new_job)
        self.variant = VARIANTS[0]
        self.timeline = Timeline()
        """Of the variant's checkpoints."""

    def refresh(self) -> None:
        """Show what is selected, or request it."""
        raise NotImplementedError

    def open(self, run: Path | None) -> None:
        """Use another run."""
        super().open(run)
        self.timeline = Timeline()

    def update_checkpoints(self, checkpoints: Mapping[str, CheckpointList]) -> bool:
        """Use the run's checkpoints as they are listed now; returns whether they changed."""
        changed = self.list_checkpoints(checkpoints)
        available = self.available_variants
        if available and self.variant not in available:
            self.variant = available[0]
        self._update_timeline()
        return changed

    def _update_timeline(self) -> None:
        self.timeline = self.timeline.listed(self.checkpoints.get(self.variant, CheckpointList()))

    def switch_variant(self) -> bool:
        """Switch between Dense and MoE, to the nearest step. Returns False if there is only one."""
        available = self.available_variants
        if len(available) < 2:
            return False
        self.variant = next_name(self.variant, tuple(available))
        self._update_timeline()
        self.refresh()
        return True

    def show_checkpoint(self, which: Which | None) -> None:
        """Show the best or the newest checkpoint, or that of a step; None: the run's default."""
        self.timeline = self.timeline.selected(which)
        self.refresh()

    def take_note(self) -> str:
        """Why another checkpoint than the best or the newest is shown; once."""
        return self.note_once(self.variant, self.timeline.chosen)

    def toggle_best(self) -> None:
        """Switch between the best and the newest checkpoint."""
        self.timeline = self.timeline.toggled()
        self.refresh()

    def move_step(self, by: int) -> bool:
        """Show an earlier or later checkpoint. Returns False at the end of the timeline."""
        before, self.timeline = self.timeline, self.timeline.moved(by)
        self.refresh()
        return self.timeline != before

    def play(self) -> None:
        """Play from here (from the first checkpoint if none was chosen), or stop."""
        self.timeline = self.timeline.toggle_play()
        self.refresh()

    def stop(self) -> None:
        """Stop playing."""
        self.timeline = replace(self.timeline, playing=False)
