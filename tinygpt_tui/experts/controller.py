"""What the Experts tab holds and does, without its widgets: whom it asks, and what is answered.

At most one request of a kind is pending: stepping quickly through the timeline asks for the
checkpoint that is reached, not for those that were passed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from tinygpt.errors import TinyGPTError
from tinygpt.run import checkpoint_dir, read_config
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
from tinygpt_tui.engine.results import RoutedText, RoutingSurvey
from tinygpt_tui.experts import lift_table, routed_text
from tinygpt_tui.experts.lift_table import ORDERS
from tinygpt_tui.experts.view import VIEWS, Scene
from tinygpt_tui.monitor.history import History

PICKED = 3
"""Lines of the corpus that make a text."""
KEPT = 64
"""Answers of a kind that are kept: the whole timeline of a run, several times."""

Answer = TypeVar("Answer")
Key: TypeAlias = tuple[object, ...]


@dataclass
class Asked(Generic[Answer]):
    """One kind of question: what was answered, and what is on its way."""

    answers: OrderedDict[Key, Answer] = field(default_factory=OrderedDict)
    failed: dict[Key, str] = field(default_factory=dict)
    job: int | None = None
    key: Key = ()

    def find(self, key: Key) -> Answer | None:
        """The answer, if there is one."""
        if key in self.answers:
            self.answers.move_to_end(key)
        return self.answers.get(key)

    def open(self, key: Key) -> bool:
        """Whether it is to be asked now."""
        return self.job is None and key not in self.failed

    def begin(self, job: int, key: Key) -> None:
        """It was asked."""
        self.job, self.key = job, key

    def end(self, answer: Answer | None, why: str = "") -> None:
        """It was answered, or why it cannot be."""
        if answer is not None:
            self.answers[self.key] = answer
            while len(self.answers) > KEPT:
                self.answers.popitem(last=False)
        else:
            self.failed[self.key] = why
        self.job = None


class ExpertsController:
    """A run's checkpoints, a text, and where one looks."""

    def __init__(
        self, ask: Callable[[Request], None], number: Callable[[], int], *, digits: bool = False
    ) -> None:
        self._ask, self._number = ask, number
        self.run: Path | None = None
        self.awake = False
        """Whether the tab is shown: nothing is asked for one that is not."""
        self.text = ""
        self.start = 0
        """The first token of the window of the text."""
        self.scene = Scene(digits=digits)
        self._known = False
        """Whether the first record of the run is there."""
        self._looks: Asked[RoutedText] = Asked()
        self._surveys: Asked[RoutingSurvey] = Asked()
        self._picks: dict[int, str] = {}
        self._sample = ""
        self._window: int | None = None
        """Where the cursor is to stand in a window that is on its way."""

    def _change(self, **changes: object) -> None:
        self.scene = replace(self.scene, **changes)  # type: ignore[arg-type]

    # -- the run --------------------------------------------------------------------------------

    def open(self, run: Path | None) -> None:
        """Another run: its answers are others, the text stays."""
        old = self.scene
        self.run, self._known, self._sample = run, False, ""
        self._looks, self._surveys, self._picks = Asked(), Asked(), {}
        self.scene = Scene(
            view=old.view,
            digits=old.digits,
            sorting=old.sorting,
            source=old.source,
        )
        self._say_nothing({})

    def news(self, history: History) -> bool:
        """What the records say now; whether anything that is shown changed."""
        before = self.scene
        self._known = history.start is not None
        moe = history.variants.get("moe")
        if moe is not None:
            if len(moe.routings) != len(before.routings) or moe.routing is not (
                before.routings[-1] if before.routings else None
            ):
                self._change(routings=tuple(moe.routings))
            if moe.sample is not None:
                self._sample = moe.sample.prompt + moe.sample.text
        self._say_nothing(dict.fromkeys(history.variants, 0))
        return self.scene is not before

    def _say_nothing(self, variants: dict[str, int]) -> None:
        """Why there is nothing to show, if so."""
        words = ""
        if self.run is None:
            words = "There is no run: n starts one, with a MoE unless it is told otherwise."
        elif "moe" not in variants and not self.scene.steps:
            words = (
                "This run trains Dense alone. It has no router, so there is nothing to route."
                if self._known
                else "The run has not written its first record yet."
            )
        if words != self.scene.nothing:
            self._change(nothing=words)

    def checkpoints(self, steps: Sequence[int]) -> bool:
        """Those of the MoE, ascending, as they were just listed; whether that is new."""
        if list(steps) == list(self.scene.steps):
            return False
        at = self.scene.at
        if steps and (self.scene.following or at is None):
            at = steps[-1]
        elif steps and at not in steps:  # pruned
            at = min(steps, key=lambda step: abs(step - (at or 0)))
        self._change(steps=tuple(steps), at=at, nothing="" if steps else self.scene.nothing)
        self.wish()
        return True

    @property
    def data(self) -> str:
        """What the run was trained on, as --data takes it."""
        if self.run is None:
            return "auto"
        try:
            return str(read_config(self.run).get("data", "auto"))
        except TinyGPTError:
            return "auto"

    # -- asking ---------------------------------------------------------------------------------

    def wake(self, text: str) -> None:
        """The tab is shown; `text` is that of the Generate tab, for want of a better one."""
        self.awake = True
        for asked in (self._looks, self._surveys):
            asked.failed.clear()
        if not self.text and not self._picks:
            if text:
                self.read(text, "the Generate tab")
            elif self.scene.steps:
                self.pick()
        self.wish()

    def sleep(self) -> None:
        """The tab is hidden."""
        self.awake = False
        self._change(playing=False)

    def read(self, text: str, source: str) -> None:
        """Look at another text from its beginning."""
        self.text, self.start = text, 0
        self._change(source=source, cursor=0, note="")
        self._looks.failed.clear()
        self.wish()

    def pick(self) -> None:
        """Random lines of the corpus."""
        if self._picks:
            return
        data = self.data
        for _ in range(PICKED):
            job = self._number()
            self._picks[job] = ""
            self._ask(CorpusLineRequest(job, data))

    def wish(self) -> None:
        """Show what is known of what is looked at, and ask for what is not."""
        at, steps = self.scene.at, self.scene.steps
        if at is None or self.run is None or not steps:
            return
        path = str(checkpoint_dir(self.run, "moe", at))
        if self.awake and not self.text and not self._picks and self.scene.reading is None:
            self.pick()
        if self.text:
            self._wish_look(path)
        self._wish_survey(path, str(checkpoint_dir(self.run, "moe", steps[-1])))
        self._change(
            looking=self._looks.job is not None or bool(self._picks),
            surveying=self._surveys.job is not None,
        )

    def _wish_look(self, path: str) -> None:
        key = (path, self.text, self.start)
        found = self._looks.find(key)
        if found is not None:
            self._show(found)
        elif self.awake and self._looks.open(key):
            job = self._number()
            self._looks.begin(job, key)
            self._ask(InspectRequest(job, path, self.text, self.start))
        self._change(look_problem=self._looks.failed.get(key, ""))

    def _wish_survey(self, path: str, final: str) -> None:
        key = (path, final)
        found = self._surveys.find(key)
        if found is not None:
            if found is not self.scene.census:
                self._change(census=found)
        elif self.awake and self._surveys.open(key):
            job = self._number()
            self._surveys.begin(job, key)
            self._ask(SurveyRequest(job, path, self.data, final))
        self._change(survey_problem=self._surveys.failed.get(key, ""))

    def _show(self, found: RoutedText) -> None:
        if found is self.scene.reading:
            return
        last = len(found.texts) - 1
        cursor = self.scene.cursor if self._window is None else self._window - found.start
        self._window = None
        self._change(
            reading=found,
            cursor=min(max(cursor, 0), last),
            layer=min(self.scene.layer, found.layers - 1),
        )

    def take(self, reply: Reply) -> bool:
        """An answer of the engine; whether it was asked for here."""
        if reply.job in self._picks:
            self._picked(reply)
        elif reply.job == self._looks.job:
            self._take_look(reply)
        elif reply.job == self._surveys.job:
            self._take_survey(reply)
        else:
            return False
        self.wish()
        return True

    def _take_look(self, reply: Reply) -> None:
        if isinstance(reply, InspectResult):
            self._looks.end(results.routed_text(reply), "This checkpoint has no experts.")
        elif isinstance(reply, Failed):
            self._looks.end(None, f"The text cannot be looked at: {reply.why}")

    def _take_survey(self, reply: Reply) -> None:
        if isinstance(reply, SurveyResult):
            self._surveys.end(results.routing_survey(reply), "This checkpoint has no experts.")
        elif isinstance(reply, Failed):
            self._surveys.end(None, f"There is no survey: {reply.why}")

    def _picked(self, reply: Reply) -> None:
        """Once all lines are there they are the text; else what the model itself wrote."""
        if isinstance(reply, CorpusLine):
            self._picks[reply.job] = reply.text
            if all(self._picks.values()):
                text = "\n".join(self._picks.values())
                self._picks = {}
                self.read(text, "random lines of the corpus")
        elif isinstance(reply, Failed):
            self._picks = {}
            if self._sample and not self.text:
                self.read(self._sample, "its newest sample")
            self._change(note=f"There are no lines of the corpus: {reply.why}")

    # -- looking --------------------------------------------------------------------------------

    def move(self, by: int) -> None:
        """The cursor by tokens; over the edge of the window, the window by half of itself."""
        found, cursor = self.scene.reading, self.scene.cursor
        if found is None:
            return
        size, wanted = len(found.texts), cursor + by
        if 0 <= wanted < size or size == found.total:
            self._change(cursor=min(max(wanted, 0), size - 1))
            return
        place = min(max(found.start + wanted, 0), found.total - 1)
        start = min(max(place - size // 2, 0), found.total - size)
        if start == found.start:
            self._change(cursor=place - start)
            return
        self.start, self._window = start, place
        self.wish()

    def move_lines(self, by: int, columns: int) -> None:
        """The cursor by lines of a text so wide."""
        found = self.scene.reading
        if found is None:
            return
        flow = routed_text.lay_out(found, columns)
        line, at = flow.place(self.scene.cursor)
        token = flow.token_at(line + by, at)
        self.move(by * (columns - 2) if token is None else token - self.scene.cursor)

    @property
    def layers(self) -> int:
        """L, as far as anything is known."""
        shown = self.scene
        if shown.reading:
            return shown.reading.layers
        if shown.census:
            return shown.census.layers
        return len(shown.routings[-1].load) if shown.routings else 1

    def move_layer(self, by: int) -> None:
        """Another layer."""
        self._change(layer=min(max(self.scene.layer + by, 0), self.layers - 1))

    def next_view(self, *, joined: bool) -> None:
        """Load, text, table; `joined`: load and text are one."""
        place = VIEWS.index(self.scene.view)
        wanted = VIEWS[(place + 1) % len(VIEWS)]
        if joined:
            wanted = "load" if self.scene.view == "table" else "table"
        self._change(view=wanted)

    def toggle_digits(self) -> None:
        """The number of the expert under each character."""
        self._change(digits=not self.scene.digits)

    # -- the table ------------------------------------------------------------------------------

    def scroll(self, by: int, room: int) -> None:
        """The table by rows, of which `room` are seen."""
        found = self.scene.census
        if found is None:
            return
        total = lift_table.rows_of(
            found, min(self.scene.layer, found.layers - 1), self.scene.sorting
        )
        top = min(max(self.scene.sorting.top + by, 0), max(total - room, 0))
        self._sort(top=top)

    def _sort(self, **changes: object) -> None:
        self._change(sorting=replace(self.scene.sorting, **changes))  # type: ignore[arg-type]

    def toggle_classes(self) -> None:
        """Characters or their classes."""
        self._sort(classes=not self.scene.sorting.classes, top=0)

    def next_order(self) -> None:
        """Lift, count, name."""
        place = ORDERS.index(self.scene.sorting.order)
        self._sort(order=ORDERS[(place + 1) % len(ORDERS)], top=0)

    def next_expert(self) -> None:
        """Whose."""
        experts = self.scene.census.experts if self.scene.census else 1
        self._sort(expert=(self.scene.sorting.expert + 1) % experts, top=0)

    # -- the timeline ---------------------------------------------------------------------------

    def timeline(self, by: int) -> None:
        """Another checkpoint."""
        steps, at = self.scene.steps, self.scene.at
        if not steps or at is None:
            return
        place = steps.index(at) + by
        self._go(min(max(place, 0), len(steps) - 1))

    def follow(self) -> None:
        """The newest checkpoint, from now on."""
        if self.scene.steps:
            self._change(playing=False)
            self._go(len(self.scene.steps) - 1)

    def _go(self, place: int) -> None:
        steps = self.scene.steps
        last = place == len(steps) - 1
        self._change(at=steps[place], following=last, note="")
        self.wish()

    def play(self) -> None:
        """From here to the newest checkpoint, at the end from the first; or stop."""
        if self.scene.playing or len(self.scene.steps) < 2:
            self._change(playing=False)
            return
        self._change(playing=True)
        if self.scene.at == self.scene.steps[-1]:
            self._go(0)

    def tick(self) -> bool:
        """The next frame of the timeline, once this one is seen; whether there was one."""
        if not self.scene.playing or self._looks.job is not None:
            return False
        if self.scene.view == "table" and self._surveys.job is not None:
            return False
        self.timeline(1)
        if self.scene.following:
            self._change(playing=False)
        return True

    def say(self, note: str) -> None:
        """A sentence below everything, until another key."""
        if note != self.scene.note:
            self._change(note=note)
