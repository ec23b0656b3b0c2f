"""The state of the Experts tab and its requests to the engine, without widgets.

At most one inspection and one survey are pending: after quick steps through the timeline only the
last checkpoint is requested, not the ones in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from tinygpt.run import CheckpointList, Which
from tinygpt_tui.engine import results
from tinygpt_tui.engine.ablation_cache import AblationCache
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

CORPUS_LINES = 3
"""Random lines of the corpus that make up a text."""
CACHE_SIZE = 64
"""Inspections, and surveys, that are cached: enough for several timelines."""
NO_EXPERTS = "This checkpoint has no experts."

Inspections: TypeAlias = Requests[tuple[str, str, int], RoutedText]
Surveys: TypeAlias = Requests[tuple[str, str], RoutingSurvey]


class ExpertsController(ViewSelection, EngineSession):
    """Requests the routing of a text by each checkpoint of the MoE, and holds what the tab shows.

    `ViewSelection` changes the view without the engine; `EngineSession` sends requests.
    """

    def __init__(
        self, ask: Callable[[Request], None], new_job: Callable[[], int], *, digits: bool = False
    ) -> None:
        ViewSelection.__init__(self, digits=digits)
        EngineSession.__init__(self, ask, new_job)
        self.visible = False
        self.text = ""
        self.start = 0
        """Position of the window's first token in the text."""
        self._has_records = False
        self._inspections: Inspections = Requests(CACHE_SIZE)
        self._surveys: Surveys = Requests(CACHE_SIZE)
        self._ablations = AblationCache(ask, new_job)
        self._lines: dict[int, str] = {}
        """Requested lines of the corpus by job; empty strings until they arrive."""
        self._sample = ""
        self._target: int | None = None
        """The token to move the cursor to when the window that contains it arrives."""

    # -- the run --------------------------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Use another run; the text stays."""
        super().open(run)
        old = self.state
        self._has_records, self._sample = False, ""
        self._inspections, self._surveys = Requests(CACHE_SIZE), Requests(CACHE_SIZE)
        self._ablations.clear()
        self._lines = {}
        self.state = ExpertsState(
            view=old.view,
            digits=old.digits,
            sorting=old.sorting,
            source=old.source,
        )
        self._update_empty_reason(())

    def update_history(self, history: History) -> bool:
        """Show new records of the run; returns whether the state changed."""
        before = self.state
        self._has_records = history.start is not None
        moe = history.variants.get("moe")
        if moe is not None:
            if len(moe.routings) != len(before.routings) or moe.routing is not (
                before.routings[-1] if before.routings else None
            ):
                self.change(routings=tuple(moe.routings))
            if moe.sample is not None:
                self._sample = moe.sample.prompt + moe.sample.text
        self._update_empty_reason(history.variants)
        return self.state is not before

    def _update_empty_reason(self, variants: Collection[str]) -> None:
        reason = ""
        if self.run is None:
            reason = "No run yet: n starts one, by default with an MoE."
        elif "moe" not in variants and not self.state.steps:
            reason = (
                "This run trains only Dense, which has no router: there is nothing to route."
                if self._has_records
                else "The run has not written its first record yet."
            )
        if reason != self.state.empty_reason:
            self.change(empty_reason=reason)

    def update_checkpoints(self, checkpoints: Mapping[str, CheckpointList]) -> bool:
        """Show the run's checkpoints as they are listed now; returns whether they changed."""
        if not self.list_checkpoints(checkpoints):
            return False
        self._update_timeline()
        self.refresh()
        return True

    def _update_timeline(self) -> None:
        listed = self.checkpoints.get("moe", CheckpointList())
        reason = "" if listed.steps else self.state.empty_reason
        self.change(timeline=self.state.timeline.listed(listed), empty_reason=reason)

    def take_note(self) -> str:
        """Why another checkpoint than the best or the newest is shown; once."""
        return self.note_once("moe", self.state.timeline.chosen)

    # -- requests -------------------------------------------------------------------------------

    def activate(self, default_text: str) -> None:
        """Send requests from now on, and retry failed ones; `default_text` is used if none was
        chosen yet."""
        self.visible = True
        self._inspections.errors.clear()
        self._surveys.errors.clear()
        if not self.text and not self._lines:
            if default_text:
                self.set_text(default_text, "the Generate tab")
            elif self.state.steps:
                self.random_lines()
        self.refresh()

    def deactivate(self) -> None:
        """Send no requests while the tab is hidden, and stop playing."""
        self.visible = False
        self.stop()

    def set_text(self, text: str, source: str) -> None:
        """Show another text from its beginning."""
        self.text, self.start = text, 0
        self.change(source=source, cursor=0, note="")
        self._inspections.errors.clear()
        self.refresh()

    def random_lines(self) -> None:
        """Request random lines of the corpus as the text."""
        if not self._lines:
            self._lines = {self.ask_corpus_line(): "" for _ in range(CORPUS_LINES)}

    def refresh(self) -> None:
        """Show what is cached for the selected checkpoint, and request the rest."""
        at = self.state.at
        if at is None or self.run is None:
            return
        if self.visible and not self.text and not self._lines and self.state.routed_text is None:
            self.random_lines()
        path = self.checkpoint("moe", at)
        if self.text:
            self._inspect(path)
        newest = self.state.timeline.checkpoints.step("newest")
        self._survey(path, self.checkpoint("moe", newest if newest is not None else at))
        self.change(
            inspecting=self._inspections.job is not None or bool(self._lines),
            surveying=self._surveys.job is not None,
            ablating=self._ablations.pending,
            ablations=self._ablations.of(path),
            ablation_problem=self._ablations.problem(path),
        )

    def request_ablations(self) -> None:
        """Measure the loss without each expert, unless it is known."""
        if self.state.at is not None:
            path = self.checkpoint("moe", self.state.at)
            self._ablations.request(path, self.validation_text)
            self.refresh()

    def _inspect(self, path: str) -> None:
        key = (path, self.text, self.start)
        routed = self.request(self._inspections, key, lambda job: InspectRequest(job, *key))
        if routed is not None:
            self._show(routed)
        self.change(inspect_problem=self._inspections.errors.get(key, ""))

    def _survey(self, path: str, final: str) -> None:
        key = (path, final)
        survey = self.request(
            self._surveys,
            key,
            lambda job: SurveyRequest(job, path, self.validation_text, final),
        )
        if survey is not None and survey is not self.state.survey:
            self.change(survey=survey)
        self.change(survey_problem=self._surveys.errors.get(key, ""))

    def _show(self, routed: RoutedText) -> None:
        if routed is self.state.routed_text:
            return
        last = len(routed.texts) - 1
        cursor = self.state.cursor if self._target is None else self._target - routed.start
        self._target = None
        self.change(
            routed_text=routed,
            cursor=min(max(cursor, 0), last),
            layer=min(self.state.layer, routed.layers - 1),
        )

    def handle_reply(self, reply: Reply) -> bool:
        """Apply a reply of the engine; returns whether it was for this tab."""
        if reply.job in self._lines:
            self._handle_line(reply)
        elif reply.job == self._inspections.job:
            self._handle_inspection(reply)
        elif reply.job == self._surveys.job:
            self._handle_survey(reply)
        elif not self._ablations.handle(reply):
            return False
        self.refresh()
        return True

    def _handle_inspection(self, reply: Reply) -> None:
        if isinstance(reply, InspectResult):
            self._inspections.answered(results.routed_text(reply), NO_EXPERTS)
        elif isinstance(reply, Failed):
            self._inspections.answered(None, f"The text cannot be inspected: {reply.why}")
            self._leave_out(reply)

    def _handle_survey(self, reply: Reply) -> None:
        if isinstance(reply, SurveyResult):
            self._surveys.answered(results.routing_survey(reply), NO_EXPERTS)
        elif isinstance(reply, Failed):
            self._surveys.answered(None, f"The survey failed: {reply.why}")
            self._leave_out(reply)

    def _leave_out(self, failed: Failed) -> None:
        """Let another checkpoint stand in for one that cannot be loaded."""
        if failed.unusable:
            self.leave_out(failed.unusable, failed.why)
            self._update_timeline()

    def _handle_line(self, reply: Reply) -> None:
        """Use the lines as the text once all have arrived; without a corpus, the latest sample."""
        if isinstance(reply, CorpusLine):
            self._lines[reply.job] = reply.text
            if all(self._lines.values()):
                text = "\n".join(self._lines.values())
                self._lines = {}
                self.set_text(text, "random lines of the corpus")
        elif isinstance(reply, Failed):
            self._lines = {}
            if self._sample and not self.text:
                self.set_text(self._sample, "the latest sample")
            self.change(note=f"The corpus cannot be read: {reply.why}")

    # -- the cursor -----------------------------------------------------------------------------

    def move(self, by: int) -> None:
        """Move the cursor by tokens; past the edge of the window, the window moves by half."""
        routed, cursor = self.state.routed_text, self.state.cursor + by
        if routed is None:
            return
        size = len(routed.texts)
        if 0 <= cursor < size or size == routed.total:
            self.change(cursor=min(max(cursor, 0), size - 1))
            return
        target = min(max(routed.start + cursor, 0), routed.total - 1)
        start = min(max(target - size // 2, 0), routed.total - size)
        if start == routed.start:
            self.change(cursor=target - start)
            return
        self.start, self._target = start, target
        self.refresh()

    def move_lines(self, by: int, columns: int) -> None:
        """Move the cursor by lines of a text wrapped to `columns`."""
        routed = self.state.routed_text
        if routed is None:
            return
        flow = routed_text.lay_out(routed, columns)
        line, column = flow.place(self.state.cursor)
        token = flow.token_at(line + by, column)
        self.move(by * (columns - 2) if token is None else token - self.state.cursor)

    # -- the timeline ---------------------------------------------------------------------------

    def _select(self, timeline: Timeline) -> None:
        self.change(timeline=timeline, note="")
        self.refresh()

    def move_step(self, by: int) -> None:
        """Show an earlier or later checkpoint."""
        self._select(self.state.timeline.moved(by))

    def show_checkpoint(self, which: Which) -> None:
        """Show the best or the newest checkpoint from now on, or that of a step."""
        self._select(replace(self.state.timeline.selected(which), playing=False))

    def toggle_best(self) -> None:
        """Switch between the best and the newest checkpoint."""
        self._select(self.state.timeline.toggled())

    def play(self) -> None:
        """Play from here to the newest checkpoint (from the first if none was chosen), or stop."""
        self._select(self.state.timeline.toggle_play())

    def stop(self) -> None:
        """Stop playing."""
        self.change(timeline=replace(self.state.timeline, playing=False))

    def tick(self) -> bool:
        """While playing, show the next checkpoint if this one has loaded; returns whether so."""
        if not self.state.timeline.playing or self._inspections.job is not None:
            return False
        if self.state.view == "table" and self._surveys.job is not None:
            return False
        self.move_step(1)
        if self.state.at == self.state.steps[-1]:
            self.stop()
        return True
