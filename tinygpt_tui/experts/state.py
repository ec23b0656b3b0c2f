"""What the Experts tab shows, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tinygpt.run import RoutingRecord
from tinygpt_tui.engine.protocol import AblationResult
from tinygpt_tui.engine.results import RoutedText, RoutingSurvey
from tinygpt_tui.engine.session import Timeline

View: TypeAlias = Literal["load", "text", "table"]
VIEWS: tuple[View, ...] = ("load", "text", "table")
Order: TypeAlias = Literal["lift", "count", "name"]
ORDERS: tuple[Order, ...] = ("lift", "count", "name")


@dataclass(frozen=True)
class Sorting:
    """How the table of lifts is sorted and scrolled."""

    classes: bool = False
    """One row per class of characters instead of one per character."""
    order: Order = "lift"
    expert: int = 0
    """The selected expert: its lift or count sorts the rows, and where not all experts fit, those
    around it are shown."""
    top: int = 0
    """First visible row."""


@dataclass(frozen=True)
class ExpertsState:
    """Everything that the Experts tab shows."""

    view: View = "load"
    layer: int = 0
    cursor: int = 0
    """Index of a token in the visible window of the text."""
    digits: bool = False
    """Whether each character of the text has its expert's number below it."""
    sorting: Sorting = field(default_factory=Sorting)
    routings: Sequence[RoutingRecord] = field(default=(), repr=False)
    """One per evaluation, in order of steps."""
    timeline: Timeline = field(default_factory=Timeline)
    """Of the MoE's checkpoints."""
    routed_text: RoutedText | None = None
    survey: RoutingSurvey | None = None
    ablations: AblationResult | None = None
    """Of the selected checkpoint, if they were measured."""
    source: str = ""
    """Where the text came from."""
    inspecting: bool = False
    """Whether the engine is routing the text."""
    surveying: bool = False
    """Whether the engine is computing the survey."""
    ablating: bool = False
    """Whether the engine is measuring the loss without single parts."""
    empty_reason: str = ""
    """Why the tab is empty, if it is."""
    note: str = ""
    """A sentence about the last key, shown at the bottom."""
    inspect_problem: str = ""
    """Why the text could not be routed."""
    survey_problem: str = ""
    """Why there is no survey."""
    ablation_problem: str = ""
    """Why the loss without each expert could not be measured."""

    @property
    def steps(self) -> tuple[int, ...]:
        """The MoE's checkpoints, ascending."""
        return self.timeline.steps

    @property
    def at(self) -> int | None:
        """Step of the selected checkpoint."""
        return self.timeline.step

    @property
    def layers(self) -> int:
        """Layers of the MoE; 0 until they are known."""
        if self.routed_text:
            return self.routed_text.layers
        if self.survey:
            return self.survey.layers
        return len(self.routings[-1].load) if self.routings else 0

    @property
    def experts(self) -> int:
        """Experts of a layer; 0 until they are known."""
        if self.routed_text:
            return self.routed_text.experts
        if self.survey:
            return self.survey.experts
        return len(self.routings[-1].load[0]) if self.routings else 0
