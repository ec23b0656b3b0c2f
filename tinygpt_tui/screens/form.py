"""The fields of the form for a new run: their labels, their checks, and the options they produce.

Values are texts by dotted name, as in the configuration; "name" is the run's name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tinygpt.config import RunConfig, build, dotted_fields, flatten
from tinygpt.data.corpus import KNOWN
from tinygpt.errors import ConfigError
from tinygpt.fields import convert, flag
from tinygpt.files.paths import user_path
from tinygpt.run.manage import rename_problem

NAME = "name"
CONFIG_FIELDS = dict(dotted_fields())


class FormField(NamedTuple):
    """A field of the form."""

    name: str
    """Dotted, as in the configuration."""
    label: str
    help: str
    """Shorter than the help in the configuration."""


ROWS: tuple[tuple[FormField, ...], ...] = (
    (FormField(NAME, "Name", "the run's folder; blank = the name shown"),),
    (FormField("preset", "Preset", "model size and training schedule"),),
    (FormField("model", "Train", "which variants; both see the same batches"),),
    (
        FormField("steps", "Steps", "optimizer steps; with minutes too, whichever comes first"),
        FormField("minutes", "or minutes", "time limit, total"),
    ),
    (FormField("data", "Corpus", f"auto, {', '.join(KNOWN)}, or a text file"),),
    (
        FormField("moe.experts", "Experts", "experts per MoE layer"),
        FormField("moe.top_k", "Top-k", "experts per token"),
    ),
    (
        FormField("optim.matrix_learning_rate", "Learning rate", "peak value (Muon)"),
        FormField("seed", "Seed", "for weights, batches and dropout"),
    ),
    (FormField("device", "Device", "auto, cpu, cuda, or one of several GPUs: cuda:1"),),
)
FORM_FIELDS = tuple(field for row in ROWS for field in row)


def field_id(name: str, suffix: str = "") -> str:
    """The widget id of a field."""
    base = "field-" + name.replace(".", "-")
    return f"{base}-{suffix}" if suffix else base


class Choice(Widget, can_focus=True):
    """A row of values, one of which is selected with left and right or the mouse."""

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
        """Another value was chosen."""

    def __init__(self, values: list[str], value: str, *, id: str) -> None:
        super().__init__(id=id)
        self.values = values
        self._marks, self._gap = ("○ ", "● "), "  "
        self.set_reactive(Choice.value, value)

    def render(self) -> Text:
        text = Text(no_wrap=True)
        for value in self.values:
            chosen = value == self.value
            text.append(f"{self._marks[chosen]}{value}{self._gap}", "bold" if chosen else "dim")
        return text

    def watch_value(self) -> None:
        self.post_message(self.Changed())

    def action_move(self, by: int) -> None:
        self.value = self.values[(self.values.index(self.value) + by) % len(self.values)]

    def on_click(self, event: events.Click) -> None:
        left = 1  # the padding
        for value in self.values:
            width = len(self._marks[0]) + len(value)
            if left <= event.x < left + width:
                self.value = value
            left += width + len(self._gap)


def read_form(
    out: Path, name: str, values: Mapping[str, str]
) -> tuple[dict[str, str], RunConfig | None]:
    """The problems by field, and the configuration of the valid fields; None if they conflict."""
    problems = {}
    if name and (problem := rename_problem(out / name, name)):
        problems[NAME] = problem
    if problem := data_problem(values.get("data", "auto")):
        problems["data"] = problem
    for field, text in values.items():
        try:
            convert(CONFIG_FIELDS[field], text, field)
        except ConfigError as error:
            problems[field] = str(error)
    try:
        return problems, build({n: t for n, t in values.items() if n not in problems})
    except ConfigError as error:
        return problems | {_field_named_in(str(error), values): str(error)}, None


def data_problem(data: str) -> str | None:
    """Why `data` names no corpus; None if it does, as far as can be told without reading it."""
    if data in ("auto", *KNOWN):
        return None
    path = user_path(data)
    if os.path.isdir(path):
        return f"{data} is a folder: name a text file in it"
    readable = os.path.isfile(path) and os.access(path, os.R_OK)
    return None if readable else f"there is no readable file {data}: name one, or auto"


def _field_named_in(message: str, values: Mapping[str, str]) -> str:
    """The field at which to show an error about several fields: the first that it names."""
    named = [name for name in values if flag(name) in message]
    return min(named, key=lambda name: message.find(flag(name)), default="preset")


def default_texts(values: Mapping[str, str]) -> dict[str, str]:
    """The value that each blank field stands for, given the preset and the time limit."""
    given = {name: text for name, text in values.items() if name in ("preset", "minutes")}
    try:
        defaults = flatten(build(given))
    except ConfigError:
        defaults = flatten(build({"preset": values["preset"]}))
    names = [f.name for f in FORM_FIELDS if f.name not in (NAME, "preset", "model")]
    return {name: str(defaults.get(name, "no limit")) for name in names}


def form_arguments(name: str, values: Mapping[str, str], config: RunConfig) -> list[str]:
    """The options for `launch.trainer_process.start_training`, name and preset first.

    ``--preset`` is always included (the trainer's default depends on the machine), ``--name`` if it
    is not blank, other options only if they differ from the preset.
    """
    preset = values["preset"]
    given, default = flatten(config), flatten(build({"preset": preset}))
    arguments = [*(["--name", name] if name else []), "--preset", preset]
    for field in values:
        both_limits = field == "steps" and "minutes" in values
        if given[field] != default.get(field) or both_limits:
            value = str(given[field])
            # or argparse would take it for an option
            value = f"./{value}" if value.startswith("-") else value
            arguments += [flag(field), value]
    return arguments
