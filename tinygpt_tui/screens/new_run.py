"""The form of a new run: every field checked as it is typed, with what the run will cost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Label, Static

from tinygpt.config import RunConfig, build, dotted_fields, flatten
from tinygpt.data.corpus import KNOWN
from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.fields import choices, convert, flag
from tinygpt.run import list_runs, new_run_name, validate_run_name
from tinygpt_tui.launch import cost as costs
from tinygpt_tui.monitor.machine import read_machine
from tinygpt_tui.monitor.summary import summary
from tinygpt_tui.screens.dialog import Dialog
from tinygpt_tui.theme import NAMES

NAME = "name"
FIELDS = dict(dotted_fields())


class _Field(NamedTuple):
    name: str
    """Dotted, as in the configuration."""
    label: str
    help: str
    """What the field's own help does not say, or says too long."""


# Row by row.
ROWS: tuple[tuple[_Field, ...], ...] = (
    (_Field(NAME, "Name", "of the run's folder; empty: the one that is shown"),),
    (_Field("preset", "Preset", "shape and schedule of the models"),),
    (_Field("model", "Train", "which variants; both see the same batches"),),
    (
        _Field("steps", "Steps", "optimizer steps; with minutes too, whichever comes first"),
        _Field("minutes", "or minutes", "of training, both variants together"),
    ),
    (_Field("data", "Corpus", f"auto, {', '.join(KNOWN)}, or a text file"),),
    (
        _Field("moe.experts", "Experts", "experts a layer of MoE"),
        _Field("moe.top_k", "Top-k", "experts that each token is sent to"),
    ),
    (
        _Field("optim.matrix_learning_rate", "Learning rate", "peak, of the matrices"),
        _Field("seed", "Seed", "of weights, batches and dropout"),
    ),
)


class Choice(Widget, can_focus=True):
    """A few values in a row, of which one is chosen: left, right, or the mouse."""

    DEFAULT_CSS = """
    Choice { height: 1; width: 1fr; padding: 0 1; background: $panel; }
    Choice:focus { background: $primary 35%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "previous", show=False),
        Binding("right,space", "move(1)", "next", show=False),
    ]
    value: reactive[str] = reactive("")

    class Changed(Message):
        """Another value is chosen."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, values: list[str], value: str, *, id: str) -> None:
        super().__init__(id=id)
        self.values = values
        self._marks = "○ ", "● "
        self.set_reactive(Choice.value, value)

    def render(self) -> Text:
        """Every value, the chosen one marked: by a sign, not by a colour alone."""
        text = Text(no_wrap=True)
        for value in self.values:
            chosen = value == self.value
            text.append(f"{self._marks[chosen]}{value}   ", "bold" if chosen else "dim")
        return text

    def watch_value(self) -> None:
        """Tell the form."""
        self.post_message(self.Changed(self))

    def action_move(self, by: int) -> None:
        """The next value, around the end."""
        self.value = self.values[(self.values.index(self.value) + by) % len(self.values)]

    def on_click(self, event: events.Click) -> None:
        """The value under the mouse."""
        left = 1  # the padding
        for value in self.values:
            width = len(self._marks[0]) + len(value)
            if left <= event.x < left + width:
                self.value = value
            left += width + 3


@dataclass(frozen=True)
class _Known:
    """What a thread has found out about this machine."""

    speed: float
    rates: tuple[costs.Rate, ...]
    memory: int | None


class NewRunScreen(Dialog[list[str]]):
    """Asks what to train. The result: the options for `launch.start_training`, name first.

    ``--name`` and ``--preset`` are always in it (the trainer's own default preset depends on the
    machine), the rest only where it differs from what the preset says.
    """

    DEFAULT_CSS = """
    NewRunScreen {
        .box { width: 78; padding: 0 2; }
        .row { height: 1; width: 1fr; }
        .row Label { width: 15; color: $text-muted; }
        .row Label.-focused { color: $text-accent; text-style: bold; }
        .row .second { padding-left: 2; }
        .row Input { width: 1fr; }
        Input.-bad, Input.-bad:focus { background: $error 45%; }
        .says { height: 2; margin-top: 1; color: $text-muted; }
        .says.-bad { color: $text-error; }
        .costs { height: 5; }
    }
    NewRunScreen.-tall {
        .box { padding: 1 3; }
        .row { margin-bottom: 1; }
        .says { margin-top: 0; }
        .costs { margin-top: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,enter", "start", "start", show=False),
        # First, or keys that come in one burst over a slow link overtake the change of field.
        Binding("up", "app.focus_previous", "field above", show=False, priority=True),
        Binding("down", "app.focus_next", "field below", show=False, priority=True),
    ]

    def __init__(
        self, out: Path, *, preset: str | None = None, values: Mapping[str, str] | None = None
    ) -> None:
        """`values` fill fields from the start, by dotted names (and "name")."""
        keys = [("Enter", "start"), ("↑↓", "field"), ("Esc", "cancel")]
        super().__init__("New run", keys)
        self._out = out
        self._values = dict(values or {})
        self._preset = preset or self._values.get("preset") or costs.default_preset()
        self._known: _Known | None = None

    def compose(self) -> ComposeResult:
        """The fields in rows, what is wrong, what it costs."""
        rows = [
            Horizontal(*(w for i, f in enumerate(row) for w in self._field(f, i)), classes="row")
            for row in ROWS
        ]
        yield self.box(
            *rows,
            Static("", classes="says"),
            Static("", classes="costs"),
        )

    def _field(self, field: _Field, column: int) -> Iterator[Widget]:
        label = Label(field.label, id=_id(field.name, "label"), classes="second" if column else "")
        yield label
        if field.name in ("preset", "model"):
            first = self._preset if field.name == "preset" else self._values.get("model", "both")
            values = choices(FIELDS[field.name])
            yield Choice(values, first, id=_id(field.name))
        else:
            value = self._values.get(field.name, "")
            yield Input(value, compact=True, select_on_focus=False, id=_id(field.name))

    def on_mount(self) -> None:
        """Show the defaults, and measure the machine beside."""
        self._check()
        self.run_worker(self._look, thread=True, exit_on_error=False)

    def on_resize(self) -> None:
        """Room between the rows, where there is some."""
        self.set_class(self.size.height >= 32, "-tall")

    def on_choice_changed(self) -> None:
        """Another preset has other defaults."""
        self._check()

    def on_input_changed(self) -> None:
        """Check at every key."""
        self._check()

    def on_input_submitted(self) -> None:
        """Enter in a field starts, as everywhere in the form."""
        self.action_start()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say what the field is for."""
        for label in self.query("Label"):
            label.set_class(label.id == f"{event.widget.id}-label", "-focused")
        self._check()

    def action_start(self) -> None:
        """Start, if every field can be."""
        problems, config = self._read()
        if config is not None and not problems:
            self.dismiss(self._arguments(config))

    def _look(self) -> None:
        """In a thread: how fast this machine is, and what earlier runs took on it."""
        speed = costs.machine_speed()
        try:
            finished = [run.path for run in list_runs(self._out) if run.state.state == "done"]
        except TinyGPTError:  # the list of runs says so itself
            finished = []
        rates = [costs.measured_rate(summary(path)) for path in finished]
        known = _Known(speed, tuple(filter(None, rates)), read_machine().memory_total)
        self.post_message(_Measured(known))

    def on__measured(self, event: _Measured) -> None:
        """Now the time is known."""
        self._known = event.known
        self._check()

    def _text(self, name: str) -> str:
        widget = self.query_one(f"#{_id(name)}", Input)
        return widget.value if name == "data" else widget.value.strip()

    def _asked(self) -> dict[str, str]:
        """Dotted names and texts of what is chosen or filled in."""
        asked = {c: self.query_one(f"#{_id(c)}", Choice).value for c in ("preset", "model")}
        names = [f.name for row in ROWS for f in row if f.name not in (NAME, *asked)]
        return asked | {name: text for name in names if (text := self._text(name))}

    def _read(self) -> tuple[dict[str, str], RunConfig | None]:
        """What is wrong, by field, and the configuration of the fields that are right."""
        asked = self._asked()
        problems = {}
        if problem := name_problem(self._out, self._text(NAME)):
            problems[NAME] = problem
        if problem := data_problem(asked.get("data", "auto")):
            problems["data"] = problem
        for name, text in asked.items():
            try:
                convert(FIELDS[name], text, name)
            except ConfigError as error:
                problems[name] = str(error)
        try:
            return problems, build({n: t for n, t in asked.items() if n not in problems})
        except ConfigError as error:
            return problems | {_blamed(str(error), asked): str(error)}, None

    def _check(self) -> None:
        if not self.is_mounted or not self.query(".costs"):
            return
        problems, config = self._read()
        self._show_defaults()
        for row in ROWS:
            for field in row:
                self.query_one(f"#{_id(field.name)}").set_class(field.name in problems, "-bad")
        self._show_says(problems)
        self.query_one(".costs", Static).update(self._costs(config) if config else "")

    def _show_defaults(self) -> None:
        asked = self._asked()
        values = {name: text for name, text in asked.items() if name in ("preset", "minutes")}
        try:
            default = flatten(build(values))
        except ConfigError:
            default = flatten(build({"preset": asked["preset"]}))
        for field in (f for row in ROWS for f in row):
            if field.name not in (NAME, "preset", "model"):
                shown = str(default.get(field.name, "no limit"))
                self.query_one(f"#{_id(field.name)}", Input).placeholder = shown
        name = self.query_one(f"#{_id(NAME)}", Input)
        name.placeholder = new_run_name(self._out, asked["preset"])

    def _show_says(self, problems: Mapping[str, str]) -> None:
        """What is wrong with this field, or another; else what this field is for."""
        here = next((f for r in ROWS for f in r if self._is_focused(f.name)), ROWS[0][0])
        problem = problems.get(here.name) or next(iter(problems.values()), None)
        says = self.query_one(".says", Static)
        says.set_class(problem is not None, "-bad")
        says.update(Text(problem or f"{here.label}: {here.help}"))

    def _is_focused(self, name: str) -> bool:
        return self.focused is not None and self.focused.id == _id(name)

    def _costs(self, config: RunConfig) -> Text:
        known = self._known
        cost = costs.estimate(config, known.speed, known.rates) if known else costs.estimate(config)
        total = known.memory if known else None
        text = Text(no_wrap=True)
        muted = self.style("muted")
        text.append(f"{'':8}{'parameters':>12}{'active':>12}\n", muted)
        for variant, (every, active) in cost.parameters.items():
            name = NAMES[variant]
            text.append(f"{name:8}", self.style(f"{variant}.bold"))
            text.append(f"{costs.short_count(every):>12}{costs.short_count(active):>12}")
            if variant == "moe":
                of = f"   {config.moe.experts} experts, top-{config.moe.top_k}"
                text.append(of, muted)
            text.append("\n")
        text.append("Memory  ", muted)
        text.append(f"{'about ' + costs.short_bytes(cost.memory):>12}")
        text.append(*self._memory_note(cost.memory, total, config))
        text.append("\nTime    ", muted)
        text.append(f"{costs.about_time(cost.seconds) or '-':>12}")
        text.append(f"   {time_note(cost, config, is_known=known is not None)}", muted)
        return text

    def _memory_note(self, needed: int, total: int | None, config: RunConfig) -> tuple[str, str]:
        if total is None or costs.uses_gpu(config):
            return "", ""
        of = costs.short_bytes(total)
        if needed > total:
            return f"   more than this machine's {of}", self.style("bad")
        return f"   of {of}", self.style("muted")

    def _arguments(self, config: RunConfig) -> list[str]:
        asked = self._asked()
        preset = asked["preset"]
        name = self._text(NAME) or new_run_name(self._out, preset)
        said, default = flatten(config), flatten(build({"preset": preset}))
        arguments = ["--name", name, "--preset", preset]
        for field in asked:
            limits_too = field == "steps" and "minutes" in asked
            if said[field] != default.get(field) or limits_too:
                value = str(said[field])
                # argparse would take it for an option
                value = f"./{value}" if value.startswith("-") else value
                arguments += [flag(field), value]
        return arguments


class _Measured(Message):
    """A thread knows the machine."""

    def __init__(self, known: _Known) -> None:
        super().__init__()
        self.known = known


def time_note(cost: costs.Estimate, config: RunConfig, *, is_known: bool) -> str:
    """Where the time of an estimate is from, in a few words."""
    if cost.seconds is None:
        if not is_known:
            return "measuring this machine"
        return "not known on this device before a first run"
    if cost.is_measured:
        return "as measured by an earlier run here"
    return "as asked" if config.steps is None else "by calculation for this machine"


def name_problem(out: Path, name: str) -> str | None:
    """Why a new run in `out` cannot be called `name`; empty lets the program choose."""
    if not name:
        return None
    try:
        validate_run_name(name)
    except TinyGPTError as error:
        return str(error)
    if os.path.lexists(out / name):
        return f"there is a run {name!r} already: choose another name"
    return None


def data_problem(data: str) -> str | None:
    """Why `data` can be no corpus, as far as a look at the folder tells."""
    if data in ("auto", *KNOWN):
        return None
    try:
        path = Path(data).expanduser()
        if path.is_dir():
            return f"{data} is a folder: name a text file in it"
        found = path.is_file() and os.access(path, os.R_OK)
    except (OSError, RuntimeError, ValueError):  # ~nobody, NUL in a name
        found = False
    return None if found else f"there is no readable file {data}: name one, or auto"


def _blamed(message: str, asked: Mapping[str, str]) -> str:
    """The field that a message about several is shown at: the first that it names."""
    named = [name for name in asked if name in message or flag(name) in message]
    return min(named, key=message.find, default="preset")


def _id(name: str, suffix: str = "") -> str:
    base = "field-" + name.replace(".", "-")
    return f"{base}-{suffix}" if suffix else base
