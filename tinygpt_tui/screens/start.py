"""What the Train tab shows before there is a run: the presets, and what each costs here."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tinygpt.config import PRESETS
from tinygpt.escape import printable
from tinygpt_tui import theme
from tinygpt_tui.launch import cost as costs

# The reason for each is in tinygpt/config.py.
_MADE_FOR = {
    "micro": "any laptop",
    "nano": "a CPU: the size of nanoGPT's CPU example",
    "baby": "a GPU: the size of nanoGPT's GPU example",
    "small": "a large GPU: the shape of GPT-2 124M",
}
_HEADINGS = ("preset", "layers/heads/width", "context", "Dense", "MoE (active)", "about")
_INDENT = 11


class _Speed(Message):
    """A thread has measured the machine."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = speed


class Start(Widget):
    """The presets; Enter posts `Chosen`. Everything is drawn at once, the times follow."""

    DEFAULT_CSS = """
    Start {
        align: center middle; height: 1fr; width: 1fr;
        Static, OptionList { width: 76; height: auto; max-width: 100%; }
        OptionList {
            border: none; padding: 0; background: $background;
            &:focus { border: none; background-tint: $background 0%; }
            & > .option-list--option { padding: 0; }
            & > .option-list--option-highlighted, &:focus > .option-list--option-highlighted {
                background: $primary 35%;
            }
        }
        .keys { margin-top: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "train", show=False)]

    class Chosen(Message):
        """This preset is to be trained."""

        def __init__(self, preset: str) -> None:
            super().__init__()
            self.preset = preset

    def __init__(self, *, corpus: str = "auto", id: str | None = None) -> None:
        """`corpus` is what ``--data`` says."""
        super().__init__(id=id)
        self._corpus = corpus
        self._speed: float | None = None

    def compose(self) -> ComposeResult:
        """A greeting, the presets, the keys."""
        yield Static(self._top(), classes="top")
        yield OptionList(*(Option(self._preset(p), id=p) for p in PRESETS))
        yield Static(self._keys(), classes="keys")

    def on_mount(self) -> None:
        """Enter alone is to do something sensible: the preset that suits this machine."""
        presets = self.query_one(OptionList)
        presets.highlighted = list(PRESETS).index(costs.default_preset())
        presets.focus()
        self.watch(self.app, "theme", self._draw, init=False)
        self.run_worker(self._measure, thread=True, exit_on_error=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter, or the mouse."""
        event.stop()
        if event.option.id:
            self.post_message(self.Chosen(event.option.id))

    def on__speed(self, event: _Speed) -> None:
        """The times are known."""
        self._speed = event.speed
        self._draw()

    def focus(self, scroll_visible: bool = True) -> Start:  # noqa: FBT001, FBT002 - textual's own
        """The list is what takes keys."""
        self.query_one(OptionList).focus(scroll_visible)
        return self

    def _draw(self) -> None:
        self.query_one(".top", Static).update(self._top())
        self.query_one(".keys", Static).update(self._keys())
        presets = self.query_one(OptionList)
        for preset in PRESETS:
            presets.replace_option_prompt(preset, self._preset(preset))

    def _measure(self) -> None:
        self.post_message(_Speed(costs.machine_speed()))

    def _style(self, name: str) -> str:
        return str(theme.style(name, dark=self.app.current_theme.dark))

    def _top(self) -> Text:
        strong = self._style("strong")
        return Text.assemble(
            *(("  Train a small GPT from scratch, twice: ", strong),),
            *(("Dense", self._style("dense.bold")), (" and ", strong)),
            *(("MoE", self._style("moe.bold")), (", side by side.\n\n", strong)),
            (_line(*_HEADINGS), self._style("muted")),
        )

    def _preset(self, preset: str) -> Text:
        config = costs.preset_config(preset)
        gpt = config.gpt
        cost = costs.estimate(config, self._speed)
        dense, (every, active) = cost.parameters["dense"][1], cost.parameters["moe"]
        shape = f"{gpt.layers}/{gpt.heads}/{gpt.width}"
        moe = f"{costs.short_count(every)} ({costs.short_count(active)})"
        counts = costs.short_count(dense), moe
        line = _line(preset, shape, str(gpt.context), *counts, self._time(cost))
        text = Text(f"{line}\n", no_wrap=True)
        for part, style in zip((preset, *counts), ("strong", "dense", "moe"), strict=True):
            begin = line.index(part)
            text.stylize(self._style(style), begin, begin + len(part))
        made_for = f"{config.steps:,} steps, for {_MADE_FOR[preset]}"
        return text.append(f"{'':{_INDENT}}{made_for}", self._style("muted"))

    def _time(self, cost: costs.Estimate) -> str:
        if cost.seconds is None:
            return "..." if self._speed is None else "not known"
        return costs.about_time(cost.seconds).removeprefix("about ")

    def _keys(self) -> Text:
        key, muted = self._style("key"), self._style("muted")
        return Text.assemble(
            *(("  Corpus ", muted), _corpus(self._corpus), "\n\n"),
            *(("  Enter", key), (" train this preset    ", muted)),
            *(("↑↓", key), (" choose    ", muted)),
            *(("n", key), (" a form for everything else", muted)),
        )


def _line(*cells: str) -> str:
    """A line of the table, 76 columns wide."""
    preset, shape, context, dense, moe, time = cells
    return f"  {preset:<9}{shape:<20}{context:>7}{dense:>10}{moe:>18}{time:>10}"


def _corpus(data: str) -> str:
    """What will be trained on, in a line."""
    if data == "auto":
        return "tinyshakespeare, or its stand-in where it cannot be downloaded"
    return printable(data)
