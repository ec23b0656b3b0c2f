"""Commands from the table of keys, and how they are found."""

import pytest

from tinygpt_tui.keymap import GROUPS, TAB_KEYS, keys_of
from tinygpt_tui.screens.key_search import VERBS, Command, commands, search

AVAILABLE = {tab: keys_of(tab, has_run=True) for tab in TAB_KEYS}


def names(found: list[Command]) -> list[str]:
    return [f"{command.prefix}: {command.verb}" for command in found]


def test_every_verb_belongs_to_a_key() -> None:
    for group, verbs in VERBS.items():
        assert verbs.keys() <= {key.action for key in GROUPS[group]}


def test_commands_begin_with_verbs_and_are_unique() -> None:
    found = names(commands("generate", AVAILABLE))
    assert {"Train: new run", "Generate: set temperature", "Charts: zoom in"} <= set(found)
    assert len(set(found)) == len(found)
    assert all(name.partition(": ")[2][0].islower() for name in found)
    assert not any(" / " in name for name in found), "a list of what a key switches between"


def test_groups_stay_together_and_that_of_the_open_tab_is_first() -> None:
    prefixes = [command.prefix for command in commands("experts", AVAILABLE)]
    runs = [p for p, before in zip(prefixes, ["", *prefixes], strict=False) if p != before]
    assert runs == ["Experts", "Train", "Charts", "Generate", "Attention", "App"]


def test_only_keys_with_an_effect_are_commands() -> None:
    without = {tab: keys_of(tab, has_run=False) for tab in TAB_KEYS}
    assert not any(command.group == "Charts" for command in commands("generate", without))


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("temperature", "Generate: set temperature"),
        ("temp gen", "Generate: set temperature"),
        ("n", "Train: new run"),
        ("run new", "Train: new run"),
        ("T", "Generate: set temperature"),
        ("overlay", "Train: open, compare or delete runs"),  # a word of its help alone
        ("dark", "App: switch between light and dark"),
        ("map save", "Attention: save map, statistics or picture"),
    ],
)
def test_any_words_find_a_command(query: str, first: str) -> None:
    keys = {**AVAILABLE, "train": keys_of("train", has_run=False)}
    assert names(search(query, commands("train", keys)))[0] == first


def test_letters_spread_over_words_find_nothing() -> None:
    assert search("tmprtr", commands("train", AVAILABLE)) == []
