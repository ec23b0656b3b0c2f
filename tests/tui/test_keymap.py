"""The table of keys: one scheme of letters."""

from collections import defaultdict

import pytest

from tinygpt_tui.keymap import GROUPS, TAB_GROUPS, keys_of

SHARED = {
    "w": {"save"},
    "m": {"models", "variant"},
    "comma": {"timeline(-1)"},
    "full_stop": {"timeline(1)"},
    "p": {"play", "replay_checkpoints"},
    "t": {"prompt", "type"},
    "h": {"checkpoint"},
    "B": {"toggle_best"},
    "equals_sign": {"compare", "pin", "app.compare_overlays", "leave"},
    "plus": {"zoom(1)"},
    "minus": {"zoom(-1)"},
    "left_curly_bracket": {"layer(-1)"},
    "right_curly_bracket": {"layer(1)"},
    "z": {"sort", "order"},
    "Z": {"reverse"},
    "0": {"follow"},
    "F": {"file"},
    "n": {"new_run", "clone"},
    "u": {"resume"},
    "I": {"run_info", "leave"},
    "R": {"rename", "set('repetition_penalty')"},
    "d": {"delete"},
}
"""What each of these keys does, wherever it does something; `leave` where it closes what it opened.
"""
APART = {("Run", "checkpoint")}
"""Actions that have the name of a shared one, but are not the same: `k` writes a checkpoint."""


def test_a_shared_key_does_the_same_everywhere() -> None:
    found = defaultdict(set)
    for group in GROUPS.values():
        for key in group:
            for name in key.keys.split(","):
                found[name].add(key.action)
    assert {name: found[name] for name in SHARED} == SHARED


def test_the_same_action_has_the_same_key_everywhere() -> None:
    keys = {action: name for name, actions in SHARED.items() for action in actions}
    for title, group in GROUPS.items():
        for key in group:
            if key.action in keys and key.action != "leave" and (title, key.action) not in APART:
                assert keys[key.action] in key.keys.split(","), (title, key)


@pytest.mark.parametrize("tab", TAB_GROUPS)
def test_no_key_has_two_meanings_in_a_tab(tab: str) -> None:
    names = [name for key in keys_of(tab, has_run=True) for name in key.keys.split(",")]
    assert sorted(names) == sorted(set(names))


def test_what_deletes_is_in_lists_only() -> None:
    deleting = [(t, key) for t, group in GROUPS.items() for key in group if "elete" in key.help]
    assert {title for title, key in deleting if key.action == "delete"} == {
        "List of runs",
        "All texts",
        "Decoding presets",
    }
    assert all("(asks)" in key.help for _, key in deleting if key.action == "delete")
