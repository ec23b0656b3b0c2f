"""The table of keys: the source of bindings, footer, help screen and command palette."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple


class Key(NamedTuple):
    """One action and the keys that trigger it."""

    keys: str
    """As Textual names them, comma-separated."""
    action: str
    label: str
    """For the footer: one word or two."""
    help: str
    """For the help screen and the command palette, without a full stop."""
    shown: str = ""
    """How the keys are displayed; empty for the name of the first."""
    footer: bool = False
    needs: str = ""
    """When the key has an effect: "live" (also queued), "training", "resumable", "run" or
    "overlays"; empty for always."""

    @property
    def text(self) -> str:
        """The keys as displayed."""
        return self.shown or self.keys.split(",")[0]


RUN = (
    Key(
        "space",
        "pause",
        "pause",
        "Pause or continue training; start a queued run now",
        "space",
        footer=True,
        needs="live",
    ),
    Key(
        "s",
        "stop",
        "stop",
        "Stop training after a checkpoint; take a run from the queue (asks)",
        footer=True,
        needs="live",
    ),
    Key("k", "checkpoint", "checkpoint", "Write a checkpoint now", needs="training"),
    Key(
        "u",
        "resume",
        "resume",
        "Resume a stopped or killed run; train a finished one longer",
        needs="resumable",
    ),
    Key("I", "run_info", "info", "This run: settings, log, size on disk, note", needs="run"),
    Key("n", "new_run", "new", "New run: fill in a form", footer=True),
    Key(
        "r", "runs", "runs", "All runs: open, compare, overlay, rename, delete, resume", footer=True
    ),
)
RUN_LIST = (
    Key("enter", "open", "open", "Open the run", "Enter"),
    Key("space", "mark", "mark", "Mark or unmark the run", "space"),
    Key(
        "o", "overlay", "overlay", "Overlay the marked runs on the charts; without marks, this run"
    ),
    Key(
        "equals_sign",
        "compare",
        "compare",
        "Compare the marked runs; a single one with the open run",
        "=",
    ),
    Key("slash", "filter", "filter", "Show only runs that have these words", "/"),
    Key("z", "sort", "sort", "Sort by the next column"),
    Key("Z", "reverse", "reverse", "Sort the other way round"),
    Key("u", "resume", "resume", "Resume the run; train a finished one for more steps"),
    Key("n", "clone", "new from it", "New run: the form, filled with the settings of this run"),
    Key("I,i", "run_info", "info", "The run's settings, log, size on disk, and note", "I"),
    Key("R", "rename", "rename", "Rename the run"),
    Key("d,delete", "delete", "delete", "Delete the run and its checkpoints (asks)", "d"),
    Key(
        "escape,q", "leave", "back", "Show all runs again; go back without changing anything", "Esc"
    ),
    Key("question_mark", "app.help('List of runs')", "help", "This help", "?"),
)
RUN_INFO = (
    Key("right,tab", "page(1)", "next", "Next page: settings, log, disk, note", "→"),
    Key("left,shift+tab", "page(-1)", "previous", "Previous page", "←"),
    Key("up", "scroll(-1)", "up", "Scroll up", "↑"),
    Key("down", "scroll(1)", "down", "Scroll down", "↓"),
    Key("pageup", "scroll_pages(-1)", "page up", "Page up", "PgUp"),
    Key("pagedown,space", "scroll_pages(1)", "page down", "Page down", "PgDn"),
    Key("home", "jump(0)", "top", "To the top", "Home"),
    Key("end", "jump(1000000)", "end", "To the end", "End"),
    Key("e", "edit", "edit note", "Edit the note; ctrl+s saves it"),
    Key("n", "clone", "new from it", "New run: the form, filled with the settings of this run"),
    Key("u", "resume", "resume", "Resume the run; train a finished one for more steps"),
    Key("escape,q,I", "leave", "back", "Go back", "Esc"),
    Key("question_mark", "app.help('One run')", "help", "This help", "?"),
)
COMPARISON = (
    Key("up", "scroll(-1)", "up", "Scroll up", "↑"),
    Key("down", "scroll(1)", "down", "Scroll down", "↓"),
    Key("pageup", "page(-1)", "page up", "Page up", "PgUp"),
    Key("pagedown", "page(1)", "page down", "Page down", "PgDn"),
    Key("home", "jump(0)", "top", "To the top", "Home"),
    Key("end", "jump(1000000)", "end", "To the end", "End"),
    Key("left", "columns(-1)", "left", "Runs on the left", "←"),
    Key("right", "columns(1)", "right", "Runs on the right, if not all fit", "→"),
    Key("a", "all_settings", "all", "All settings / those that differ"),
    Key("b", "rotate", "baseline", "The next run as the baseline, the first one"),
    Key("escape,q,equals_sign", "leave", "back", "Go back", "Esc"),
    Key("question_mark", "app.help('Runs compared')", "help", "This help", "?"),
)
_LEAVE_OR_HELP = (
    Key("escape,q", "leave", "back", "Go back", "Esc"),
    Key("question_mark", "help", "help", "This help", "?"),
)
TEXTS = (
    Key("enter", "select", "show", "Show the text", "Enter"),
    Key("equals_sign", "compare", "compare", "Show the text beside the current one", "="),
    Key("R", "rename", "rename", "Name the text, or rename it"),
    Key("d,delete", "delete", "delete", "Delete the text and its branches (asks)", "d"),
    *_LEAVE_OR_HELP,
)
DECODING_PRESETS = (
    Key("enter", "select", "use", "Use the preset", "Enter"),
    Key("w", "save", "save current", "Save the current settings as a preset"),
    Key("d,delete", "delete", "delete", "Delete a saved preset (asks)", "d"),
    *_LEAVE_OR_HELP,
)
CHARTS = (
    Key("x", "cycle_x", "axis", "X axis: steps, epochs, tokens or training time", footer=True),
    Key(
        "y",
        "toggle_range",
        "range",
        "Y axis: full range / skip the initial drop (an arrow marks what is cut off)",
    ),
    Key("l", "toggle_log", "log", "Y axis: linear / logarithmic", footer=True),
    Key(
        "v",
        "cycle_chart",
        "charts",
        "Right chart: perplexity, learning rate, gradient norm, tokens/s or GPU load",
        footer=True,
    ),
    Key("V", "single_chart", "single", "Both charts / the loss alone / the other one alone"),
    Key("plus", "zoom(1)", "zoom in", "Zoom in, around the crosshair or the latest step", "+"),
    Key("minus", "zoom(-1)", "zoom out", "Zoom out", "-"),
    Key("left", "move(-1)", "left", "Pan left; with the crosshair on, move it", "←"),
    Key("right", "move(1)", "right", "Pan right; with the crosshair on, move it", "→"),
    Key("shift+left", "move(-10)", "far left", "Pan or move ten times as far left", "shift ←"),
    Key("shift+right", "move(10)", "far right", "Pan or move ten times as far right", "shift →"),
    Key("0", "follow", "follow", "Show the whole run and follow the latest step"),
    Key(
        "enter", "crosshair", "crosshair", "Crosshair on or off: exact values", "Enter", footer=True
    ),
    Key("escape", "leave_crosshair", "back", "Crosshair off", "Esc"),
    Key("left_square_bracket", "smooth(-1)", "less smoothing", "Smooth the train curve less", "["),
    Key("right_square_bracket", "smooth(1)", "more smoothing", "Smooth the train curve more", "]"),
    Key("m", "models", "models", "Both models / Dense only / MoE only"),
    Key("e", "curves", "curves", "Train and validation curves / validation only / train only"),
    Key(
        "equals_sign",
        "app.compare_overlays",
        "compare",
        "Compare the overlaid runs with this one",
        "=",
        needs="overlays",
    ),
    Key(
        "o",
        "app.clear_overlays",
        "overlays",
        "Remove the overlaid runs from the charts",
        needs="overlays",
    ),
)
GENERATE = (
    Key("g", "generate", "generate", "Generate, with a new seed unless one is set", footer=True),
    Key("t,i", "prompt", "prompt", "Edit the prompt; Enter generates", "t", footer=True),
    Key(
        "escape", "back", "stop", "Stop generating; otherwise go back one level", "Esc", footer=True
    ),
    Key("c", "continue_text", "continue", "Continue the text", footer=True),
    Key("a", "regenerate", "again", "Generate again with the same prompt and seed"),
    Key("o", "one_token", "one token", "Generate one more token"),
    Key(
        "left",
        "move(-1)",
        "inspect",
        "Move the cursor left: inspect the candidates for each token",
        "←",
    ),
    Key("right", "move(1)", "right", "Move the cursor right", "→"),
    Key("up", "lines(-1)", "up", "Line up; in a list: previous entry", "↑"),
    Key("down", "lines(1)", "down", "Line down; in a list: next entry", "↓"),
    Key("home", "move(-1000000)", "first", "Move the cursor to the first token", "Home"),
    Key("end", "move(1000000)", "last", "Move the cursor to the last token", "End"),
    Key(
        "enter",
        "enter",
        "choose",
        "List candidates at the cursor, then branch; in a list: open the entry",
        "Enter",
    ),
    Key("m", "models", "models", "Both models / Dense only / MoE only"),
    Key(
        "B",
        "toggle_best",
        "best/newest",
        "Best or newest checkpoint; a text is generated again with it",
        footer=True,
    ),
    Key("h", "checkpoint", "checkpoint", "Choose the checkpoint to generate with"),
    Key("full_stop", "timeline(1)", "later", "Generate again with the next checkpoint", "."),
    Key("comma", "timeline(-1)", "earlier", "Generate again with the previous checkpoint", ","),
    Key("x", "switch_side", "switch", "Switch pane"),
    Key("D", "presets", "presets", "Presets of settings: load, save, delete", footer=True),
    Key(
        "v", "colour", "colour", "Colour by surprisal, probability, entropy or expert", footer=True
    ),
    Key("left_curly_bracket", "layer(-1)", "layer", "Previous layer that colours the text", "{"),
    Key("right_curly_bracket", "layer(1)", "layer", "Next layer whose experts colour it", "}"),
    Key("W", "marks", "spaces", "Show spaces and newlines, then also where tokens meet"),
    Key(
        "p",
        "replay_checkpoints",
        "timeline",
        "Same prompt and seed at every checkpoint",
        footer=True,
    ),
    Key("e", "sample_several", "samples", "Draw five samples, with mean surprisal"),
    Key("equals_sign", "compare", "compare", "Pin these settings left, change them right", "="),
    Key("b", "tree", "branches", "All texts: browse, compare, name, delete", footer=True),
    Key("y", "copy", "copy", "Copy the text (OSC 52, works over SSH)"),
    Key("w", "save", "save", "Save the text, or JSON with everything to reproduce it"),
    Key("G", "set('greedy')", "greedy", "Greedy decoding on or off"),
    Key("T", "set('temperature')", "temperature", "Temperature"),
    Key("K", "set('top_k')", "top-k", "Top-k"),
    Key("P", "set('top_p')", "top-p", "Top-p"),
    Key("M", "set('min_p')", "min-p", "Min-p"),
    Key("Y", "set('typical_p')", "typical-p", "Typical-p"),
    Key("R", "set('repetition_penalty')", "repetition", "Repetition penalty"),
    Key("N", "set('no_repeat_ngram')", "n-gram", "No-repeat n-gram"),
    Key("L", "set('temperature_last')", "temperature last", "Temperature before/after filtering"),
    Key("X", "set('max_new_tokens')", "tokens", "Tokens to generate"),
    Key("S", "set('seed')", "seed", "Seed; blank = random"),
    Key("E", "set('stop')", "stop", "Stop sequences"),
)
_TOGGLE_BEST = Key(
    "B",
    "toggle_best",
    "best/newest",
    "Switch between the best and the newest checkpoint",
    footer=True,
)
ATTENTION = (
    Key(
        "enter",
        "enter",
        "zoom in",
        "Zoom in: all heads, one head, a part of it, the text",
        "Enter",
        footer=True,
    ),
    Key(
        "escape",
        "back",
        "back",
        "Zoom out: the text, a part, the head, all heads",
        "Esc",
        footer=True,
    ),
    Key("left", "move(-1, 0)", "left", "Previous head; in a map: previous key", "←"),
    Key("right", "move(1, 0)", "right", "Next head, key or character", "→"),
    Key("up", "move(0, -1)", "up", "Previous layer; in a map: previous query", "↑"),
    Key("down", "move(0, 1)", "down", "Next layer, query or line", "↓"),
    Key("shift+left", "move(-8, 0)", "far left", "Eight keys left", "shift ←"),
    Key("shift+right", "move(8, 0)", "far right", "Eight keys right", "shift →"),
    Key("shift+up", "move(0, -8)", "far up", "Eight queries up", "shift ↑"),
    Key("shift+down", "move(0, 8)", "far down", "Eight queries down", "shift ↓"),
    Key("home", "jump('first')", "first", "First query", "Home"),
    Key("end", "jump('last')", "last", "Last query", "End"),
    Key("left_square_bracket", "head(-1)", "head", "Previous head", "["),
    Key("right_square_bracket", "head(1)", "head", "Next head", "]"),
    Key("left_curly_bracket", "layer(-1)", "layer", "Previous layer", "{"),
    Key("right_curly_bracket", "layer(1)", "layer", "Next layer", "}"),
    Key("m", "variant", "model", "Switch between Dense and MoE", footer=True),
    _TOGGLE_BEST,
    Key("t", "type", "text", "Enter a text to inspect", footer=True),
    Key("full_stop", "timeline(1)", "later", "Next checkpoint", "."),
    Key("comma", "timeline(-1)", "earlier", "Previous checkpoint", ",", footer=True),
    Key("p", "play", "play", "Play through all checkpoints", footer=True),
    Key("h", "checkpoint", "checkpoint", "Choose a checkpoint: the best, the newest, or a step"),
    Key("v", "mode", "view", "One head / mean over heads / rollout (approximate)"),
    Key(
        "equals_sign",
        "pin",
        "compare",
        "Pin left; compare with others on the right",
        "=",
        footer=True,
    ),
    Key("i", "statistic", "statistic", "Statistic under each head", footer=True),
    Key("z", "sort", "sort", "Heads by layer / sorted by the statistic"),
    Key("S", "survey", "statistics", "Head statistics over validation, with induction"),
    Key("x", "ablate", "without", "Loss without each head, over validation"),
    Key("a", "incoming", "direction", "Text view: attended keys / attended by"),
    Key("plus", "zoom(1)", "larger", "Larger cells in a map", "+"),
    Key("minus", "zoom(-1)", "smaller", "Smaller cells in a map", "-"),
    Key("C", "colours", "colours", "Colour map: viridis, magma, cividis"),
    Key("l", "scale", "scale", "Scale: sqrt / linear / relative to the row's maximum"),
    Key("P", "pooling", "pooling", "Pooling of cells with several weights: max / mean"),
    Key("g", "generated", "generated", "Inspect the text of the Generate tab, at its cursor"),
    Key("c", "corpus", "corpus", "Inspect a random line of the corpus"),
    Key("F", "file", "file", "Inspect the text of a file"),
    Key("pageup", "page(-1)", "page up", "Page up in a long text", "PgUp"),
    Key("pagedown", "page(1)", "page down", "Page down in a long text", "PgDn"),
    Key("w", "save", "save", "Save the map, all heads, their statistics, or a picture"),
)
EXPERTS = (
    Key("v", "view", "view", "Load and balance / text / tokens per expert", footer=True),
    Key("left_curly_bracket", "layer(-1)", "layer", "Previous layer", "{"),
    Key("right_curly_bracket", "layer(1)", "layer", "Next layer", "{ }", footer=True),
    Key("up", "down(-1)", "up", "Previous layer; in the table: scroll up", "↑"),
    Key("down", "down(1)", "down", "Next layer; in the table: scroll down", "↓"),
    Key("left", "move(-1)", "left", "Move the cursor left: experts of each token", "←"),
    Key("right", "move(1)", "right", "Move the cursor right", "→"),
    Key("pageup", "lines(-1)", "line up", "Cursor one line up; table or load: page up", "PgUp"),
    Key(
        "pagedown", "lines(1)", "line down", "Cursor one line down; table, load: page down", "PgDn"
    ),
    Key("home", "move(-1000000)", "first", "Move the cursor to the first token", "Home"),
    Key("end", "move(1000000)", "last", "Move the cursor to the last token", "End"),
    Key("comma", "timeline(-1)", "earlier", "Previous checkpoint", ","),
    Key("full_stop", "timeline(1)", "timeline", "Next checkpoint", ", .", footer=True),
    Key("p", "play", "play", "Play through all checkpoints; again to stop", footer=True),
    _TOGGLE_BEST,
    Key("0", "follow", "newest", "Follow the newest checkpoint"),
    Key("h", "checkpoint", "checkpoint", "Choose a checkpoint: the best, the newest, or a step"),
    Key("t", "type", "text", "Enter another text", footer=True),
    Key("g", "generated", "generated", "Use the text of the Generate tab"),
    Key("c", "corpus", "corpus", "Use random lines of the corpus", footer=True),
    Key("i", "digits", "digits", "Show the expert's number under each character"),
    Key("a", "classes", "classes", "Table by character / by character class"),
    Key("e", "expert", "expert", "Next expert: sorts the table, scrolls the load to it"),
    Key("x", "ablate", "without", "Loss without each expert, over validation"),
    Key("z", "order", "sort", "Sort the table by lift, count or name"),
)
GENERAL = (
    Key("1", "tab('train')", "train", "The Train tab"),
    Key("2", "tab('generate')", "generate", "The Generate tab"),
    Key("3", "tab('attention')", "attention", "The Attention tab"),
    Key("4", "tab('experts')", "experts", "The Experts tab"),
    Key("tab", "next_tab(1)", "next tab", "Next tab", "Tab"),
    Key("shift+tab", "next_tab(-1)", "previous tab", "Previous tab", "shift Tab"),
    Key("ctrl+t", "toggle_theme", "theme", "Light / dark theme", "ctrl+t"),
    Key("ctrl+p", "command_palette", "commands", "Command palette", "ctrl+p"),
    Key(
        "ctrl+z", "suspend_process", "suspend", "Suspend the app; fg in the shell resumes", "ctrl+z"
    ),
    Key("ctrl+c", "quit", "quit", "Quit, as q does; copy text that is selected", "ctrl+c"),
    Key("question_mark", "help", "help", "This help", "?", footer=True),
    Key("q", "leave", "quit", "Quit (asks if a run is active)", footer=True),
)
GROUPS = {
    "Run": RUN,
    "List of runs": RUN_LIST,
    "One run": RUN_INFO,
    "Runs compared": COMPARISON,
    "Charts": CHARTS,
    "Generate": GENERATE,
    "All texts": TEXTS,
    "Decoding presets": DECODING_PRESETS,
    "Attention": ATTENTION,
    "Experts": EXPERTS,
    "General": GENERAL,
}
TAB_GROUPS = {
    "train": "Charts",
    "generate": "Generate",
    "attention": "Attention",
    "experts": "Experts",
}
"""The title of each tab's own group."""
TAB_KEYS = {tab: GROUPS[title] for tab, title in TAB_GROUPS.items()}


def titles_of(tab: str) -> tuple[str, ...]:
    """The titles of the groups that a tab reacts to, the most important first."""
    own = TAB_GROUPS[tab]
    return ("Run", own, "General") if tab == "train" else (own, "Run", "General")


def keys_of(tab: str, *, has_run: bool) -> tuple[Key, ...]:
    """The keys that a tab reacts to, in the order of the footer."""
    titles = [title for title in titles_of(tab) if has_run or title != "Charts"]
    return tuple(key for title in titles for key in GROUPS[title])


def available(keys: Iterable[Key], met: Collection[str], labels: Mapping[str, str]) -> list[Key]:
    """The keys whose needs are met; `labels` by action are what some of them do now."""
    return [
        key._replace(label=labels.get(key.action, key.label))
        for key in keys
        if not key.needs or key.needs in met
    ]
