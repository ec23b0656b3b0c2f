"""The row for editing one decoding setting by typing or with the arrow keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from tinygpt.errors import ConfigError
from tinygpt.generation.params import NEUTRAL, SamplingParams
from tinygpt_tui.generate.settings import BY_NAME, Setting, parse, step, typed


class SettingInput(Input):
    """The input for a value; arrow keys step through values, Esc restores the original one."""

    DEFAULT_CSS = """
    SettingInput, SettingInput:focus { border: none; height: 1; padding: 0; width: 24;
                                       background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(1)", show=False),
        Binding("down", "step(-1)", show=False),
        Binding("escape", "leave", show=False),
    ]

    class Stepped(Message):
        """An arrow key was pressed."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Left(Message):
        """Esc was pressed."""

    def action_step(self, by: int) -> None:
        self.post_message(self.Stepped(by))

    def action_leave(self) -> None:
        self.post_message(self.Left())


class SettingField(Horizontal):
    """Label, value and range of one setting; hidden unless it is being edited."""

    DEFAULT_CSS = """
    SettingField { height: 1; display: none; }
    SettingField Static { width: auto; height: 1; }
    """

    def __init__(
        self,
        set_params: Callable[[SamplingParams], None],
        finish: Callable[[], None],
        *,
        id: str,
    ) -> None:
        """`set_params` is called with every valid value as it is typed, `finish` on closing."""
        super().__init__(id=id)
        self._set_params, self._finish = set_params, finish
        self._setting: Setting = BY_NAME["temperature"]
        self._before = self._params = NEUTRAL

    def compose(self) -> ComposeResult:
        yield Static(id="field-name")
        yield SettingInput(compact=True, select_on_focus=True)
        yield Static(id="field-range")

    def open(self, setting: Setting, params: SamplingParams) -> None:
        """Edit one setting of `params`."""
        self._setting, self._before, self._params = setting, params, params
        self.display = True
        self.query_one("#field-name", Static).update(Text(f" {setting.label} ", "bold"))
        field = self.query_one(SettingInput)
        field.value = typed(params, setting)
        field.focus()
        self._show_range()

    def on_setting_input_stepped(self, message: SettingInput.Stepped) -> None:
        if not self.display:
            return
        self._change(step(self._params, self._setting, message.by))
        field = self.query_one(SettingInput)
        field.value = typed(self._params, self._setting)
        field.cursor_position = len(field.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        if self.display:
            self._parse(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if self.display and self._parse(event.value):
            self._close()

    def on_setting_input_left(self) -> None:
        self._change(self._before)
        self._close()

    def _parse(self, text: str) -> bool:
        """Apply the typed value if valid, else the original one; returns whether it was valid."""
        try:
            self._change(parse(self._before, self._setting, text))
        except ConfigError as error:
            self._change(self._before)
            self._show_problem(str(error))
            return False
        self._show_range()
        return True

    def _change(self, params: SamplingParams) -> None:
        self._params = params
        self._set_params(params)

    def _show_range(self) -> None:
        arrows = "  ↑↓ step" if self._setting.steps or self._setting.name == "seed" else ""
        words = f" {self._setting.range}{arrows}  Enter select"
        self.query_one("#field-range", Static).update(Text(words))

    def _show_problem(self, problem: str) -> None:
        self.query_one("#field-range", Static).update(Text(f" {problem}", "bold red"))

    def _close(self) -> None:
        self.display = False
        self._finish()
