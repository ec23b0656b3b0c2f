"""The Attention tab's widget: keys change the choice or ask the engine; the view draws."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.timer import Timer

from tinygpt.analysis import export
from tinygpt.data.tokenizer import summarize
from tinygpt.files import atomic
from tinygpt_tui import theme
from tinygpt_tui.attention import layout, state, view
from tinygpt_tui.attention.controller import AttentionController
from tinygpt_tui.attention.state import COLOURS, FACTORS, POOLINGS, SCALES, Choice
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.messages import EngineReply, ask_for
from tinygpt_tui.engine.results import MODES
from tinygpt_tui.keymap import LOOK
from tinygpt_tui.prompt_history import Prompts
from tinygpt_tui.render.svg import svg
from tinygpt_tui.screens.dialog import AskText
from tinygpt_tui.screens.file_name import file_problem, save_problem
from tinygpt_tui.screens.pick import PickDialog, PickResult
from tinygpt_tui.screens.unknown_characters import with_known
from tinygpt_tui.theme import NAMES
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView
from tinygpt_tui.widgets.prompt_area import PromptArea

FRAME = 0.03
"""Seconds between two frames that only answers of the engine ask for."""
PLAY = 0.5
"""Seconds that a checkpoint of the timeline stands."""
HINT = "Enter looks at it, Esc goes back, ctrl+r takes a line of the corpus"
"""Of the field that a text is typed into."""
LONGEST = 200_000
"""Characters of a file that are read."""


class Written:
    """What the Generate tab has written: prompt and text, and the character under its cursor."""

    def __init__(self, text: str, at: int | None) -> None:
        self.text, self.at = text, at


class AttentionPane(Container):
    """All heads, one head, a part of it, the text: a ladder that Enter and Esc climb."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(LOOK)
    DEFAULT_CSS = """
    AttentionPane { height: 1fr; }
    AttentionPane PromptArea { display: none; height: 3; }
    AttentionPane #looked { height: 1fr; }
    """
    can_focus = True

    def __init__(
        self,
        engine: Engine,
        written: Callable[[], Written | None],
        *,
        glyphs: bool = False,
        id: str | None = None,
    ) -> None:
        """`written` gives what the Generate tab has written. `glyphs`: there are no colours."""
        super().__init__(id=id)
        self.engine, self._written = engine, written
        self.controller = AttentionController(ask_for(self, engine), engine.number, glyphs=glyphs)
        self._timer: Timer | None = None
        self._timeline: Timer | None = None
        self._drawn = 0.0

    def compose(self) -> ComposeResult:
        """A field that is opened to type a text, and everything else."""
        yield PromptArea("", self.controller.unknown, id="looked-text")
        yield CellView(id="looked")

    def open(self, run: Path | None) -> None:
        """Look into this run's models from now on."""
        self.controller.open(run)
        self.draw()

    def checkpoints(self, kept: dict[str, list[int]]) -> None:
        """The run's checkpoints, as they were just listed."""
        if kept != self.controller.kept:
            self.controller.checkpoints(kept)
            if self.is_on_screen:
                self.shown()

    def shown(self) -> None:
        """The tab is on the screen: something is looked at, whatever was chosen before."""
        self.controller.learn()
        if self.controller.variants:
            self.engine.start()
            written = None if self.controller.text else self._written()
            if written is not None and len(written.text) > 1:
                self.controller.give(written.text, "Generate", written.at)
            self.controller.begin(Prompts().last)
            self.controller.look()
        self.draw()

    # -- drawing --------------------------------------------------------------------------------

    def on_resize(self, _: events.Resize) -> None:
        """Lay everything out anew."""
        self.call_after_refresh(self.draw)

    def on_show(self) -> None:
        """Catch up."""
        self.draw()

    @property
    def choice(self) -> Choice:
        """What is looked at, and how."""
        return self.controller.choice

    @property
    def room(self) -> tuple[int, int]:
        """Columns and lines of what is drawn."""
        size = self.query_one("#looked", CellView).size
        return size.width, size.height

    def choose(self, choice: Choice) -> None:
        """Take a choice, and show it."""
        self.controller.choice = choice
        self.draw()

    def draw_later(self) -> None:
        """Within a frame."""
        if self._timer is None:
            wait = max(FRAME - (time.monotonic() - self._drawn), 0.001)
            self._timer = self.set_timer(wait, self.draw)

    def draw(self) -> None:
        """Everything, now; what did not change is not sent."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        columns, lines = self.room
        if not self.is_on_screen or not columns or not lines:
            return
        self._drawn = time.monotonic()
        controller = self.controller
        if controller.shown is not None and controller.shown.size:
            controller.choice = layout.settled(
                controller.choice,
                controller.shown,
                controller.statistics,
                (columns, lines),
                pin=controller.pin,
            )
        self.query_one("#looked", CellView).show(view.tab(controller.scene(), columns, lines))

    # -- the engine -----------------------------------------------------------------------------

    def on_engine_reply(self, message: EngineReply) -> None:
        """Take it in; drawn with the next frame."""
        if self.controller.take(message.reply):
            self.draw_later()

    # -- the ladder -----------------------------------------------------------------------------

    def action_enter(self) -> None:
        """Further in; past the window where the head's map is as large and has the same labels."""
        past = self.choice.level == "head" and self._roomy()
        self.choose(state.climb(self.choice, 2 if past else 1))

    def _roomy(self) -> bool:
        shown = self.controller.shown
        if shown is None or self.choice.factor:
            return False
        framed = self._frame(replace(self.choice, level="head"))
        return not framed.pooled and framed.pixels.factor > 1

    def action_back(self) -> None:
        """Stop the timeline; else further out."""
        if self.controller.playing:
            self.action_play()
            return
        self.controller.words = ""
        past = self.choice.level == "text" and self._roomy()
        self.choose(state.climb(self.choice, -2 if past else -1))

    def action_move(self, across: int, down: int) -> None:
        """The cursor, or another head."""
        shown, choice = self.controller.shown, self.choice
        if shown is None or not shown.size:
            return
        match choice.level:
            case "grid":
                self._move_head(across, down)
            case "head":
                self._move_bucket(across, down)
            case "window":
                self.choose(state.move(choice, shown, queries=down, keys=across))
            case "text":
                self._move_character(across, down)

    def _move_head(self, across: int, down: int) -> None:
        shown, controller = self.controller.shown, self.controller
        assert shown is not None
        columns, lines = self.room
        body = layout.plan(self.choice, columns, lines).body
        wide = layout.thumbnails(shown.layers, shown.heads, columns, body).across
        every = state.order(self.choice, controller.statistics, shown)
        self.choose(state.walk(self.choice, every, across + down * wide))

    def _move_bucket(self, across: int, down: int) -> None:
        controller, choice, shown = self.controller, self.choice, self.controller.shown
        assert shown is not None
        framed = self._frame(choice)
        if not framed.pooled:
            self.choose(state.move(choice, shown, queries=down, keys=across))
            return
        self.choose(
            state.move_buckets(choice, controller.matrix, framed.pixels, down=down, right=across)
        )

    def _frame(self, choice: Choice) -> layout.Frame:
        """The map as it stands on the screen."""
        controller, shown = self.controller, self.controller.shown
        assert shown is not None
        pinned = controller.pin is not None
        planned = layout.plan(choice, *self.room, pinned=pinned)
        wide, high = layout.map_size(planned, pinned=pinned)
        total = shown.start + shown.size
        return layout.frame(choice, controller.matrix, wide, high, total=total)

    def _move_character(self, across: int, down: int) -> None:
        shown, choice = self.controller.shown, self.choice
        assert shown is not None
        query = choice.query + across
        if down:
            flow = view.flow_of(shown, self.room[0])
            line, column = flow.place(query)
            line = min(max(line + down, 0), flow.height - 1)
            found = flow.token_at(line, column)
            query = query if found is None else found
        moved = state.move(replace(choice, query=query), shown)
        line_ = self.controller.matrix[moved.query, : moved.query + 1]
        self.choose(replace(moved, key=int(line_.argmax())))

    def action_jump(self, where: str) -> None:
        """To the first or the last query."""
        shown = self.controller.shown
        if shown is not None and shown.size:
            query = 0 if where == "first" else shown.size - 1
            self.choose(state.fitted(replace(self.choice, query=query), shown))

    def action_head(self, by: int) -> None:
        """Another head."""
        if self.controller.shown is not None:
            self.choose(state.turn(self.choice, self.controller.shown, heads=by))

    def action_layer(self, by: int) -> None:
        """Another layer."""
        if self.controller.shown is not None:
            self.choose(state.turn(self.choice, self.controller.shown, layers=by))

    # -- how it is looked at --------------------------------------------------------------------

    def action_mode(self) -> None:
        """A head, the mean of heads, rollout."""
        mode = MODES[(MODES.index(self.choice.mode) + 1) % len(MODES)]
        level = "head" if self.choice.level == "grid" and mode != "head" else self.choice.level
        self.choose(replace(self.choice, mode=mode, level=level))

    def action_statistic(self) -> None:
        """What stands under each head."""
        self.controller.next_statistic()
        self.draw()

    def action_sort(self) -> None:
        """By the statistic, or by layer."""
        self.choose(replace(self.choice, ordered=not self.choice.ordered))

    def action_survey(self) -> None:
        """The heads over the validation split."""
        self.controller.ask_survey()
        self.notify("Surveying all heads over a sample of the validation split", timeout=2)

    def action_colours(self) -> None:
        """Another colour map."""
        paint = self.choice.paint
        chosen = state.after(paint.colours, COLOURS)
        self.choose(replace(self.choice, paint=replace(paint, colours=chosen)))

    def action_scale(self) -> None:
        """Root, linear, each row by its own."""
        paint = self.choice.paint
        scale = SCALES[(SCALES.index(paint.scale) + 1) % len(SCALES)]
        self.choose(replace(self.choice, paint=replace(paint, scale=scale)))

    def action_pooling(self) -> None:
        """The largest of a cell, or the mean."""
        paint = self.choice.paint
        pooling = POOLINGS[(POOLINGS.index(paint.pooling) + 1) % len(POOLINGS)]
        self.choose(replace(self.choice, paint=replace(paint, pooling=pooling)))

    def action_zoom(self, by: int) -> None:
        """Numbers larger or smaller; from a whole head, into its window."""
        now = self.choice.factor or (2 if by < 0 else 1)
        place = min(max(FACTORS.index(now) + by, 0), len(FACTORS) - 1)
        level = "window" if self.choice.level == "head" and by > 0 else self.choice.level
        self.choose(replace(self.choice, factor=FACTORS[place], level=level))

    def action_incoming(self) -> None:
        """Where a character looks, or who looks at it."""
        self.choose(replace(self.choice, incoming=not self.choice.incoming, level="text"))

    def action_pin(self) -> None:
        """Hold this map and compare it with others."""
        if self.controller.toggle_pin():
            self.notify("Held on the left: choose another head, model, step or text", timeout=3)
        self.draw()

    # -- which model ----------------------------------------------------------------------------

    def action_variant(self) -> None:
        """Dense or MoE."""
        if not self.controller.other_variant():
            self.notify("There is no checkpoint of the other model", timeout=2)
        self.draw()

    def action_timeline(self, by: int) -> None:
        """A checkpoint on or back."""
        self.controller.timeline(by)
        self.draw()

    def action_play(self) -> None:
        """Through all checkpoints."""
        self.controller.play()
        if self._timeline is None:
            self._timeline = self.set_interval(PLAY, self._advance, pause=True)
        if self.controller.playing:
            self._timeline.reset()
            self._timeline.resume()
        else:
            self._timeline.pause()
        self.draw()

    def _advance(self) -> None:
        """The next checkpoint, once this one is on the screen."""
        if (
            not self.controller.playing
            or not self.is_on_screen
            or (not self.controller.busy and not self.controller.timeline(1))
        ):
            self.controller.playing = False
        if not self.controller.playing and self._timeline is not None:
            self._timeline.pause()
        self.draw()

    def action_checkpoint(self) -> None:
        """Any that is kept."""
        controller = self.controller
        entries = [("newest", "the newest, whichever it is")]
        entries += [
            (str(step), f"{NAMES[controller.variant]:<6} step {step:>8,}")
            for step in reversed(controller.steps)
        ]

        def answered(picked: PickResult | None) -> None:
            if picked is not None:
                controller.to_step(None if picked.value == "newest" else int(picked.value))
                self.draw()

        at = [value for value, _ in entries].index(
            "newest" if controller.step is None else str(controller.step)
        )
        self.app.push_screen(
            PickDialog(
                "Checkpoint",
                entries,
                at=at,
            ),
            answered,
        )

    # -- which text -----------------------------------------------------------------------------

    def action_page(self, by: int) -> None:
        """Another part of a long text."""
        if not self.controller.page(by):
            self.notify("There is no more of the text", timeout=2)
        self.draw()

    def action_type(self) -> None:
        """A text to look at."""
        field = self.query_one(PromptArea)
        field.display = True
        field.put(self.controller.text)
        field.focus()
        self.controller.words = HINT
        self.call_after_refresh(self.draw)

    def on_text_area_changed(self) -> None:
        """Say at once which characters no model knows."""
        field = self.query_one(PromptArea)
        if not field.display:
            return
        unknown = self.controller.unknown(field.text)
        self.controller.words = (
            f"not in the vocabulary: {summarize(sorted(unknown), 8)}" if unknown else HINT
        )
        self.draw()

    def on_prompt_area_left(self) -> None:
        """Nothing is changed."""
        self.controller.words = ""
        self._close_field()

    def on_prompt_area_submitted(self) -> None:
        """Look at it, once every character is known."""
        field = self.query_one(PromptArea)
        with_known(
            self.app,
            field.text,
            self.controller.unknown,
            self._typed,
            field.focus,
        )

    def _typed(self, text: str) -> None:
        if not text:
            self.query_one(PromptArea).focus()
            self.controller.words = (
                "An empty text has nothing to look at: type at least one character"
            )
            self.draw()
            return
        self.controller.give(text, "typed")
        self._close_field()

    def on_prompt_area_random_line(self) -> None:
        """A line of the corpus instead."""
        self.controller.words = ""
        self._close_field()
        self.action_corpus()

    def _close_field(self) -> None:
        self.query_one(PromptArea).display = False
        self.focus()
        self.call_after_refresh(self.draw)

    def action_corpus(self) -> None:
        """A random line."""
        self.controller.corpus()
        self.draw()

    def action_written(self) -> None:
        """What the Generate tab wrote."""
        written = self._written()
        if written is None or not written.text:
            self.controller.words = "The Generate tab has written nothing yet: 2, then g"
        else:
            self.controller.give(written.text, "Generate", written.at)
        self.draw()

    def action_file(self) -> None:
        """A text file."""
        self.app.push_screen(
            AskText(
                "Look at the text of a file",
                "",
                file_problem,
                title="File",
            ),
            self._file_named,
        )

    def _file_named(self, name: str | None) -> None:
        if not name:
            return
        path = Path(name).expanduser()
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(LONGEST)
        except OSError as error:
            self.controller.words = f"cannot read {path}: {error.strerror}"
        else:
            self.controller.give(text, path.name)
        self.draw()

    # -- files ----------------------------------------------------------------------------------

    def action_save(self) -> None:
        """The map, everything, the statistics, or the picture."""
        if self.controller.shown is None:
            self.notify("There is nothing to save yet", severity="warning")
            return
        entries = [
            ("csv", "this map as CSV, a row a query"),
            ("npz", "all layers and heads as NPZ, for NumPy"),
            ("heads", "statistics of all heads as CSV"),
            ("svg", "this view as an SVG picture"),
        ]
        self.app.push_screen(
            PickDialog("Save", entries),
            self._save_what,
        )

    def _save_what(self, picked: PickResult | None) -> None:
        shown, choice = self.controller.shown, self.choice
        if picked is None or shown is None:
            return
        what = picked.value
        part = {
            "csv": f"layer{choice.layer}-head{choice.head}.csv",
            "npz": "attention.npz",
            "heads": "heads.csv",
            "svg": f"{choice.level}.svg",
        }[what]
        if what == "csv" and choice.mode != "head":
            part = f"layer{choice.layer}-{choice.mode}.csv"

        def answered(name: str | None) -> None:
            if name:
                self._save(what, Path(name).expanduser())

        self.app.push_screen(
            AskText(
                "Save to a file; one that is there is not replaced",
                f"{shown.variant}-{shown.step}-{part}",
                save_problem,
                title="Save",
                keep=True,
            ),
            answered,
        )

    def _save(self, what: str, path: Path) -> None:
        shown, controller = self.controller.shown, self.controller
        assert shown is not None
        try:
            match what:
                case "csv":
                    export.write_map_csv(path, controller.matrix, list(shown.texts))
                case "npz":
                    export.write_npz(
                        path,
                        attention=shown.attention,
                        tokens=np.array(shown.texts),
                        step=np.array(shown.step),
                        variant=np.array(shown.variant),
                        start=np.array(shown.start),
                        **controller.statistics,
                    )
                case "heads":
                    export.write_heads_csv(path, controller.statistics)
                case _:
                    atomic.write_text(path, self._picture())
        except OSError as error:
            self.notify(f"cannot write {path}: {error.strerror}", severity="error", markup=False)
            return
        self.notify(f"Saved {path}", markup=False)

    def _picture(self) -> str:
        dark = self.app.current_theme.dark
        rows = self.query_one("#looked", CellView).rows
        return svg(rows, lambda name: theme.style(name, dark=dark), dark=dark)
