"""The start screen: the presets, and what they find on this machine; in the Train tab while there
is no run."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tinygpt import formatting
from tinygpt.config import build
from tinygpt.presets import PRESETS
from tinygpt_tui import theme
from tinygpt_tui.launch import cost
from tinygpt_tui.launch.surroundings import CorpusSource, corpus_source, device_text, version

# The reasons are in tinygpt/config.py.
_MADE_FOR = {
    "micro": "any laptop",
    "nano": "a CPU: nanoGPT's CPU example",
    "baby": "a GPU: nanoGPT's GPU example",
    "small": "a large GPU: GPT-2 124M's shape",
}
_HEADINGS = ("preset", "layers/heads/width", "context", "Dense", "MoE (active)")
_INDENT = 9


class _Described(Message):
    """What is on this machine has been found out."""

    def __init__(self, device: str, corpus: CorpusSource) -> None:
        super().__init__()
        self.device, self.corpus = device, corpus


class Start(Widget):
    """The presets; Enter posts `Chosen`."""

    DEFAULT_CSS = """
    Start {
        align: center middle; height: 1fr; width: 1fr;
        Static, OptionList { width: 62; height: auto; max-width: 100%; }
        OptionList {
            border: none; padding: 0; background: $background;
            &:focus { border: none; background-tint: $background 0%; }
            & > .option-list--option { padding: 0; }
            & > .option-list--option-highlighted, &:focus > .option-list--option-highlighted {
                background: $primary 35%;
            }
        }
        .keys, .machine { margin-top: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "train", show=False)]

    class Chosen(Message):
        """The user chose to train this preset."""

        def __init__(self, preset: str) -> None:
            super().__init__()
            self.preset = preset

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._device = ""
        self._corpus = CorpusSource("", "")

    def compose(self) -> ComposeResult:
        yield Static(self._top(), classes="top")
        yield OptionList(*(Option(self._preset(p), id=p) for p in PRESETS))
        yield Static(self._keys(), classes="keys")
        yield Static(self._machine(), classes="machine")

    def on_mount(self) -> None:
        presets = self.query_one(OptionList)
        presets.highlighted = list(PRESETS).index(cost.default_preset())
        presets.focus()
        self.watch(self.app, "theme", self._draw, init=False)

    def describe(self) -> None:
        """Find out what is on this machine, and show it."""
        self.run_worker(self._look, thread=True, exclusive=True, exit_on_error=False)

    def _look(self) -> None:
        """In a thread: it asks the driver of the GPU, and reads the corpus."""
        self.post_message(_Described(device_text(), corpus_source()))

    def on__described(self, event: _Described) -> None:
        self._device, self._corpus = event.device, event.corpus
        self._draw()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self.post_message(self.Chosen(event.option.id))

    def focus(self, scroll_visible: bool = True) -> Start:  # noqa: FBT001, FBT002 - textual's own
        """Focus the list of presets."""
        self.query_one(OptionList).focus(scroll_visible)
        return self

    def _draw(self) -> None:
        self.query_one(".top", Static).update(self._top())
        self.query_one(".keys", Static).update(self._keys())
        self.query_one(".machine", Static).update(self._machine())
        presets = self.query_one(OptionList)
        for preset in PRESETS:
            presets.replace_option_prompt(preset, self._preset(preset))

    def _style(self, name: str) -> str:
        return str(theme.style(name, dark=self.app.current_theme.dark))

    def _top(self) -> Text:
        strong = self._style("strong")
        return Text.assemble(
            ("  Train small GPTs from scratch, ", strong),
            *(("Dense", self._style("dense.bold")), (" and ", strong)),
            *(("MoE", self._style("moe.bold")), (" side by side.\n\n", strong)),
            (_line(*_HEADINGS), self._style("muted")),
        )

    def _preset(self, preset: str) -> Text:
        config = build({"preset": preset})
        gpt, parameters = config.gpt, cost.parameters(config)
        dense, (total, active) = parameters["dense"][1], parameters["moe"]
        shape = f"{gpt.layers}/{gpt.heads}/{gpt.width}"
        moe = f"{formatting.count(total)} ({formatting.count(active)})"
        counts = formatting.count(dense), moe
        line = _line(preset, shape, str(gpt.context), *counts)
        text = Text(f"{line}\n", no_wrap=True)
        for part, style in zip((preset, *counts), ("strong", "dense", "moe"), strict=True):
            begin = line.index(part)
            text.stylize(self._style(style), begin, begin + len(part))
        made_for = f"{config.steps:,} steps, for {_MADE_FOR[preset]}"
        return text.append(f"{'':{_INDENT}}{made_for}", self._style("muted"))

    def _keys(self) -> Text:
        key, muted = self._style("key"), self._style("muted")
        return Text.assemble(
            *(("  Enter", key), (" train this preset    ", muted)),
            *(("↑↓", key), (" choose    ", muted)),
            *(("n", key), (" custom run…", muted)),
        )

    def _machine(self) -> Text:
        """Device, corpus and version; as many rows before they are known."""
        muted = self._style("muted")
        corpus = ": ".join(filter(None, (self._corpus.name, self._corpus.place)))
        text = Text.assemble(
            *(("  Device   ", muted), f"{self._device}\n"),
            *(("  Corpus   ", muted), f"{corpus}\n"),
            *(("  Version  ", muted), f"tinygpt-tui {version()}"),
        )
        if self._corpus.warning:
            for line in textwrap.wrap(self._corpus.warning, 58):
                text.append(f"\n  {line}", self._style("warn"))
        return text


def _line(*cells: str) -> str:
    """A line of the table, 59 columns wide."""
    preset, shape, context, dense, moe = cells
    return f"  {preset:<7}{shape:<19}{context:>7}{dense:>8}{moe:>16}"
