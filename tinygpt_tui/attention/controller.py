"""The state of the Attention tab and its requests to the engine, without widgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tinygpt.data.tokenizer import summarize
from tinygpt.run import VARIANTS
from tinygpt_tui.attention import state
from tinygpt_tui.attention.state import STATISTICS, AttentionState, Choice, Pin, fitted
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
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.engine.session import EngineSession, Requests, Timeline
from tinygpt_tui.render.heatmap import Floats, Paint

KEPT_BYTES = 256 * 2**20
"""Of attention weights that are kept: a timeline of nano takes 5 MB, one of baby 190."""
SHORT_LINE, LINE_RETRIES = 24, 5
"""Characters below which another line of the corpus is tried, and how often."""
LAST_TOKEN = -1
"""As a position in the text: its last token, wherever that is."""
SURVEY_STATISTIC = "induction"


class InspectKey(NamedTuple):
    """What identifies an inspection."""

    path: str
    text: str
    start: int | None


class AttentionController(EngineSession):
    """A text, a checkpoint, and what of their attention is shown."""

    def __init__(
        self, ask: Callable[[Request], None], number: Callable[[], int], *, glyphs: bool = False
    ) -> None:
        super().__init__(ask, number)
        self.choice = Choice(paint=Paint(glyphs=glyphs))
        self.variant = VARIANTS[0]
        self.timeline = Timeline()
        """Of the variant's checkpoints."""
        self.text = ""
        self.source = ""
        self.start: int | None = 0
        """Position of the window's first token in the text; None: as late as possible."""
        self.shown: InspectedText | None = None
        self.survey: SurveyResult | None = None
        self.pin: Pin | None = None
        self.message = ""
        self._text_chosen = False
        """Whether the user chose the text."""
        self._target: int | None = None
        """The token of the text that the cursor goes to once the text is inspected."""
        self._inspections: Requests[InspectKey, InspectedText] = Requests(
            KEPT_BYTES, lambda text: text.attention.nbytes
        )
        self._line_job: int | None = None
        self._line_retries = 0
        self._survey_job: int | None = None

    # -- which model ----------------------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Use another run; the text stays."""
        super().open(run)
        self.timeline, self.message = Timeline(), ""
        self.shown = self.survey = self.pin = None
        self._inspections.clear()

    def checkpoints(self, kept: dict[str, list[int]]) -> None:
        """Take over the run's checkpoints as they are listed now."""
        self.kept = kept
        available = self.available_variants
        if available and self.variant not in available:
            self.variant = available[0]
        steps = kept.get(self.variant, [])
        if self.timeline.chosen not in steps:
            self.timeline = replace(self.timeline, chosen=None)
        self.timeline = self.timeline.listed(steps)

    def other_variant(self) -> bool:
        """Switch between Dense and MoE, to the nearest step. False: there is no other."""
        available = self.available_variants
        if len(available) < 2:
            return False
        self.variant = state.after(self.variant, tuple(available))
        self.timeline = self.timeline.listed(self.kept[self.variant])
        self.refresh()
        return True

    def show_step(self, step: int | None) -> None:
        """Show another checkpoint; None follows the newest."""
        self.timeline = replace(self.timeline, chosen=step)
        self.refresh()

    def move_step(self, by: int) -> bool:
        """Show an earlier or later checkpoint. False at the end of the timeline."""
        before, self.timeline = self.timeline, self.timeline.moved(by)
        self.refresh()
        return self.timeline != before

    def play(self) -> None:
        """Play from here, at the newest checkpoint from the first; or stop."""
        self.timeline = self.timeline.toggle_play()
        self.refresh()

    def stop(self) -> None:
        """Stop playing."""
        self.timeline = replace(self.timeline, playing=False)

    # -- which text -----------------------------------------------------------------------------

    def set_default_text(self, text: str) -> None:
        """Until the user chooses a text, show this one, and soon a line of the corpus."""
        if self._text_chosen or self.text or self.run is None or not self.available_variants:
            return
        self._use(self.without_unknown(text), "last prompt")
        self._ask_line()

    def random_line(self) -> None:
        """Ask for a random line of the corpus, as the user's choice."""
        self._text_chosen, self.source = True, "corpus"
        self._ask_line()

    def _ask_line(self) -> None:
        self._line_retries, self._line_job = 0, self.ask_corpus_line()

    def set_text(self, text: str, source: str, at: int | None = None) -> bool:
        """Show the user's text with the cursor on character `at`. False: it is empty, no change."""
        known = self.without_unknown(text)
        if not known:
            self.message = "No character of that text is in the models' vocabulary"
            return False
        self._text_chosen = True
        self._use(known, source, at if at is None else len(self.without_unknown(text[:at])))
        if unknown := self.unknown(text):
            self.message = f"left out, not in the vocabulary: {summarize(sorted(unknown), 8)}"
        return True

    def _use(self, text: str, source: str, at: int | None = None) -> None:
        self.text, self.source, self.start, self.message = text, source, 0, ""
        self._target = LAST_TOKEN if at is None else at
        if self.shown is not None and at is not None:
            self.start = max(0, min(at - self.shown.context // 2, len(text) - self.shown.context))
        self.refresh()

    def page(self, by: int) -> bool:
        """Show another part of a long text. False if there is none."""
        shown = self.shown
        if shown is None or shown.size in (shown.total, 0):
            return False
        start = shown.start + by * max(shown.size // 2, 1)
        start = max(0, min(start, shown.total - shown.size))
        if start == shown.start:
            return False
        self.start = start
        self.refresh()
        return True

    # -- the engine -----------------------------------------------------------------------------

    @property
    def wanted(self) -> InspectKey | None:
        """The inspection to show; None without a model or a text."""
        step = self.timeline.step
        if self.run is None or step is None or not self.text:
            return None
        return InspectKey(self.checkpoint(self.variant, step), self.text, self.start)

    @property
    def busy(self) -> bool:
        """Whether the wanted inspection is still to come."""
        key = self.wanted
        return (
            key is not None
            and key not in self._inspections.errors
            and (key not in self._inspections)
        )

    def refresh(self) -> None:
        """Show the wanted inspection, or ask for it."""
        key = self.wanted
        if key is not None:
            found = self.request(self._inspections, key, lambda job: InspectRequest(job, *key))
            if found is not None:
                self._show(found)

    def take(self, reply: Reply) -> bool:
        """Take a reply of the engine; whether it was for this tab."""
        if reply.job == self._inspections.job:
            if isinstance(reply, InspectResult):
                self._inspections.answered(results.inspected_text(reply))
            elif isinstance(reply, Failed):
                self._inspections.errors.clear()  # of others: they are worth another attempt
                self._inspections.answered(None, reply.why)
                self.message = reply.why
                self.stop()
            self.refresh()
        elif reply.job == self._line_job:
            self._take_line(reply)
        elif reply.job == self._survey_job:
            self._take_survey(reply)
        else:
            return False
        return True

    def _show(self, shown: InspectedText) -> None:
        before, self.shown = self.shown, shown
        if self._target is None:
            self.choice = fitted(self.choice, shown)
            if before is not None:
                self.message = ""
            return
        at = shown.start + shown.size - 1 if self._target == LAST_TOKEN else self._target
        if not shown.start <= at < shown.start + shown.size and shown.total > shown.size:
            self.start = max(0, min(at - shown.size // 2, shown.total - shown.size))
            if self.start != shown.start:
                self.refresh()
                return
        self._target = None
        self.choice = fitted(replace(self.choice, query=at - shown.start, origin=(0, 0)), shown)
        self.choice = state.to_top_key(self.choice, shown)

    def _take_line(self, reply: Reply) -> None:
        self._line_job = None
        if isinstance(reply, CorpusLine):
            if len(reply.text) < SHORT_LINE and self._line_retries < LINE_RETRIES:
                self._line_retries += 1
                self._line_job = self.ask_corpus_line()
                return
            text = self.without_unknown(reply.text)
            if text and not (self._text_chosen and self.source != "corpus"):
                self._use(text, "corpus")
        elif isinstance(reply, Failed) and self._text_chosen:
            self.message = reply.why

    def ask_survey(self) -> None:
        """Measure the heads over the validation split, unless that was done."""
        key = self.wanted
        if key is None or self._survey_job is not None:
            return
        if self.survey is None or self.survey.path != key.path:
            self._survey_job = self._number()
            self._ask(SurveyRequest(self._survey_job, key.path, self.data))

    def _take_survey(self, reply: Reply) -> None:
        self._survey_job = None
        if isinstance(reply, SurveyResult):
            self.survey = reply
            self.choice = replace(self.choice, statistic=SURVEY_STATISTIC)
        elif isinstance(reply, Failed):
            self.message = reply.why

    # -- what is shown --------------------------------------------------------------------------

    @property
    def statistics(self) -> dict[str, Floats]:
        """(L, H) each, by name."""
        return results.all_statistics(self.shown, self.survey) if self.shown else {}

    def next_statistic(self) -> None:
        """Show the next statistic under each thumbnail."""
        names = tuple(self.statistics) or STATISTICS
        self.choice = replace(self.choice, statistic=state.after(self.choice.statistic, names))

    def toggle_pin(self) -> bool:
        """Pin the current map on the left, or release it; whether one is pinned now."""
        if self.pin is not None or self.shown is None:
            self.pin = None
            return False
        choice = self.choice
        self.pin = Pin(self.shown, choice.layer, choice.head, choice.mode)
        if choice.level not in ("head", "window"):
            self.choice = replace(choice, level="head")
        return True

    def state(self) -> AttentionState:
        """Everything that is shown."""
        return AttentionState(
            choice=self.choice,
            shown=self.shown,
            statistics=self.statistics,
            survey_baseline=self.survey.uniform_baseline if self.survey else {},
            pin=self.pin,
            timeline=self.timeline,
            busy=self.busy,
            source=self.source,
            message=self.message or self._why_nothing(),
        )

    def _why_nothing(self) -> str:
        if self.shown is not None:
            return ""
        if self.run is None:
            return "No run yet: n starts one. Its first checkpoint is written at once."
        if not self.available_variants:
            return "This run has no checkpoint yet: the first is written before its first step."
        return "" if self.text else "There is no text to inspect: t types one."
