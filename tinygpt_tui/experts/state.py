"""What the Experts tab shows, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tinygpt.run import RoutingRecord
from tinygpt_tui.engine.results import RoutedText, RoutingSurvey

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
    """The expert whose lift or count sorts the rows."""
    top: int = 0
    """First visible row."""


@dataclass(frozen=True)
class ExpertsState:
    """Everything that the Experts tab shows."""

    view: View = "load"
    layer: int = 0
    cursor: int = 0
    """Token of the visible part of the text."""
    digits: bool = False
    """Whether the expert's number stands under each character of the text."""
    sorting: Sorting = field(default_factory=Sorting)
    routings: Sequence[RoutingRecord] = field(default=(), repr=False)
    """One per evaluation, by step."""
    steps: Sequence[int] = ()
    """Of the MoE's checkpoints, ascending."""
    at: int | None = None
    """Step of the selected checkpoint."""
    following: bool = True
    """Whether a new checkpoint is selected as soon as it is written."""
    playing: bool = False
    reading: RoutedText | None = None
    census: RoutingSurvey | None = None
    source: str = ""
    """Where the text is from."""
    looking: bool = False
    """Whether the engine is routing the text."""
    surveying: bool = False
    """Whether the engine is computing the survey."""
    nothing: str = ""
    """Why the tab is empty, if it is."""
    note: str = ""
    """Reply to the last key, until the next one."""
    look_problem: str = ""
    """Why the text could not be routed."""
    survey_problem: str = ""
    """Why there is no survey."""
