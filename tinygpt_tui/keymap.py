"""The one table of keys: bindings, footer, help screen and command palette are all made from it."""

from __future__ import annotations

from typing import NamedTuple


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
    Key(
        "f", "timeline", "timeline", "The same prompt and seed through all checkpoints", footer=True
    ),
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
LOOK = (
    Key(
        "enter",
        "enter",
        "closer",
        "Closer: all heads, a head, a part of it, the text",
        "Enter",
        footer=True,
    ),
    Key(
        "escape", "back", "back", "Back: the text, a part, the head, all heads", "Esc", footer=True
    ),
    Key(
        "left", "move(-1, 0)", "left", "Among heads: the one before; in a map: the key before", "←"
    ),
    Key("right", "move(1, 0)", "right", "The head, key or character behind", "→"),
    Key("up", "move(0, -1)", "up", "Among heads: a layer up; in a map: the query before", "↑"),
    Key("down", "move(0, 1)", "down", "A layer, query or line down", "↓"),
    Key("shift+left", "move(-8, 0)", "far left", "Eight keys to the left", "shift ←"),
    Key("shift+right", "move(8, 0)", "far right", "Eight keys to the right", "shift →"),
    Key("shift+up", "move(0, -8)", "far up", "Eight queries up", "shift ↑"),
    Key("shift+down", "move(0, 8)", "far down", "Eight queries down", "shift ↓"),
    Key("home", "jump('first')", "first", "The first query", "Home"),
    Key("end", "jump('last')", "last", "The last query", "End"),
    Key("left_square_bracket", "head(-1)", "head", "The head before", "["),
    Key("right_square_bracket", "head(1)", "head", "The next head", "]"),
    Key("left_curly_bracket", "layer(-1)", "layer", "The layer below", "{"),
    Key("right_curly_bracket", "layer(1)", "layer", "The layer above", "}"),
    Key("v", "variant", "model", "Dense or MoE", footer=True),
    Key("t", "type", "text", "Type a text to look at; Enter there looks", footer=True),
    Key("full_stop", "timeline(1)", "later", "Timeline: the checkpoint after this", "."),
    Key("comma", "timeline(-1)", "earlier", "Timeline: the checkpoint before", ",", footer=True),
    Key("p", "play", "play", "Play the timeline of all checkpoints", footer=True),
    Key("h", "checkpoint", "checkpoint", "Choose a checkpoint, or follow the newest"),
    Key("m", "mode", "mean", "A head, the mean of the heads, rollout (an approximation)"),
    Key(
        "equals_sign",
        "pin",
        "compare",
        "Hold this map left, compare with others right",
        "=",
        footer=True,
    ),
    Key("i", "statistic", "statistic", "The statistic under each head", footer=True),
    Key("z", "sort", "sort", "All heads by layer, or sorted by the statistic"),
    Key("y", "survey", "survey", "Statistics over the validation split, with induction"),
    Key("w", "incoming", "who looks", "The text by where the character looks, or who looks at it"),
    Key("plus", "zoom(1)", "larger", "The numbers of a map larger", "+"),
    Key("minus", "zoom(-1)", "smaller", "The numbers of a map smaller", "-"),
    Key("o", "colours", "colours", "Colour map: viridis, magma, cividis"),
    Key("l", "scale", "scale", "Scale: root, linear, each row by its own largest weight"),
    Key("x", "pooling", "pooling", "A cell of several weights: their largest, or their mean"),
    Key("g", "written", "generated", "Look at what the Generate tab wrote, at its cursor"),
    Key("c", "corpus", "corpus", "Look at a random line of the corpus"),
    Key("f", "file", "file", "Look at the text of a file"),
    Key("pageup", "page(-1)", "page up", "A part of a long text further up", "PgUp"),
    Key("pagedown", "page(1)", "page down", "A part of a long text further down", "PgDn"),
    Key("d", "save", "save", "Save the map, all heads, their statistics, or the picture"),
)
EXPERTS = (
    Key(
        "v", "view", "view", "Load and balance, the text, the table of who reads what", footer=True
    ),
    Key("left_curly_bracket", "layer(-1)", "layer", "The layer below", "{"),
    Key("right_curly_bracket", "layer(1)", "layer", "The layer above", "{ }", footer=True),
    Key("up", "down(-1)", "up", "The layer below; in the table, scroll up", "↑"),
    Key("down", "down(1)", "down", "The layer above; in the table, scroll down", "↓"),
    Key("left", "move(-1)", "left", "The cursor over the text: which experts read each", "←"),
    Key("right", "move(1)", "right", "The cursor to the right", "→"),
    Key("pageup", "lines(-1)", "line up", "The cursor a line up; the table a page up", "PgUp"),
    Key("pagedown", "lines(1)", "line down", "The cursor a line down; the table a page", "PgDn"),
    Key("home", "move(-1000000)", "first", "The cursor to the first token", "Home"),
    Key("end", "move(1000000)", "last", "The cursor to the last token", "End"),
    Key("comma", "timeline(-1)", "earlier", "An earlier checkpoint", ","),
    Key(
        "full_stop",
        "timeline(1)",
        "timeline",
        "A later checkpoint: the timeline of the run",
        ", .",
        footer=True,
    ),
    Key("p", "play", "play", "Play the timeline of all checkpoints; again stops it", footer=True),
    Key("f,0", "follow", "newest", "The newest checkpoint, also when a newer one comes", "f"),
    Key("t", "write", "text", "Type another text", footer=True),
    Key("g", "generated", "generated", "The text of the Generate tab"),
    Key("c", "corpus", "corpus", "Random lines of the corpus", footer=True),
    Key("w", "digits", "digits", "The number of the expert under each character"),
    Key("d", "classes", "classes", "The table by character or by class of characters"),
    Key("e", "expert", "expert", "Another expert, whose characters stand first in the table"),
    Key("o", "order", "order", "Order the table by lift, by count, by name"),
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
GROUPS = {
    "The run": RUN,
    "Charts": CHARTS,
    "Generate": WRITE,
    "Attention": LOOK,
    "Experts": EXPERTS,
    "Everywhere": GENERAL,
}
