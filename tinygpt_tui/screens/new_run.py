"""The form for a new run: checks every field as it is typed, and shows the cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label, Static

from tinygpt import formatting
from tinygpt.config import RunConfig
from tinygpt.errors import TinyGPTError
from tinygpt.fields import choices
from tinygpt.run import list_runs, new_run_name
from tinygpt_tui.launch import cost
from tinygpt_tui.monitor.machine import read_machine
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.screens.dialog import Dialog
from tinygpt_tui.screens.file_name import unquoted
from tinygpt_tui.screens.form import (
    CONFIG_FIELDS,
    FORM_FIELDS,
    NAME,
    ROWS,
    Choice,
    FormField,
    default_texts,
    field_id,
    form_arguments,
    read_form,
)
from tinygpt_tui.theme import NAMES


@dataclass(frozen=True)
class _Measurements:
    """Measurements of this machine: its finished runs, and its memory in bytes."""

    runs: tuple[cost.MeasuredRun, ...] = ()
    memory: int | None = None


class _Measured(Message):
    """The measurements have been read."""

    def __init__(self, measurements: _Measurements) -> None:
        super().__init__()
        self.measurements = measurements


class NewRunScreen(Dialog[list[str]]):
    """Asks what to train; the result is the options for `trainer_process.start_training`."""

    DEFAULT_CSS = """
    NewRunScreen {
        .box { width: 78; padding: 0 2; }
        .row { height: 1; width: 1fr; }
        .row Label { width: 15; color: $text-muted; }
        .row Label.-focused { color: $text-accent; text-style: bold; }
        .row .second { padding-left: 2; }
        .row Input { width: 1fr; }
        Input.-bad, Input.-bad:focus { background: $error 45%; }
        .message { height: 2; margin-top: 1; color: $text-muted; }
        .message.-bad { color: $text-error; }
        .costs { height: 5; }
    }
    NewRunScreen.-tall {
        .box { padding: 1 3; }
        .row { margin-bottom: 1; }
        .message { margin-top: 0; }
        .costs { margin-top: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,enter", "start", "start", show=False),
        # With priority, or keys that arrive in one burst would overtake the change of focus.
        Binding("up", "app.focus_previous", "field above", show=False, priority=True),
        Binding("down", "app.focus_next", "field below", show=False, priority=True),
    ]

    def __init__(
        self, out: Path, *, preset: str | None = None, values: Mapping[str, str] | None = None
    ) -> None:
        """`values` are initial values by dotted name (and "name")."""
        keys = [("Enter", "start"), ("↑↓", "field"), ("Esc", "cancel")]
        super().__init__("New run", keys)
        self._out = out
        self._initial = dict(values or {})
        self._preset = preset or self._initial.get("preset") or cost.default_preset()
        self._measurements = _Measurements()

    def compose(self) -> ComposeResult:
        rows = [
            Horizontal(*(w for i, f in enumerate(row) for w in self._field(f, i)), classes="row")
            for row in ROWS
        ]
        yield self.box(*rows, Static("", classes="message"), Static("", classes="costs"))

    def _field(self, field: FormField, column: int) -> Iterator[Widget]:
        classes = "second" if column else ""
        yield Label(field.label, id=field_id(field.name, "label"), classes=classes)
        if field.name in ("preset", "model"):
            first = self._preset if field.name == "preset" else self._initial.get("model", "both")
            yield Choice(choices(CONFIG_FIELDS[field.name]), first, id=field_id(field.name))
        else:
            value = self._initial.get(field.name, "")
            yield Input(value, compact=True, select_on_focus=False, id=field_id(field.name))

    def on_mount(self) -> None:
        self._check()
        self.run_worker(self._measure, thread=True, exit_on_error=False)

    def on_resize(self) -> None:
        self.set_class(self.size.height >= 32, "-tall")

    def on_choice_changed(self) -> None:
        self._check()

    def on_input_changed(self) -> None:
        self._check()

    def on_input_submitted(self) -> None:
        self.action_start()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        for label in self.query("Label"):
            label.set_class(label.id == f"{event.widget.id}-label", "-focused")
        self._check()

    def action_start(self) -> None:
        values = self._values()
        problems, config = read_form(self._out, self._text(NAME), values)
        if config is not None and not problems:
            self.dismiss(form_arguments(self._text(NAME), values, config))

    def _measure(self) -> None:
        """In a thread: read the finished runs and the machine's memory."""
        try:
            finished = [run.path for run in list_runs(self._out) if run.state.state == "done"]
        except TinyGPTError:  # the screen of all runs reports it
            finished = []
        runs = [cost.measured_run(summary(path)) for path in finished]
        memory = read_machine().memory_total
        self.post_message(_Measured(_Measurements(tuple(filter(None, runs)), memory)))

    def on__measured(self, event: _Measured) -> None:
        self._measurements = event.measurements
        self._check()

    def _text(self, name: str) -> str:
        widget = self.query_one(f"#{field_id(name)}", Input)
        return unquoted(widget.value) if name == "data" else widget.value.strip()

    def _values(self) -> dict[str, str]:
        """The values that are selected or filled in, by dotted name."""
        chosen = {
            name: self.query_one(f"#{field_id(name)}", Choice).value for name in ("preset", "model")
        }
        names = [f.name for f in FORM_FIELDS if f.name not in (NAME, *chosen)]
        return chosen | {name: text for name in names if (text := self._text(name))}

    def _check(self) -> None:
        if not self.is_mounted or not self.query(".costs"):
            return
        values = self._values()
        problems, config = read_form(self._out, self._text(NAME), values)
        placeholders = default_texts(values) | {NAME: new_run_name(self._out, values["preset"])}
        for name, text in placeholders.items():
            self.query_one(f"#{field_id(name)}", Input).placeholder = text
        for field in FORM_FIELDS:
            self.query_one(f"#{field_id(field.name)}").set_class(field.name in problems, "-bad")
        self._show_message(problems)
        self.query_one(".costs", Static).update(self._costs(config) if config else "")

    def _show_message(self, problems: Mapping[str, str]) -> None:
        """Show a problem with the focused field, else with another one, else the field's help."""
        focused = next((f for f in FORM_FIELDS if self._is_focused(f.name)), FORM_FIELDS[0])
        problem = problems.get(focused.name) or next(iter(problems.values()), None)
        message = self.query_one(".message", Static)
        message.set_class(problem is not None, "-bad")
        message.update(Text(problem or f"{focused.label}: {focused.help}"))

    def _is_focused(self, name: str) -> bool:
        return self.focused is not None and self.focused.id == field_id(name)

    def _costs(self, config: RunConfig) -> Text:
        text = Text(no_wrap=True)
        muted = self.style("muted")
        text.append(f"{'':8}{'parameters':>12}{'active':>12}\n", muted)
        for variant, (total, active) in cost.parameters(config).items():
            text.append(f"{NAMES[variant]:8}", self.style(f"{variant}.bold"))
            text.append(f"{formatting.count(total):>12}{formatting.count(active):>12}")
            if variant == "moe":
                text.append(f"   {config.moe.experts} experts, top-{config.moe.top_k}", muted)
            text.append("\n")
        needed = cost.memory(config)
        text.append("Memory  ", muted)
        text.append(f"{'about ' + cost.short_bytes(needed):>12}")
        text.append(*self._memory_note(needed, config))
        seconds = cost.measured_seconds(config, self._measurements.runs)
        if seconds is not None:
            text.append("\nTime    ", muted)
            text.append(f"{formatting.duration(seconds):>12}")
            text.append("   as measured in an earlier run", muted)
        return text

    def _memory_note(self, needed: int, config: RunConfig) -> tuple[str, str]:
        total = self._measurements.memory
        if total is None or cost.uses_gpu(config):
            return "", ""
        if needed > total:
            return f"   more than this machine's {cost.short_bytes(total)}", self.style("bad")
        return f"   of {cost.short_bytes(total)}", self.style("muted")
