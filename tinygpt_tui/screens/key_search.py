"""Finds keys by any words of what they do, for the help and the command palette."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tinygpt_tui.keymap import GROUPS, TAB_GROUPS, Key, titles_of

_WORD = re.compile(r"[\w+-]+")

PREFIXES = {"Run": "Train", "General": "App"}
"""What commands of these groups begin with; those of others begin with the group's name."""
VERBS = {
    "Run": {
        "pause": "pause or resume",
        "stop": "stop after a checkpoint",
        "resume": "resume a stopped run, or train a finished one longer",
        "run_info": "show settings, log and note of this run",
        "new_run": "new run",
        "runs": "open, compare or delete runs",
    },
    "Charts": {
        "cycle_x": "switch x axis",
        "toggle_range": "switch y range",
        "toggle_log": "switch log scale",
        "cycle_chart": "switch the chart on the right",
        "single_chart": "show one chart or both",
        "zoom(1)": "zoom in",
        "follow": "show the whole run",
        "crosshair": "switch crosshair",
        "leave_crosshair": "turn crosshair off",
        "smooth(-1)": "smooth less",
        "smooth(1)": "smooth more",
        "models": "switch between Dense, MoE and both",
        "curves": "switch between train, validation and both",
        "app.compare_overlays": "compare overlaid runs",
        "app.clear_overlays": "remove overlaid runs",
    },
    "Generate": {
        "generate": "generate",
        "prompt": "edit prompt",
        "back": "stop generating",
        "enter": "list candidates at the cursor",
        "models": "switch between Dense, MoE and both",
        "toggle_best": "switch between best and newest checkpoint",
        "checkpoint": "choose checkpoint",
        "presets": "load, save or delete presets of settings",
        "colour": "switch colours",
        "timeline(1)": "generate with the next checkpoint",
        "timeline(-1)": "generate with the previous checkpoint",
        "layer(1)": "go to next layer of experts",
        "layer(-1)": "go to previous layer of experts",
        "replay_checkpoints": "replay through all checkpoints",
        "sample_several": "draw five samples",
        "compare": "compare two settings",
        "tree": "browse all texts",
        "copy": "copy text",
        "save": "save text",
        "set('greedy')": "switch greedy decoding",
        "set('temperature')": "set temperature",
        "set('top_k')": "set top-k",
        "set('top_p')": "set top-p",
        "set('min_p')": "set min-p",
        "set('typical_p')": "set typical-p",
        "set('repetition_penalty')": "set repetition penalty",
        "set('no_repeat_ngram')": "set no-repeat n-gram",
        "set('temperature_last')": "apply temperature last or first",
        "set('max_new_tokens')": "set tokens to generate",
        "set('seed')": "set seed",
        "set('stop')": "set stop sequences",
    },
    "Attention": {
        "enter": "zoom in",
        "back": "zoom out",
        "toggle_best": "switch between best and newest checkpoint",
        "head(1)": "go to next head",
        "head(-1)": "go to previous head",
        "layer(1)": "go to next layer",
        "layer(-1)": "go to previous layer",
        "type": "enter text",
        "timeline(1)": "go to next checkpoint",
        "timeline(-1)": "go to previous checkpoint",
        "checkpoint": "choose checkpoint",
        "mode": "switch between one head, mean and rollout",
        "pin": "pin and compare",
        "statistic": "switch statistic",
        "sort": "sort heads",
        "survey": "measure head statistics over validation",
        "incoming": "switch direction of the text view",
        "zoom(1)": "enlarge cells",
        "zoom(-1)": "shrink cells",
        "colours": "switch colour map",
        "scale": "switch scale",
        "pooling": "switch pooling",
        "save": "save map, statistics or picture",
    },
    "Experts": {
        "view": "switch view",
        "layer(1)": "go to next layer",
        "layer(-1)": "go to previous layer",
        "timeline(1)": "go to next checkpoint",
        "timeline(-1)": "go to previous checkpoint",
        "play": "play through all checkpoints",
        "toggle_best": "switch between best and newest checkpoint",
        "type": "enter text",
        "checkpoint": "choose checkpoint",
        "digits": "number the experts under the text",
        "classes": "switch between characters and classes",
        "expert": "go to next expert",
        "order": "sort table",
    },
    "General": {
        "tab('train')": "go to Train",
        "tab('generate')": "go to Generate",
        "tab('attention')": "go to Attention",
        "tab('experts')": "go to Experts",
        "toggle_theme": "switch between light and dark",
        "suspend_process": "suspend",
        "help": "list all keys",
        "leave": "quit",
    },
}
"""Commands by group and action; what is not here is called by its help."""
_MOVES = {
    *("left", "right", "up", "down", "shift+left", "shift+right", "shift+up", "shift+down"),
    *("home", "end", "pageup", "pagedown", "tab", "shift+tab", "ctrl+p", "ctrl+c"),
}
"""Keys that are no command: they move a cursor, are pressed many times, or have a twin."""


class Command(NamedTuple):
    """What a key does, as a command."""

    group: str
    """The title of its group of keys."""
    key: Key
    tab: str = ""
    """The tab that has to be open; empty for any."""

    @property
    def prefix(self) -> str:
        """What it begins with: what it is about."""
        return PREFIXES.get(self.group, self.group)

    @property
    def verb(self) -> str:
        """What it does, in a few words."""
        words = re.split("[;:(]", self.key.help)[0].strip()
        return VERBS[self.group].get(self.key.action, words[:1].lower() + words[1:])


def commands(tab: str, available: Mapping[str, Sequence[Key]]) -> list[Command]:
    """The commands by group, those of the open `tab` first; `available` are the keys that have an
    effect in each tab."""
    tabs = {title: name for name, title in TAB_GROUPS.items()}
    *first, general = titles_of(tab)
    titles = [*first, *(title for title in tabs if title not in first), general]
    return [
        Command(title, key, name)
        for title in titles
        for name in [tabs.get(title, "")]
        for key in GROUPS[title]
        if (title == general or key in available[name or tab]) and key.keys not in _MOVES
    ]


def search(query: str, found: Sequence[Command]) -> list[Command]:
    """The commands that have all words of the query, in any order, the best matches first; all of
    them for an empty query."""
    ranked = [(_rank(query, command), command) for command in found]
    ranked = [pair for pair in ranked if pair[0] is not None]
    return [command for _, command in sorted(ranked, key=lambda pair: pair[0] or 0)]


def _rank(query: str, command: Command) -> int | None:
    """0 for the best match; None if the query does not match."""
    if query.strip() == command.key.text:
        return 0
    title = f"{command.prefix} {command.verb}"
    if matches(query, [title]):
        return 1
    return 2 if matches(query, [title, command.key.help, command.key.label]) else None


def matches(query: str, texts: Iterable[str]) -> bool:
    """Whether each word of the query begins a word of the texts; longer than two letters, it may be
    anywhere in a word."""
    words = [word for text in texts for word in _WORD.findall(text.lower())]
    for part in query.lower().split():
        inside = len(part) > 2 and any(part in word for word in words)
        if not inside and not any(word.startswith(part) for word in words):
            return False
    return True
