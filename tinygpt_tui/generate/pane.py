"""The Generate tab's widget: keys act on the controller, the view draws."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.text import Text as Rich
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.timer import Timer
from textual.widgets import Input, Static

from tinygpt.data.tokenizer import summarize
from tinygpt.errors import ConfigError
from tinygpt.files import atomic
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.messages import EngineReply, ask_for
from tinygpt_tui.engine.protocol import CorpusLine, Failed
from tinygpt_tui.generate import presets, view
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.screens import tree_entries
from tinygpt_tui.generate.settings import (
    BY_NAME,
    PRESETS,
    Setting,
    chain_words,
    changed,
    parsed,
    preset_name,
    stepped,
    typed,
    with_preset,
)
from tinygpt_tui.generate.tree import Text, reproducible
from tinygpt_tui.keymap import WRITE
from tinygpt_tui.prompt_history import Prompts
from tinygpt_tui.render.cells import Row, beside, fit
from tinygpt_tui.render.text import sentence
from tinygpt_tui.screens.dialog import Ask, AskText
from tinygpt_tui.screens.file_name import save_problem
from tinygpt_tui.screens.pick import PickDialog, PickResult
from tinygpt_tui.screens.unknown_characters import with_known
from tinygpt_tui.theme import NAMES
from tinygpt_tui.widgets.bindings import bindings
from tinygpt_tui.widgets.cell_view import CellView
from tinygpt_tui.widgets.prompt_area import PromptArea, SettingInput

FRAME = 0.08
"""Seconds between two frames that only new tokens ask for."""


class GeneratePane(Container):
    """Prompt, settings, the texts, and what stands under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(WRITE)
    DEFAULT_CSS = """
    GeneratePane { height: 1fr; }
    GeneratePane #settings { height: 2; }
    GeneratePane #chain { height: 1; }
    GeneratePane #field { height: 1; display: none; }
    GeneratePane #field Static { width: auto; height: 1; }
    GeneratePane #texts { height: 1fr; }
    """
    can_focus = True

    def __init__(self, engine: Engine, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.engine = engine
        self.controller = GenerateController(ask_for(self, engine), engine.number)
        self.prompts = Prompts()
        self.presets = PRESETS | presets.saved_presets()
        self._field: Setting | None = None
        self._before: SamplingParams = self.controller.params
        self._lines: set[int] = set()
        self._timer: Timer | None = None
        self._drawn = 0.0
        self._note = ""
        self._inspector = 0

    def compose(self) -> ComposeResult:
        """From the top: the prompt, the settings, the chain or the field, the texts."""
        yield PromptArea(self.prompts.last, self.controller.unknown, id="prompt")
        yield CellView(id="settings")
        yield CellView(id="chain")
        with Horizontal(id="field"):
            yield Static(id="field-name")
            yield SettingInput(compact=True, select_on_focus=True)
            yield Static(id="field-range")
        yield CellView(id="texts")

    def open(self, run: Path | None) -> None:
        """Write with this run's models from now on."""
        self.controller.open(run)
        self.draw()

    def shown(self) -> None:
        """The tab is on the screen: have the engine ready."""
        self.controller.load_vocabulary()
        if self.controller.variants:
            self.engine.start()
        self.draw()

    @property
    def prompt(self) -> str:
        """As it stands in the editor."""
        return self.query_one(PromptArea).text

    # -- drawing --------------------------------------------------------------------------------

    def on_resize(self, _: events.Resize) -> None:
        """Lay everything out anew."""
        self.call_after_refresh(self.draw)

    def on_show(self) -> None:
        """Catch up."""
        self.draw()

    def checkpoints(self, kept: dict[str, list[int]]) -> None:
        """The run's checkpoints, as they were just listed."""
        if kept == self.controller.kept:
            return
        self.controller.kept = kept
        self.controller.load_vocabulary()
        self.controller.look_for_newer()
        self.draw()

    def draw_later(self) -> None:
        """Within a frame."""
        if self._timer is None:
            wait = max(FRAME - (time.monotonic() - self._drawn), 0.01)
            self._timer = self.set_timer(wait, self.draw)

    def draw(self) -> None:
        """Everything, now."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self.is_on_screen or not self.size.width:
            return
        self._drawn = time.monotonic()
        params, width = self.controller.params, self.size.width
        rows = view.settings_rows(params, width)
        settings = self.query_one("#settings", CellView)
        settings.styles.height = len(rows) if self.size.height >= 16 else 0
        settings.show(rows)
        prompt = self.query_one(PromptArea)
        prompt.styles.height = 3 if self.size.height >= 28 else 2
        name = preset_name(params, self.presets)
        self.query_one("#chain", CellView).show(
            [
                view.chain_row(
                    params,
                    name,
                    width,
                )
            ]
        )
        texts = self.query_one("#texts", CellView)
        texts.show(self._texts(texts.size.width, texts.size.height))

    def _texts(self, width: int, height: int) -> list[Row]:
        controller, look = self.controller, self.controller.look
        if not controller.sides and not controller.listed:
            return self._empty(width, height)
        below: list[Row] = []
        text = controller.text
        if self._note:
            below += sentence(self._note, width, "warn")
        if look.colour != "plain":
            routed = (side.text for side in controller.sides if side.text and side.text.experts)
            below.append(view.legend(look, next(routed, text), width))
        self._inspector = 0
        if controller.cursor is not None and text is not None and not controller.listed:
            across = max(1, width // view.CHOICE)
            every = 1 - (-len(text.tokens[controller.cursor].ids) // across)
            self._inspector = max(2, min(every, height // 2))
            below += view.inspector(
                text,
                controller.cursor,
                width,
                self._inspector,
                candidate=controller.candidate,
            )
        room = height - len(below)
        if controller.listed:
            found = controller.listed
            rows = view.listing(
                found,
                controller.place,
                width,
                room,
                look,
                timeline=controller.timeline,
                run=controller.run.name if controller.run else "",
            )
            return [*rows, *below]
        return [*self._columns(width, room), *below]

    def _columns(self, width: int, height: int) -> list[Row]:
        sides = self.controller.sides
        each = (width - (len(sides) - 1)) // len(sides)
        blocks = [
            view.column(
                side,
                each,
                height,
                self.controller.look,
                active=len(sides) > 1 and side is self.controller.side,
                cursor=self.controller.cursor if side is self.controller.side else None,
            )
            for side in sides
        ]
        return [fit(cells, width) for cells in beside(blocks)]

    def _empty(self, width: int, height: int) -> list[Row]:
        if self._note:
            words = [self._note]
        elif self.controller.run is None:
            words = ["There is no run: n starts one. Its first checkpoint comes at once."]
        elif not self.controller.variants:
            words = ["This run has no checkpoint yet: the first is written before its first step."]
        else:
            models = " and ".join(NAMES[v] for v in self.controller.variants)
            steps = ", ".join(f"{self._step(v):,}" for v in self.controller.variants)
            words = [
                f"g has the prompt answered by {models} (step {steps}).",
                "p edits the prompt, capital letters change the settings, ? shows every key.",
            ]
        rows = [fit((), width), *(r for line in words for r in sentence(line, width, "muted"))]
        return [*rows[:height], *[fit((), width)] * (height - len(rows))]

    def _step(self, variant: str) -> int:
        return self.controller.steps.get(variant, self.controller.newest(variant) or 0)

    # -- the engine -----------------------------------------------------------------------------

    def on_engine_reply(self, message: EngineReply) -> None:
        """Take it in; drawn with the next frame."""
        reply = message.reply
        if reply.job in self._lines:
            self._lines.discard(reply.job)
            if isinstance(reply, CorpusLine):
                self.query_one(PromptArea).put(reply.text)
            elif isinstance(reply, Failed):
                self.notify(reply.why, severity="warning", markup=False)
            return
        if self.controller.take(reply):
            if isinstance(reply, Failed):
                self._note = "h chooses another checkpoint"
            self.draw_later()

    # -- the prompt -----------------------------------------------------------------------------

    def action_prompt(self) -> None:
        """Edit it."""
        self.query_one(PromptArea).focus()

    def on_prompt_area_left(self) -> None:
        """To the texts."""
        self.focus()

    def on_prompt_area_submitted(self) -> None:
        """Write."""
        self.focus()
        self.action_write()

    def on_prompt_area_recall(self, message: PromptArea.Recall) -> None:
        """Walk through the prompts."""
        prompt = self.query_one(PromptArea)
        prompt.put(self.prompts.move(message.by, prompt.text))

    def on_prompt_area_random_line(self) -> None:
        """A line of what the run was trained on."""
        self._lines.add(self.controller.ask_corpus_line())

    def on_text_area_changed(self) -> None:
        """Say at once which characters no model knows."""
        unknown = self.controller.unknown(self.prompt)
        self._note = f"not in the vocabulary: {summarize(sorted(unknown), 8)}" if unknown else ""
        self.draw()

    # -- writing --------------------------------------------------------------------------------

    def action_write(self) -> None:
        """Answer the prompt."""
        self._with_known(self.controller.write)

    def action_several(self) -> None:
        """Samples."""
        self._with_known(self.controller.several)

    def action_timeline(self) -> None:
        """Through the checkpoints."""
        self._with_known(self.controller.replay)

    def _with_known(self, write: Callable[[str], bool]) -> None:
        """Write the prompt once all its characters are known to the models."""
        self.controller.load_vocabulary()

        def take(prompt: str) -> None:
            if prompt != self.prompt:
                self.query_one(PromptArea).put(prompt)
            self.prompts.used(prompt)
            self._note = ""
            if not write(prompt):
                self._say_no_model()
            self.draw()

        with_known(
            self.app,
            self.prompt,
            self.controller.unknown,
            take,
            self.action_prompt,
        )

    def _say_no_model(self) -> None:
        self.notify("There is no checkpoint to write with yet", severity="warning")

    def action_again(self) -> None:
        """The same seed."""
        if not self.controller.again():
            self.notify("Nothing was written yet: g writes", severity="warning")
        self.draw()

    def action_more(self) -> None:
        """Go on."""
        self.controller.more()
        self.draw()

    def action_one(self) -> None:
        """One token; without a text, the first of one."""
        if self.controller.text is None:
            self.action_write()
            return
        self.controller.step()
        self.draw()

    def action_back(self) -> None:
        """Stop, else a level out."""
        if not self.controller.stop():
            self.controller.back()
        self._note = ""
        self.draw()

    def action_models(self) -> None:
        """Which models answer."""
        there = [NAMES[variant] for variant, steps in self.controller.kept.items() if steps]
        if len(there) == 1:
            self.notify(f"{there[0]} answers: there is no checkpoint of another", timeout=2)
            return
        now = self.controller.next_models()
        answer = "Both models answer" if now == "both" else f"{NAMES[now]} alone answers"
        self.notify(answer, timeout=2)
        self.draw()

    def action_compare(self) -> None:
        """Two settings side by side."""
        if self.controller.toggle_compare():
            held = chain_words(self.controller.params)
            self.notify(f"A is held: {held}. Change the settings for B, then g", markup=False)
        else:
            self.notify("One setting again")

    # -- looking --------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Along the text; among choices, by a column."""
        if self.controller.candidate is not None:
            rows = view.rows_down(self._inspector)
            self.controller.choose(rows if by > 0 else -rows)
        else:
            self.controller.move(by)
        self.draw()

    def action_lines(self, by: int) -> None:
        """By a line; among choices, by one."""
        if self.controller.candidate is not None:
            self.controller.choose(by)
        else:
            self.controller.move_lines(by)
        self.draw()

    def action_enter(self) -> None:
        """Into what is under the cursor; else to the prompt."""
        if not self.controller.enter():
            self.action_prompt()
        self.draw()

    def action_other(self) -> None:
        """The other side."""
        self.controller.other()
        self.draw()

    def action_colour(self) -> None:
        """What colours say."""
        self.controller.next_colour()
        self.draw()

    def action_layer(self) -> None:
        """Whose experts."""
        self.controller.next_layer()
        self.draw()

    def action_marks(self) -> None:
        """Whitespace."""
        self.controller.toggle_marks()
        self.draw()

    # -- settings -------------------------------------------------------------------------------

    def action_set(self, name: str) -> None:
        """Switch it, or open its field."""
        setting = BY_NAME[name]
        value = getattr(self.controller.params, name)
        if isinstance(value, bool):
            self.controller.params = changed(self.controller.params, setting, not value)
            self.draw()
            return
        self._field, self._before = setting, self.controller.params
        self.query_one("#field").display = True
        self.query_one("#chain").display = False
        style = Rich(f" {setting.label} ", "bold")
        self.query_one("#field-name", Static).update(style)
        field = self.query_one(SettingInput)
        field.value = typed(self.controller.params, setting)
        field.focus()
        self._say_range(None)

    def _say_range(self, problem: str | None) -> None:
        assert self._field is not None
        steps = "  up/down step it" if self._field.ladder or self._field.name == "seed" else ""
        words = problem or f"{self._field.range}{steps}  Enter takes it"
        self.query_one("#field-range", Static).update(
            Rich(f" {words}", "bold red" if problem else "")
        )

    def on_setting_input_stepped(self, message: SettingInput.Stepped) -> None:
        """Up and down act at once."""
        if self._field is not None:
            self.controller.params = stepped(self.controller.params, self._field, message.by)
            field = self.query_one(SettingInput)
            field.value = typed(self.controller.params, self._field)
            field.cursor_position = len(field.value)
            self.draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """A value out of range is refused at the field."""
        if self._field is None:
            return
        try:
            self.controller.params = parsed(self._before, self._field, event.value)
            self._say_range(None)
        except ConfigError as error:
            self.controller.params = self._before
            self._say_range(str(error))
        self.draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the value, if it is one."""
        if self._field is None:
            return
        try:
            self.controller.params = parsed(self._before, self._field, event.value)
        except ConfigError as error:
            self._say_range(str(error))
            return
        self._close_field()

    def on_setting_input_left(self) -> None:
        """As it was."""
        self.controller.params = self._before
        self._close_field()

    def _close_field(self) -> None:
        self._field = None
        self.query_one("#field").display = False
        self.query_one("#chain").display = True
        self.focus()
        self.draw()

    def action_presets(self) -> None:
        """Take one, save one, forget one."""
        self.presets = PRESETS | presets.saved_presets()
        entries = [
            (name, f"{name:<12} {chain_words(preset)}") for name, preset in self.presets.items()
        ]
        keys = [("w", "save", "save these"), ("del", "forget", "forget")]
        now = preset_name(self.controller.params, self.presets)
        at = list(self.presets).index(now) if now else 0
        self.app.push_screen(
            PickDialog(
                "Presets",
                entries,
                keys=keys,
                at=at,
            ),
            self._preset_picked,
        )

    def _preset_picked(self, picked: PickResult | None) -> None:
        if picked is None:
            return
        if picked.action == "save":
            self.app.push_screen(
                AskText(
                    "Save these settings as",
                    "",
                    self._preset_problem,
                    title="Preset",
                ),
                self._save_preset,
            )
        elif picked.action == "forget":
            if picked.value in PRESETS:
                self.notify(f"{picked.value} is built in: it stays", severity="warning")
            else:
                presets.save_preset(picked.value, None)
        else:
            chosen = self.presets[picked.value]
            self.controller.params = with_preset(self.controller.params, chosen)
        self.draw()

    def _preset_problem(self, name: str) -> str | None:
        if not name.strip() or not name.isprintable():
            return "A name is at least one character that can be seen"
        return f"{name} is built in: choose another name" if name in PRESETS else None

    def _save_preset(self, name: str | None) -> None:
        if name:
            presets.save_preset(name, self.controller.params)
            self.presets = PRESETS | presets.saved_presets()
            self.draw()

    # -- checkpoints, texts ---------------------------------------------------------------------

    def action_checkpoint(self) -> None:
        """Any that is kept."""
        run = self.controller.run
        if run is None or not self.controller.variants:
            self._say_no_model()
            return
        entries = [("newest", "the newest of each")]
        for variant in self.controller.variants:
            steps = reversed(self.controller.kept[variant])
            entries += [(f"{variant} {s}", f"{NAMES[variant]:<6} step {s:>8,}") for s in steps]
        side = self.controller.side
        variant = side.text.opened.variant if side and side.text and side.text.opened else ""
        chosen = {f"{name} {step}" for name, step in self.controller.steps.items()}
        now = [place for place, (value, _) in enumerate(entries) if value in chosen]
        mine = [place for place in now if entries[place][0].startswith(f"{variant} ")]
        at = next(iter([*mine, *now]), 0)
        self.app.push_screen(
            PickDialog(
                "Checkpoint",
                entries,
                at=at,
            ),
            self._checkpoint_picked,
        )

    def _checkpoint_picked(self, picked: PickResult | None) -> None:
        if picked is None:
            return
        self._note = ""
        if picked.value == "newest":
            self.controller.steps = {}
        else:
            variant, step = picked.value.split()
            self.controller.steps[variant] = int(step)
        self.draw()

    def action_tree(self) -> None:
        """All texts."""
        self.controller.sweep()
        entries = tree_entries(self.controller.tree)
        if not entries:
            self.notify("Nothing was written yet: g writes", severity="warning")
            return
        text = self.controller.text
        at = [value for value, _ in entries].index(str(text.id)) if text else 0
        keys = [("c", "compare", "beside"), ("e", "name", "name"), ("del", "prune", "prune")]
        self.app.push_screen(
            PickDialog(
                "Texts, with mean surprisal in nats",
                entries,
                keys=keys,
                at=at,
            ),
            self._tree_picked,
        )

    def _tree_picked(self, picked: PickResult | None) -> None:
        text = self.controller.tree.texts.get(int(picked.value)) if picked else None
        if picked is None or text is None:
            return
        if picked.action == "name":
            self._ask_name(text)
        elif picked.action == "prune":
            self._ask_prune(text)
        else:
            self.controller.show(text, other=picked.action == "compare")
        self.draw()

    def _ask_name(self, text: Text) -> None:
        def answered(name: str | None) -> None:
            text.name = name if name is not None else text.name
            self.action_tree()

        problem = "A name has no control characters"
        self.app.push_screen(
            AskText(
                f"Name of text {text.id}",
                text.name,
                lambda name: None if name.isprintable() else problem,
                title="Name",
            ),
            answered,
        )

    def _ask_prune(self, text: Text) -> None:
        def answered(answer: str | None) -> None:
            if answer == "prune":
                self.controller.prune(text)
            self.draw()

        choices = [("p", "prune", "Prune"), ("c", "cancel", "Cancel")]
        question = f"Remove text {text.id} and every text that branched from it?"
        self.app.push_screen(
            Ask(
                question,
                choices,
                title="Prune",
            ),
            answered,
        )

    def action_copy(self) -> None:
        """Prompt and text, to the clipboard of the terminal."""
        text = self.controller.text
        if text is None:
            self.notify("Nothing was written yet: g writes", severity="warning")
            return
        self.app.copy_to_clipboard(text.prompt + text.text)
        self.notify(f"Copied {len(text.prompt) + len(text.text):,} characters", timeout=2)

    def action_save(self) -> None:
        """As text, or as JSON."""
        text = self.controller.text
        if text is None:
            self.notify("Nothing was written yet: g writes", severity="warning")
            return
        opened = text.opened
        stem = f"{opened.variant}-{opened.step}" if opened else "text"
        question = "Save to a file: .json with all that makes it again, else the text alone"
        name = f"{stem}-seed{text.params.seed}.json"

        def answered(answer: str | None) -> None:
            self._save(text, answer)

        self.app.push_screen(
            AskText(
                question,
                name,
                save_problem,
                title="Save",
                keep=True,
            ),
            answered,
        )

    def _save(self, text: Text, name: str | None) -> None:
        if not name:
            return
        path = Path(name).expanduser()
        content = text.prompt + text.text + "\n"
        if path.suffix == ".json":
            content = json.dumps(reproducible(text), indent=2, ensure_ascii=False) + "\n"
        try:
            atomic.write_text(path, content)
        except OSError as error:
            self.notify(f"cannot write {path}: {error.strerror}", severity="error", markup=False)
            return
        self.notify(f"Saved {path}", markup=False)
