"""What the Attention tab holds and does, without its widgets: whom it asks, what is answered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinygpt.data.tokenizer import summarize
from tinygpt.errors import TinyGPTError
from tinygpt.run import VARIANTS, checkpoint_dir, read_config
from tinygpt_tui.attention import state
from tinygpt_tui.attention.scene import Scene
from tinygpt_tui.attention.state import STATISTICS, Choice, Pin, fitted
from tinygpt_tui.engine import results
from tinygpt_tui.engine.protocol import (
    CorpusLine,
    CorpusLineRequest,
    Failed,
    InspectRequest,
    InspectResult,
    Reply,
    Request,
    SurveyRequest,
    SurveyResult,
)
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.known import known_characters, unknown_characters
from tinygpt_tui.render.heatmap import Floats, Paint

KEPT_BYTES = 256 * 2**20
"""Of looks that are kept: a timeline of nano is 5 MB, one of baby 190."""
SHORT, PICKS = 24, 5
"""Characters below which a line of the corpus shows little, so that another is taken; how often."""
LAST = -1
"""The cursor is to stand on the last token of the window, whichever that is."""
SURVEYED = ("duplicate", "induction")


class InspectKey(NamedTuple):
    """A look: what is kept is found by it."""

    path: str
    text: str
    start: int | None


class AttentionController:
    """The text, the checkpoint, the choices, and the looks that were taken."""

    def __init__(
        self, ask: Callable[[Request], None], number: Callable[[], int], *, glyphs: bool = False
    ) -> None:
        self._ask, self._number = ask, number
        self.choice = Choice(paint=Paint(glyphs=glyphs))
        self.run: Path | None = None
        self.kept: dict[str, list[int]] = {}
        """The steps of each variant's checkpoints, ascending, as they were last listed."""
        self.known: frozenset[str] = frozenset()
        """The characters that the run's models know; empty if that is not known."""
        self.variant = VARIANTS[0]
        self.step: int | None = None
        """The checkpoint that is looked into; None: the newest."""
        self.text = ""
        self.source = ""
        self.start: int | None = 0
        self.shown: InspectedText | None = None
        self.survey: SurveyResult | None = None
        self.pin: Pin | None = None
        self.playing = False
        self.words = ""
        self._given = False
        """A person chose the text."""
        self._at: int | None = None
        """The token that the cursor is to stand on, once the text has been looked at."""
        self._seen: OrderedDict[InspectKey, InspectedText] = OrderedDict()
        self._pending: tuple[int, InspectKey] | None = None
        self._refused: InspectKey | None = None
        self._picking: int | None = None
        self._picks = 0
        self._surveying: int | None = None

    # -- which model ----------------------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Look into another run's models; the text stays."""
        self.run, self.kept, self.known, self.step = run, {}, frozenset(), None
        self.shown = self.survey = self.pin = None
        self.words, self.playing = "", False
        self._seen.clear()
        self._refused = None

    def learn(self) -> None:
        """Read which characters the run knows, once they can be."""
        if self.run is not None and not self.known:
            self.known = known_characters(self.run)

    @property
    def variants(self) -> list[str]:
        """Those that have a checkpoint."""
        return [variant for variant in VARIANTS if self.kept.get(variant)]

    @property
    def steps(self) -> list[int]:
        """The timeline of the variant."""
        return self.kept.get(self.variant, [])

    @property
    def busy(self) -> bool:
        """Whether what is wished for is not on the screen yet."""
        wish = self.wish
        return wish is not None and wish not in self._seen and wish != self._refused

    @property
    def wish(self) -> InspectKey | None:
        """What is to be shown; None if there is no model or no text."""
        if self.run is None or not self.steps or not self.text:
            return None
        step = self.steps[-1] if self.step is None else self.step
        return InspectKey(str(checkpoint_dir(self.run, self.variant, step)), self.text, self.start)

    def checkpoints(self, kept: dict[str, list[int]]) -> None:
        """The run's checkpoints, as they were just listed."""
        self.kept = kept
        if self.variants and self.variant not in self.variants:
            self.variant = self.variants[0]
        if self.step is not None and self.step not in self.steps:
            self.step = None

    def other_variant(self) -> bool:
        """Dense or MoE, at the same step if it has that one, else the nearest; False: no other."""
        if len(self.variants) < 2:
            return False
        self.variant = state.after(self.variant, tuple(self.variants))
        if self.step is not None:
            self.step = min(self.steps, key=lambda step: abs(step - (self.step or 0)))
        self.look()
        return True

    def to_step(self, step: int | None) -> None:
        """Another checkpoint; None follows the newest."""
        self.step = step
        self.look()

    def timeline(self, by: int) -> bool:
        """A checkpoint on or back; False at the end of the timeline."""
        if not self.steps:
            return False
        place = self.steps.index(self.step) if self.step in self.steps else len(self.steps) - 1
        if not 0 <= place + by < len(self.steps):
            return False
        step = self.steps[place + by]
        self.to_step(None if place + by == len(self.steps) - 1 else step)
        return True

    def play(self) -> None:
        """Begin or end to play; at the end of the timeline from its beginning."""
        self.playing = not self.playing and len(self.steps) > 1
        if self.playing and self.step is None:
            self.to_step(self.steps[0])

    # -- which text -----------------------------------------------------------------------------

    def unknown(self, text: str) -> set[str]:
        """The characters that the models do not know."""
        return unknown_characters(text, self.known)

    def begin(self, text: str) -> None:
        """Something to look at while nobody chose a text, and a line of the corpus soon."""
        if self._given or self.text or self.run is None or not self.variants:
            return
        self._use("".join(c for c in text if not self.unknown(c)), "last prompt")
        self.pick()

    def pick(self) -> None:
        """Ask for a line of the corpus."""
        self._picks = 0
        self._picking = self._number()
        self._ask(CorpusLineRequest(self._picking, self.data))

    @property
    def data(self) -> str:
        """What the run was trained on, as ``--data`` takes it."""
        if self.run is None:
            return "auto"
        try:
            return str(read_config(self.run).get("data", "auto"))
        except TinyGPTError:
            return "auto"

    def give(self, text: str, source: str, at: int | None = None) -> bool:
        """Look at this text, the cursor at its token `at`. False: it is empty, and stays as is."""
        unknown = self.unknown(text)
        kept = "".join(c for c in text if c not in unknown)
        if not kept:
            self.words = "There is no character in that text that the models know"
            return False
        self._given = True
        before = at if at is None else sum(c not in unknown for c in text[:at])
        self._use(kept, source, before)
        if unknown:
            self.words = f"left out, not in the vocabulary: {summarize(sorted(unknown), 8)}"
        return True

    def _use(self, text: str, source: str, at: int | None = None) -> None:
        self.text, self.source, self.start, self.words = text, source, 0, ""
        self._at = LAST if at is None else at
        if self.shown is not None and at is not None:
            self.start = max(0, min(at - self.shown.context // 2, len(text) - self.shown.context))
        self.look()

    def page(self, by: int) -> bool:
        """Another part of a long text; False if there is none."""
        shown = self.shown
        if shown is None or shown.size in (shown.total, 0):
            return False
        start = shown.start + by * max(shown.size // 2, 1)
        start = max(0, min(start, shown.total - shown.size))
        if start == shown.start:
            return False
        self.start = start
        self.look()
        return True

    # -- the engine -----------------------------------------------------------------------------

    def look(self) -> None:
        """Show what is wished for: from what is kept, else ask. One look is on its way at most."""
        wish = self.wish
        if wish is None:
            return
        if wish in self._seen:
            self._seen.move_to_end(wish)
            self._show(self._seen[wish])
        elif self._pending is None and wish != self._refused:
            self._pending = (self._number(), wish)
            self._ask(InspectRequest(self._pending[0], wish.path, wish.text, wish.start))

    def take(self, reply: Reply) -> bool:
        """An answer of the engine; whether it was for this tab."""
        if self._pending is not None and reply.job == self._pending[0]:
            _, wish = self._pending
            self._pending = None
            if isinstance(reply, InspectResult):
                self._keep(wish, results.inspected_text(reply))
            elif isinstance(reply, Failed):
                self._refused, self.words, self.playing = wish, reply.why, False
            self.look()
        elif reply.job == self._picking:
            self._picked(reply)
        elif reply.job == self._surveying:
            self._surveyed(reply)
        else:
            return False
        return True

    def _keep(self, wish: InspectKey, shown: InspectedText) -> None:
        self._seen[wish] = shown
        while len(self._seen) > 1 and self._weight() > KEPT_BYTES:
            self._seen.popitem(last=False)

    def _weight(self) -> int:
        return sum(kept.attention.nbytes for kept in self._seen.values())

    def _show(self, shown: InspectedText) -> None:
        before, self.shown = self.shown, shown
        if before is not None and self.words and self._at is None:
            self.words = ""
        if self._at is not None:
            at = shown.start + shown.size - 1 if self._at == LAST else self._at
            if not shown.start <= at < shown.start + shown.size and shown.total > shown.size:
                self.start = max(0, min(at - shown.size // 2, shown.total - shown.size))
                if self.start != shown.start:
                    self.look()
                    return
            self._at = None
            self.choice = replace(self.choice, query=at - shown.start, origin=(0, 0))
            self.choice = fitted(self.choice, shown)
            line = self.matrix[self.choice.query, : self.choice.query + 1]
            self.choice = replace(self.choice, key=int(line.argmax()))
        self.choice = fitted(self.choice, shown)

    def _picked(self, reply: Reply) -> None:
        self._picking = None
        if isinstance(reply, CorpusLine):
            if len(reply.text) < SHORT and self._picks < PICKS:
                self._picks += 1
                self._picking = self._number()
                self._ask(CorpusLineRequest(self._picking, self.data))
                return
            text = "".join(c for c in reply.text if not self.unknown(c))
            if text and not (self._given and self.source != "corpus"):
                self._use(text, "corpus")
        elif isinstance(reply, Failed) and self._given:
            self.words = reply.why

    def corpus(self) -> None:
        """A line of the corpus, chosen by a person."""
        self._given, self.source = True, "corpus"
        self.pick()

    def ask_survey(self) -> None:
        """Have the heads surveyed over the validation split, unless they are."""
        wish = self.wish
        if wish is None or self._surveying is not None:
            return
        if self.survey is None or self.survey.path != wish.path:
            self._surveying = self._number()
            self._ask(SurveyRequest(self._surveying, wish.path, self.data))

    def _surveyed(self, reply: Reply) -> None:
        self._surveying = None
        if isinstance(reply, SurveyResult):
            self.survey = reply
            self.choice = replace(self.choice, statistic=SURVEYED[-1])
        elif isinstance(reply, Failed):
            self.words = reply.why

    # -- what is shown --------------------------------------------------------------------------

    @property
    def matrix(self) -> Floats:
        """(T, T) of the head that is chosen."""
        if self.shown is None:
            return np.zeros((0, 0), np.float32)
        return self.shown.matrix(self.choice.layer, self.choice.head, self.choice.mode)

    @property
    def statistics(self) -> dict[str, Floats]:
        """(L, H) each."""
        return results.all_statistics(self.shown, self.survey) if self.shown else {}

    def next_statistic(self) -> None:
        """What stands under each thumbnail."""
        names = tuple(self.statistics) or STATISTICS
        self.choice = replace(self.choice, statistic=state.after(self.choice.statistic, names))

    def toggle_pin(self) -> bool:
        """Hold the map of now on the left; whether one is held."""
        if self.pin is not None or self.shown is None:
            self.pin = None
            return False
        choice = self.choice
        self.pin = Pin(self.shown, choice.layer, choice.head, choice.mode)
        if choice.level not in ("head", "window"):
            self.choice = replace(choice, level="head")
        return True

    def scene(self) -> Scene:
        """Everything that is shown."""
        choice = self.choice
        if self.statistics and choice.statistic not in self.statistics:
            choice = replace(choice, statistic=next(iter(self.statistics)))
        return Scene(
            choice=choice,
            shown=self.shown,
            statistics=self.statistics,
            uniform_baselines=self.survey.uniform_baseline if self.survey else {},
            pin=self.pin,
            steps=tuple(self.steps),
            following=self.step is None,
            playing=self.playing,
            busy=self.busy,
            source=self.source,
            words=self.words or self._why_nothing(),
        )

    def _why_nothing(self) -> str:
        if self.shown is not None:
            return ""
        if self.run is None:
            return "There is no run: n starts one. Its first checkpoint comes at once."
        if not self.variants:
            return "This run has no checkpoint yet: the first is written before its first step."
        return "" if self.text else "There is no text to look at: t types one."
