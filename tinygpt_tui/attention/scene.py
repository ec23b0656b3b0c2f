"""Everything that the Attention tab shows at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinygpt_tui.attention.state import Choice, Pin
from tinygpt_tui.engine.results import InspectedText, uniform_baseline
from tinygpt_tui.render.heatmap import Floats


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that is shown."""

    choice: Choice
    shown: InspectedText | None = None
    statistics: dict[str, Floats] = field(default_factory=dict)
    uniform_baselines: dict[str, float] = field(default_factory=dict)
    """Of statistics, beside those that the text's length says."""
    pin: Pin | None = None
    steps: tuple[int, ...] = ()
    """The timeline: the steps of the variant's checkpoints."""
    following: bool = True
    """The newest checkpoint is shown, whichever it is."""
    playing: bool = False
    busy: bool = False
    source: str = ""
    """Where the text is from."""
    words: str = ""
    """A sentence: why there is nothing, or what went wrong."""


def uniform_baselines(scene: Scene, shown: InspectedText) -> dict[str, float]:
    """What a head that looks everywhere alike would have."""
    return scene.uniform_baselines | uniform_baseline(shown.size)
