"""The one table of keys: bindings, footer, help screen and command palette are all made from it."""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding, BindingType


class Key(NamedTuple):
    """A key, or several for one action."""

    keys: str
    """As textual names them, comma-separated."""
    action: str
    label: str
    """In the footer; a word."""
    help: str
    """In the help screen and the command palette; a sentence without its full stop."""
    shown: str = ""
    """How the keys are written; the first key's name if empty."""
    footer: bool = False
    needs: str = ""
    """What has to be there: "live", "resumable", "overlays"; empty for always."""

    @property
    def text(self) -> str:
        """The keys as a person reads them."""
        return self.shown or self.keys.split(",")[0]


RUN = (
    Key(
        "space",
        "pause",
        "pause",
        "Pause the training, or go on",
        "space",
        footer=True,
        needs="live",
    ),
    Key(
        "s",
        "stop",
        "stop",
        "Stop the training after a checkpoint (asks)",
        footer=True,
        needs="live",
    ),
    Key("k", "checkpoint", "checkpoint", "Write a checkpoint now", needs="live"),
    Key("u", "resume", "resume", "Resume a run that was stopped or killed", needs="resumable"),
    Key("n", "new_run", "new", "Start a new run: a form", footer=True),
    Key("r", "runs", "runs", "All runs: open, overlay, rename, delete, resume", footer=True),
)
CHARTS = (
    Key("x", "cycle_x", "axis", "X in steps, epochs, tokens or training time", footer=True),
    Key("y", "toggle_range", "range", "Y over everything, or without the first steep fall"),
    Key("l", "toggle_log", "log", "Y linear or logarithmic", footer=True),
    Key(
        "c",
        "cycle_chart",
        "charts",
        "Both charts, the loss alone, the perplexity alone",
        footer=True,
    ),
    Key(
        "plus,equals_sign", "zoom(1)", "zoom in", "Zoom in, around the crosshair or the newest", "+"
    ),
    Key("minus", "zoom(-1)", "zoom out", "Zoom out", "-"),
    Key("left", "move(-1)", "left", "Pan to the left; with the crosshair on, move it", "←"),
    Key("right", "move(1)", "right", "Pan to the right; with the crosshair on, move it", "→"),
    Key("shift+left", "move(-10)", "far left", "The same, ten times as far", "shift ←"),
    Key("shift+right", "move(10)", "far right", "The same, ten times as far", "shift →"),
    Key("0,f", "follow", "follow", "Show the whole run and follow the newest", "0"),
    Key("v", "crosshair", "crosshair", "A crosshair that reads the exact values", footer=True),
    Key("comma", "smooth(-1)", "rougher", "Smooth the train curve less", ","),
    Key("full_stop", "smooth(1)", "smoother", "Smooth the train curve more", "."),
    Key("d", "toggle_curve('dense')", "dense", "Show or hide Dense"),
    Key("m", "toggle_curve('moe')", "moe", "Show or hide MoE"),
    Key("t", "toggle_curve('train')", "train", "Show or hide the train curves"),
    Key("e", "toggle_curve('val')", "val", "Show or hide the validation curves"),
    Key(
        "o",
        "app.clear_overlays",
        "overlays",
        "Take the overlaid runs off the charts",
        needs="overlays",
    ),
)
WRITE = (
    Key("g", "write", "write", "Answer the prompt, with a new seed unless one is set", footer=True),
    Key("p,i", "prompt", "prompt", "Edit the prompt; Enter there writes", "p", footer=True),
    Key("escape", "back", "stop", "Stop writing; else one level back", "Esc", footer=True),
    Key("c", "more", "more", "Go on behind what is written", footer=True),
    Key("a", "again", "again", "Write again with the same prompt and seed"),
    Key("full_stop", "one", "one token", "One token more", "."),
    Key("left", "move(-1)", "inspect", "The cursor over the text: what each was chosen from", "←"),
    Key("right", "move(1)", "right", "The cursor to the right", "→"),
    Key("up", "lines(-1)", "up", "A line up; among choices, the one above", "↑"),
    Key("down", "lines(1)", "down", "A line down; among choices, the one below", "↓"),
    Key("home", "move(-1000000)", "first", "The cursor to the first token", "Home"),
    Key("end", "move(1000000)", "last", "The cursor to the last token", "End"),
    Key(
        "enter",
        "enter",
        "choose",
        "At the cursor: the choices, then branch; in a list: show the entry",
        "Enter",
    ),
    Key("m", "models", "models", "Both models, Dense alone, MoE alone"),
    Key("x", "other", "side", "The other side"),
    Key("o", "presets", "presets", "Presets of settings: take, save, forget", footer=True),
    Key("v", "colour", "colour", "Colour by surprisal, probability, entropy, expert", footer=True),
    Key("l", "layer", "layer", "The layer whose experts colour the text"),
    Key("w", "marks", "spaces", "Spaces and new lines visible"),
    Key("f", "film", "film", "The same prompt and seed through all checkpoints", footer=True),
    Key("e", "several", "samples", "Five samples with mean surprisal"),
    Key("equals_sign", "compare", "compare", "Hold these settings left, change them right", "="),
    Key("h", "checkpoint", "checkpoint", "Choose the checkpoint that writes"),
    Key("b", "tree", "branches", "All texts: walk, compare, name, prune", footer=True),
    Key("y", "copy", "copy", "Copy the text (OSC 52, works over SSH)"),
    Key("d", "save", "save", "Save the text, or as JSON all that makes it again"),
    Key("G", "set('greedy')", "greedy", "Greedy on or off"),
    Key("T", "set('temperature')", "temperature", "Temperature"),
    Key("K", "set('top_k')", "top-k", "Top-k"),
    Key("P", "set('top_p')", "top-p", "Top-p"),
    Key("M", "set('min_p')", "min-p", "Min-p"),
    Key("Y", "set('typical_p')", "typical-p", "Typical-p"),
    Key("R", "set('repetition_penalty')", "repetition", "Repetition penalty"),
    Key("N", "set('no_repeat_ngram')", "n-gram", "No-repeat n-gram"),
    Key("L", "set('temperature_last')", "temperature last", "Temperature before or behind filters"),
    Key("X", "set('max_new_tokens')", "tokens", "Tokens to write"),
    Key("S", "set('seed')", "seed", "Seed; empty draws one each time"),
    Key("E", "set('stop')", "stop texts", "Texts that end the writing"),
)
GENERAL = (
    Key("1", "tab('train')", "train", "The Train tab"),
    Key("2", "tab('generate')", "generate", "The Generate tab"),
    Key("3", "tab('attention')", "attention", "The Attention tab"),
    Key("4", "tab('experts')", "experts", "The Experts tab"),
    Key("tab", "next_tab(1)", "next tab", "The next tab", "Tab"),
    Key("shift+tab", "next_tab(-1)", "previous tab", "The previous tab", "shift Tab"),
    Key("ctrl+t", "toggle_theme", "theme", "Light or dark", "ctrl+t"),
    Key("ctrl+p", "command_palette", "commands", "The command palette", "ctrl+p"),
    Key("question_mark", "help", "help", "This help", "?", footer=True),
    Key("q", "leave", "quit", "Leave; a live run asks what is to become of it", footer=True),
)
GROUPS = {"The run": RUN, "Charts": CHARTS, "Generate": WRITE, "Everywhere": GENERAL}


def bindings(*groups: tuple[Key, ...]) -> list[BindingType]:
    """The table as textual wants it."""
    return [
        Binding(
            key.keys,
            key.action,
            key.label,
            key_display=key.text,
            priority=key.keys in ("tab", "shift+tab"),
            show=False,
        )
        for group in groups
        for key in group
    ]
