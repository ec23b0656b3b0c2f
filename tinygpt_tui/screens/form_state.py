"""What the form for a new run contains, and what each key does to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tinygpt.command.options import GROUPS
from tinygpt.config import RunConfig
from tinygpt.errors import ConfigError
from tinygpt.fields import convert
from tinygpt.run import new_run_name
from tinygpt_tui.screens import form
from tinygpt_tui.screens.file_name import unquoted
from tinygpt_tui.screens.form import ADVANCED, AS_TYPED, CONFIG_FIELDS, FIELDS, GPUS, NAME, USUAL
from tinygpt_tui.screens.line_edit import LineEdit

SEARCH = "/"
"""The row that opens the advanced settings, and in which to type what to search for."""


@dataclass(frozen=True, slots=True)
class FormRow:
    """One row of the list: a field, the search line, or else the heading of a group."""

    name: str = ""
    """Of the field; `SEARCH`; empty for a heading."""
    heading: str = ""


class FormState:
    """The values of the form, and the cursor in it. Blank fields have the preset's value."""

    def __init__(self, out: Path, values: Mapping[str, str]) -> None:
        """`values` are texts by dotted name, "name" and "gpus"; "preset" has to be among them."""
        self.out = out
        self.values = {name: text for name, text in values.items() if text}
        self.name = self.values.pop(NAME, "")
        self.search = LineEdit()
        self.expanded = False
        self.at = NAME
        self.line = LineEdit.at_end(self.name)
        """The text of the field under the cursor."""
        self.problems: dict[str, str] = {}
        self.config: RunConfig | None = None
        self.defaults: dict[str, str] = {}
        self._preset_values: Mapping[str, object] = {}
        self._check()
        for name in [n for n in self.values if n != "preset" and not self.changed(n)]:
            del self.values[name]
        self._pinned = self._changed_advanced()

    # -- what is shown

    @property
    def preset(self) -> str:
        """The preset that is selected."""
        return self.values["preset"]

    def text(self, name: str) -> str:
        """The value of a field; empty if it is blank."""
        return self.name if name == NAME else self.values.get(name, "")

    def chosen(self, name: str) -> str:
        """The value of a field with a few values."""
        return self.values.get(name, self.defaults[name])

    def changed(self, name: str) -> bool:
        """Whether a field has another value than in the preset."""
        if name in (NAME, "preset") or name not in self.values:
            return False
        if name == GPUS:
            return self.values[GPUS] != self.defaults[GPUS]
        try:
            value = convert(CONFIG_FIELDS[name], self.values[name], name)
            return bool(value != self._preset_values.get(name))
        except ConfigError:
            return True

    def rows(self) -> list[FormRow]:
        """The rows of the list, from the top."""
        words = self.search.text
        usual = [FormRow(field.name) for field in USUAL if field.matches(words)]
        return [*usual, FormRow(SEARCH), *self._advanced_rows(words)]

    def _advanced_rows(self, words: str) -> Iterator[FormRow]:
        table = None
        for field in ADVANCED:
            if (
                field.matches(words)
                if words.strip()
                else self.expanded or field.name in self._pinned
            ):
                if form.table_of(field.name) != table:
                    table = form.table_of(field.name)
                    yield FormRow(heading=GROUPS[table].capitalize())
                yield FormRow(field.name)

    @property
    def found(self) -> int:
        """How many settings match the search."""
        return sum(field.matches(self.search.text) for field in FIELDS.values())

    def _changed_advanced(self) -> set[str]:
        return {field.name for field in ADVANCED if self.changed(field.name)}

    @property
    def changed_advanced(self) -> int:
        """How many of the advanced settings are changed."""
        return len(self._changed_advanced())

    # -- the cursor

    def move(self, by: int) -> None:
        """Move the cursor by rows, over headings; at an end it stays there."""
        names = [row.name for row in self.rows() if row.name]
        self.go(names[min(max(names.index(self.at) + by, 0), len(names) - 1)])

    def go(self, name: str) -> None:
        """Move the cursor to a field, which is shown if it was not."""
        self.at = name
        if name == SEARCH:
            return
        if FormRow(name) not in self.rows():
            self.search = LineEdit()
            self._pinned.add(name)
        self.line = LineEdit.at_end(self.text(name))

    # -- keys

    def press(self, key: str, character: str | None) -> bool:
        """Handle a key, as Textual names it; whether it means anything in the form."""
        by = {"up": -1, "down": 1, "tab": 1, "shift+tab": -1, "pageup": -10, "pagedown": 10}
        if key in by:
            self.move(by[key])
        elif key == "ctrl+f" or (character == "/" and self._is_choice()):
            self.go(SEARCH)
        elif key == "escape":
            return self._back()
        elif self._is_choice():
            steps = {"left": -1, "right": 1, "space": 1}
            if key not in steps:
                return False
            self._choose(steps[key])
        else:
            return self._edit(self._line.pressed(key, character))
        return True

    def paste(self, text: str) -> None:
        """Insert a pasted text."""
        if not self._is_choice():
            self._edit(self._line.inserted(text))

    def enter(self) -> bool:
        """On the search line: open or close the advanced settings, or go to the one that is called
        so, else to the first one found. False elsewhere, where Enter starts the run."""
        if self.at != SEARCH:
            return False
        if self.search.text.strip():
            names = [row.name for row in self.rows() if row.name not in ("", SEARCH)]
            named = [name for name in names if FIELDS[name].is_called(self.search.text)]
            self.go(next(iter([*named, *names]), SEARCH))
        else:
            self.expanded = not self.expanded
            self._pinned = self._changed_advanced()
        return True

    def select(self, name: str, value: str) -> None:
        """Select one of the values of a field."""
        if name != "preset" and value == self.defaults[name]:
            self.values.pop(name, None)
        else:
            self.values[name] = value
        self._check()

    def start(self) -> form.NewRun | None:
        """The run to start; None if there is a problem, to which the cursor moves."""
        self._check()
        if self.problems:
            if self.at not in self.problems:
                self.go(next(iter(self.problems)))
            return None
        assert self.config is not None
        return form.new_run(self.name, self.values, self.config)

    @property
    def placeholder_name(self) -> str:
        """The name of a run without one."""
        return new_run_name(self.out, self.preset)

    def _is_choice(self) -> bool:
        return self.at != SEARCH and bool(FIELDS[self.at].choices)

    def _choose(self, by: int) -> None:
        values, now = FIELDS[self.at].choices, self.chosen(self.at)
        place = values.index(now) if now in values else -by
        self.select(self.at, values[(place + by) % len(values)])

    @property
    def _line(self) -> LineEdit:
        return self.search if self.at == SEARCH else self.line

    def _edit(self, line: LineEdit | None) -> bool:
        if line is None:
            return False
        if self.at == SEARCH:
            self.search = line
            return True
        self.line = line
        text = line.text if self.at in AS_TYPED else line.text.strip()
        text = unquoted(text) if self.at == "data" else text
        if self.at == NAME:
            self.name = text
        elif text:
            self.values[self.at] = text
        else:
            self.values.pop(self.at, None)
        self._check()
        return True

    def _back(self) -> bool:
        """Leave the search; False if there is none."""
        if not self.search.text:
            return False
        self.search = LineEdit()
        if FormRow(self.at) not in self.rows():
            self._pinned.add(self.at)
        return True

    def _check(self) -> None:
        self.problems, self.config = form.read_form(self.out, self.name, self.values)
        self.defaults = form.default_texts(self.values)
        self._preset_values = form.defaults(self.values)
