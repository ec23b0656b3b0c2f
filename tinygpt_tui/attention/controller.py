"""The state of the Attention tab and its requests to the engine, without widgets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tinygpt.data.characters import summarize
from tinygpt.data.excerpts import LONG_LINE
from tinygpt_tui.attention import state
from tinygpt_tui.attention.model_selection import ModelSelection
from tinygpt_tui.attention.state import STATISTICS, WITHOUT, AttentionState, Choice, Pin, fitted
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
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.engine.session import Requests
from tinygpt_tui.render.heatmap import Floats, Paint

CACHE_BYTES = 256 * 2**20
"""Attention weights that are cached: a timeline of nano takes 5 MB, one of baby 190 MB."""
LINE_RETRIES = 5
"""How many times a random line that is too short is replaced by another one, at most."""
SURVEY_STATISTIC = "induction"
"""Selected when a survey arrives."""


class InspectKey(NamedTuple):
    """Identifies an inspection: the fields of its request."""

    path: str
    text: str
    start: int | None
    character: int | None


class AttentionController(ModelSelection):
    """Requests the attention of a checkpoint over a text, and holds what the tab shows of it.

    `ModelSelection` has the variant and its checkpoint, `EngineSession` sends the requests; the
    changes that need no engine are functions in `state`.
    """

    def __init__(
        self,
        ask: Callable[[Request], None],
        new_job: Callable[[], int],
        paint: Paint | None = None,
    ) -> None:
        super().__init__(ask, new_job)
        self.choice = Choice(paint=paint or Paint())
        self.text = ""
        self.source = ""
        self.start: int | None = 0
        """Position of the window's first token in the text; None for the last window."""
        self.shown: InspectedText | None = None
        self.survey: SurveyResult | None = None
        self.pin: Pin | None = None
        self.message = ""
        self._text_chosen = False
        """Whether the text is the user's choice rather than a default."""
        self._character: int | None = None
        """The character around which the window is, in place of `start`."""
        self._cursor_moves = False
        """Whether the cursor is to move when the window arrives: to the token of that character,
        else to the last one."""
        self._inspections: Requests[InspectKey, InspectedText] = Requests(
            CACHE_BYTES, lambda text: text.attention.nbytes
        )
        self._fallback = ""  # shown where the corpus cannot be read
        self._line_job: int | None = None
        self._line_retries = 0
        self._survey_job: int | None = None
        self.ablations = AblationCache(ask, new_job)

    # -- which model ----------------------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Use another run; the text stays."""
        super().open(run)
        self.message = ""
        self.shown = self.survey = self.pin = None
        self._inspections.clear()
        self.ablations.clear()

    # -- which text -----------------------------------------------------------------------------

    def set_default_text(self, text: str) -> None:
        """Until the user chooses a text, show the first long line of the validation split, which is
        always the same one; if the corpus cannot be read, this text."""
        if self._text_chosen or self.text or self.run is None or not self.available_variants:
            return
        self._fallback = text
        if self._line_job is None:
            self._line_job = self.ask_corpus_line("line")

    def random_line(self) -> None:
        """Request a random line of the corpus as the user's text."""
        self._text_chosen, self.source = True, "corpus"
        self._request_line()

    def _request_line(self) -> None:
        self._line_retries, self._line_job = 0, self.ask_corpus_line()

    def set_text(self, text: str, source: str, at: int | None = None) -> bool:
        """Show the user's text with the cursor on character `at`; unknown characters are left out.

        Returns False, without a change, if no character is left.
        """
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
        self._character, self._cursor_moves = at, True
        self.refresh()

    def page(self, by: int) -> bool:
        """Show another part of a long text. Returns False if there is none."""
        shown = self.shown
        if shown is None or shown.size in (shown.total, 0):
            return False
        start = shown.start + by * max(shown.size // 2, 1)
        start = max(0, min(start, shown.total - shown.size))
        if start == shown.start:
            return False
        self.start, self._character = start, None
        self.refresh()
        return True

    # -- the engine -----------------------------------------------------------------------------

    @property
    def selected(self) -> InspectKey | None:
        """The inspection to show; None without a checkpoint or a text."""
        step = self.timeline.step
        if self.run is None or step is None or not self.text:
            return None
        return InspectKey(
            self.checkpoint(self.variant, step), self.text, self.start, self._character
        )

    @property
    def busy(self) -> bool:
        """Whether the selected inspection has not arrived yet."""
        key = self.selected
        known = self._inspections
        return key is not None and key not in known and key not in known.errors

    def refresh(self) -> None:
        """Show the selected inspection, or request it."""
        key = self.selected
        if key is not None:
            shown = self.request(self._inspections, key, lambda job: InspectRequest(job, *key))
            if shown is not None:
                self._show(shown)

    def handle_reply(self, reply: Reply) -> bool:
        """Apply a reply of the engine; returns whether it was for this tab."""
        if reply.job == self._inspections.job:
            if isinstance(reply, InspectResult):
                self._inspections.answered(results.inspected_text(reply))
            elif isinstance(reply, Failed):
                self._inspections.errors.clear()  # other failed requests may be retried
                self._inspections.answered(None, reply.why)
                self.stop()
                self._handle_failure(reply)
            self.refresh()
        elif reply.job == self._line_job:
            self._handle_line(reply)
        elif reply.job == self._survey_job:
            self._handle_survey(reply)
        elif self.ablations.handle(reply):
            self._show_ablations()
        else:
            return False
        return True

    def _handle_failure(self, failed: Failed) -> None:
        """Say why, unless another checkpoint stands in for one that cannot be loaded."""
        if failed.unusable:
            self.leave_out(failed.unusable, failed.why)
            self._update_timeline()
        replaced = failed.unusable and self.timeline.usable
        self.message = "" if replaced else failed.why

    def _show(self, shown: InspectedText) -> None:
        before, self.shown = self.shown, shown
        if not self._cursor_moves:
            self.choice = fitted(self.choice, shown)
            if before is not None:
                self.message = ""
            return
        self._cursor_moves = False
        query = shown.size - 1 if shown.at is None else shown.at - shown.start
        self.choice = fitted(replace(self.choice, query=query, origin=(0, 0)), shown)
        self.choice = state.to_top_key(self.choice, shown)

    def _handle_line(self, reply: Reply) -> None:
        self._line_job = None
        random = self._text_chosen
        if isinstance(reply, CorpusLine):
            if random and len(reply.text) < LONG_LINE and self._line_retries < LINE_RETRIES:
                self._line_retries += 1
                self._line_job = self.ask_corpus_line()
                return
            known = self.without_unknown(reply.text)
            if known and not (random and self.source != "corpus"):
                self._use(known, "corpus" if random else "validation")
        elif isinstance(reply, Failed) and random:
            self.message = reply.why
        elif isinstance(reply, Failed) and (text := self.without_unknown(self._fallback)):
            self._use(text, "last prompt")

    def request_survey(self) -> None:
        """Request statistics over the validation split, unless they are known or pending."""
        key = self.selected
        if key is None or self._survey_job is not None:
            return
        if self.survey is None or self.survey.path != key.path:
            self._survey_job = self._new_job()
            request = SurveyRequest(self._survey_job, key.path, self.validation_text)
            self._ask(request)

    def _handle_survey(self, reply: Reply) -> None:
        self._survey_job = None
        if isinstance(reply, SurveyResult):
            self.survey = reply
            self.choice = replace(self.choice, statistic=SURVEY_STATISTIC)
        elif isinstance(reply, Failed):
            self.message = reply.why

    def request_ablations(self) -> None:
        """Show by how much the loss rises without each head, and measure it if it is not known."""
        if (key := self.selected) is not None:
            self.ablations.request(key.path, self.validation_text)
            self._show_ablations()

    def _show_ablations(self) -> None:
        path = self.selected.path if self.selected else None
        self.message = self.ablations.problem(path)
        if self.ablations.of(path) is not None:
            self.choice = replace(self.choice, statistic=WITHOUT)
        elif self.ablations.pending:
            self.message = "Measuring the loss without each head…"

    # -- what is shown --------------------------------------------------------------------------

    @property
    def statistics(self) -> dict[str, Floats]:
        """(L, H) each, by name."""
        if self.shown is None:
            return {}
        known = results.all_statistics(self.shown, self.survey)
        ablations = self.ablations.of(self.shown.path)
        return known | ({WITHOUT: ablations.heads} if ablations else {})

    def next_statistic(self) -> None:
        """Show the next statistic under each thumbnail."""
        names = tuple(self.statistics) or STATISTICS
        self.choice = replace(self.choice, statistic=state.next_name(self.choice.statistic, names))

    def toggle_pin(self) -> bool:
        """Pin the current map on the left, or release it; returns whether one is pinned now."""
        if self.pin is not None or self.shown is None:
            self.pin = None
            return False
        choice = self.choice
        self.pin = Pin(self.shown, choice.layer, choice.head, choice.mode)
        if choice.level not in ("head", "window"):
            self.choice = replace(choice, level="head")
        return True

    def state(self) -> AttentionState:
        """Everything that the tab shows."""
        return AttentionState(
            choice=self.choice,
            shown=self.shown,
            statistics=self.statistics,
            survey_baseline=self.survey.uniform_baseline if self.survey else {},
            pin=self.pin,
            timeline=self.timeline,
            busy=self.busy,
            source=self.source,
            message=self.message or self._empty_reason(),
        )

    def _empty_reason(self) -> str:
        if self.shown is not None:
            return ""
        if self.run is None:
            return "No run yet: n starts one. Its first checkpoint is written at once."
        if not self.available_variants:
            return "No checkpoint yet: the first is written before training starts."
        waiting = self._line_job is not None
        typing = "Reading the corpus…" if waiting else "There is no text to inspect: t types one."
        return "" if self.text else typing
