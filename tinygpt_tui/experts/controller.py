"""The state of the Experts tab and its requests to the engine, without widgets.

At most one request of a kind is pending: stepping quickly through the timeline asks for the
checkpoint that is reached, not for those that were passed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from tinygpt_tui.engine import results
from tinygpt_tui.engine.protocol import (
    CorpusLine,
    Failed,
    InspectRequest,
    InspectResult,
    Reply,
    Request,
    SurveyRequest,
    SurveyResult,
)
from tinygpt_tui.engine.results import RoutedText, RoutingSurvey
from tinygpt_tui.engine.session import EngineSession, Requests, Timeline
from tinygpt_tui.experts import routed_text
from tinygpt_tui.experts.selection import ViewSelection
from tinygpt_tui.experts.state import ExpertsState
from tinygpt_tui.monitor.history import History

PICKED = 3
"""Random lines of the corpus that make a text."""
KEPT = 64
"""Answers of a kind that are kept: several timelines of a run."""
NO_EXPERTS = "This checkpoint has no experts."

Inspections: TypeAlias = Requests[tuple[str, str, int], RoutedText]
Surveys: TypeAlias = Requests[tuple[str, str], RoutingSurvey]


class ExpertsController(ViewSelection, EngineSession):
    """A run's MoE checkpoints, a text, and what of them is shown."""

    def __init__(
        self, ask: Callable[[Request], None], number: Callable[[], int], *, digits: bool = False
    ) -> None:
        ViewSelection.__init__(self, digits=digits)
        EngineSession.__init__(self, ask, number)
        self.awake = False
        self.text = ""
        self.start = 0
        """Position of the window's first token in the text."""
        self._timeline = Timeline()
        self._has_records = False
        self._inspections: Inspections = Requests(KEPT)
        self._surveys: Surveys = Requests(KEPT)
        self._lines: dict[int, str] = {}
        """By job, the lines of the corpus that were asked for; empty while pending."""
        self._sample = ""
        self._target: int | None = None
        """The token that the cursor goes to once the window that shows it has arrived."""

    # -- the run --------------------------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Use another run; the text stays."""
        super().open(run)
        old = self.scene
        self._has_records, self._sample, self._timeline = False, "", Timeline()
        self._inspections, self._surveys, self._lines = Requests(KEPT), Requests(KEPT), {}
        self.scene = ExpertsState(
            view=old.view,
            digits=old.digits,
            sorting=old.sorting,
            source=old.source,
        )
        self._explain_nothing(())

    def news(self, history: History) -> bool:
        """Take over what the records say; whether anything that is shown changed."""
        before = self.scene
        self._has_records = history.start is not None
        moe = history.variants.get("moe")
        if moe is not None:
            if len(moe.routings) != len(before.routings) or moe.routing is not (
                before.routings[-1] if before.routings else None
            ):
                self.change(routings=tuple(moe.routings))
            if moe.sample is not None:
                self._sample = moe.sample.prompt + moe.sample.text
        self._explain_nothing(history.variants)
        return self.scene is not before

    def _explain_nothing(self, variants: Collection[str]) -> None:
        words = ""
        if self.run is None:
            words = "No run yet: n starts one, by default with a MoE."
        elif "moe" not in variants and not self.scene.steps:
            words = (
                "This run trains Dense alone: it has no router, so there is nothing to route."
                if self._has_records
                else "The run has not written its first record yet."
            )
        if words != self.scene.nothing:
            self.change(nothing=words)

    def checkpoints(self, steps: Sequence[int]) -> bool:
        """Take over the listed checkpoints of the MoE, ascending; whether they changed."""
        if list(steps) == list(self.scene.steps):
            return False
        nothing = "" if steps else self.scene.nothing
        self._show_timeline(self._timeline.listed(steps), nothing=nothing)
        self.refresh()
        return True

    # -- asking ---------------------------------------------------------------------------------

    def wake(self, text: str) -> None:
        """The tab is shown; `text`, of the Generate tab, is used if there is no other."""
        self.awake = True
        self._inspections.errors.clear()
        self._surveys.errors.clear()
        if not self.text and not self._lines:
            if text:
                self.set_text(text, "the Generate tab")
            elif self.scene.steps:
                self.random_lines()
        self.refresh()

    def sleep(self) -> None:
        """The tab is hidden."""
        self.awake = False
        self._show_timeline(replace(self._timeline, playing=False))

    def set_text(self, text: str, source: str) -> None:
        """Show another text from its beginning."""
        self.text, self.start = text, 0
        self.change(source=source, cursor=0, note="")
        self._inspections.errors.clear()
        self.refresh()

    def random_lines(self) -> None:
        """Ask for random lines of the corpus as a text."""
        if not self._lines:
            self._lines = {self.ask_corpus_line(): "" for _ in range(PICKED)}

    def refresh(self) -> None:
        """Show the chosen checkpoint as far as it is known, and ask for what is missing."""
        at, steps = self.scene.at, self.scene.steps
        if at is None or self.run is None or not steps:
            return
        if self.awake and not self.text and not self._lines and self.scene.reading is None:
            self.random_lines()
        path = self.checkpoint("moe", at)
        if self.text:
            self._inspect(path)
        self._survey(path, self.checkpoint("moe", steps[-1]))
        self.change(
            looking=self._inspections.job is not None or bool(self._lines),
            surveying=self._surveys.job is not None,
        )

    def _inspect(self, path: str) -> None:
        key = (path, self.text, self.start)
        found = self.request(self._inspections, key, lambda job: InspectRequest(job, *key))
        if found is not None:
            self._show(found)
        self.change(look_problem=self._inspections.errors.get(key, ""))

    def _survey(self, path: str, final: str) -> None:
        key = (path, final)
        found = self.request(
            self._surveys, key, lambda job: SurveyRequest(job, path, self.data, final)
        )
        if found is not None and found is not self.scene.census:
            self.change(census=found)
        self.change(survey_problem=self._surveys.errors.get(key, ""))

    def _show(self, found: RoutedText) -> None:
        if found is self.scene.reading:
            return
        last = len(found.texts) - 1
        cursor = self.scene.cursor if self._target is None else self._target - found.start
        self._target = None
        self.change(
            reading=found,
            cursor=min(max(cursor, 0), last),
            layer=min(self.scene.layer, found.layers - 1),
        )

    def take(self, reply: Reply) -> bool:
        """Take a reply of the engine; whether it was for this tab."""
        if reply.job in self._lines:
            self._take_line(reply)
        elif reply.job == self._inspections.job:
            self._take_inspection(reply)
        elif reply.job == self._surveys.job:
            self._take_survey(reply)
        else:
            return False
        self.refresh()
        return True

    def _take_inspection(self, reply: Reply) -> None:
        if isinstance(reply, InspectResult):
            self._inspections.answered(results.routed_text(reply), NO_EXPERTS)
        elif isinstance(reply, Failed):
            self._inspections.answered(None, f"The text cannot be inspected: {reply.why}")

    def _take_survey(self, reply: Reply) -> None:
        if isinstance(reply, SurveyResult):
            self._surveys.answered(results.routing_survey(reply), NO_EXPERTS)
        elif isinstance(reply, Failed):
            self._surveys.answered(None, f"The survey failed: {reply.why}")

    def _take_line(self, reply: Reply) -> None:
        """The text is all lines together, or without a corpus a sample of the model itself."""
        if isinstance(reply, CorpusLine):
            self._lines[reply.job] = reply.text
            if all(self._lines.values()):
                text = "\n".join(self._lines.values())
                self._lines = {}
                self.set_text(text, "random lines of the corpus")
        elif isinstance(reply, Failed):
            self._lines = {}
            if self._sample and not self.text:
                self.set_text(self._sample, "its newest sample")
            self.change(note=f"The corpus cannot be read: {reply.why}")

    # -- the cursor -----------------------------------------------------------------------------

    def move(self, by: int) -> None:
        """Move the cursor by tokens; past the edge of the window, the window moves by half."""
        found, cursor = self.scene.reading, self.scene.cursor
        if found is None:
            return
        size, wanted = len(found.texts), cursor + by
        if 0 <= wanted < size or size == found.total:
            self.change(cursor=min(max(wanted, 0), size - 1))
            return
        place = min(max(found.start + wanted, 0), found.total - 1)
        start = min(max(place - size // 2, 0), found.total - size)
        if start == found.start:
            self.change(cursor=place - start)
            return
        self.start, self._target = start, place
        self.refresh()

    def move_lines(self, by: int, columns: int) -> None:
        """Move the cursor by lines of a text wrapped to `columns`."""
        found = self.scene.reading
        if found is None:
            return
        flow = routed_text.lay_out(found, columns)
        line, at = flow.place(self.scene.cursor)
        token = flow.token_at(line + by, at)
        self.move(by * (columns - 2) if token is None else token - self.scene.cursor)

    # -- the timeline ---------------------------------------------------------------------------

    def _show_timeline(self, timeline: Timeline, **changes: object) -> None:
        self._timeline = timeline
        self.change(
            steps=timeline.steps,
            at=timeline.step,
            following=timeline.following,
            playing=timeline.playing,
            **changes,
        )

    def move_step(self, by: int) -> None:
        """Show an earlier or later checkpoint."""
        self._show_timeline(self._timeline.moved(by), note="")
        self.refresh()

    def follow(self) -> None:
        """Show the newest checkpoint from now on."""
        self._show_timeline(replace(self._timeline, chosen=None, playing=False), note="")
        self.refresh()

    def play(self) -> None:
        """Play from here to the newest checkpoint, at the end from the first; or stop."""
        self._show_timeline(self._timeline.toggle_play())
        self.refresh()

    def tick(self) -> bool:
        """While playing, show the next checkpoint once this one is loaded; whether it was."""
        if not self.scene.playing or self._inspections.job is not None:
            return False
        if self.scene.view == "table" and self._surveys.job is not None:
            return False
        self.move_step(1)
        if self.scene.following:
            self._show_timeline(replace(self._timeline, playing=False))
        return True
