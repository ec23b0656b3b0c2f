"""A text coloured by expert, and the path of a token."""

from dataclasses import replace

import pytest

from tests.helpers.routed import inspect_reply
from tinygpt.formatting import percent
from tinygpt_tui.engine import results
from tinygpt_tui.engine.results import RoutedText
from tinygpt_tui.experts import routed_text
from tinygpt_tui.render.cells import plain
from tinygpt_tui.theme import expert_style


@pytest.fixture
def routed() -> RoutedText:
    found = results.routed_text(inspect_reply(text="a b\nc"))
    assert found is not None
    return found


def test_each_character_has_the_style_and_the_number_of_its_expert(routed: RoutedText) -> None:
    rows = routed_text.text_block(routed, 20, 4, layer=1, cursor=2, digits=True)
    experts = routed.choice[1].tolist()
    texts = [text.strip() for text in plain(rows)]
    assert texts == ["a∙b⏎", "".join(map(str, experts[:4])), "c", str(experts[4])]
    style = expert_style(experts[2]) + "+reverse bold"
    assert [span.text for span in rows[0] if span.style == style] == ["b"]


@pytest.mark.parametrize(("cursor", "name"), [(0, '"a"'), (1, '" "'), (3, '"\\n"')])
def test_the_path_names_the_token_and_its_expert_in_each_layer(
    routed: RoutedText, cursor: int, name: str
) -> None:
    heading, *bars = plain(routed_text.path_block(routed, 80, 4, layer=0, cursor=cursor))
    path = routed.choice[:, cursor].tolist()
    assert heading.strip("─ ") == f"expert path of {name}: " + " → ".join(map(str, path))
    assert [bar.split("●")[1][0] for bar in bars] == [str(expert) for expert in path]


def test_where_not_all_experts_fit_the_most_probable_are_shown(routed: RoutedText) -> None:
    (bar,) = plain(routed_text.path_block(replace(routed), 22, 2, layer=1, cursor=0))[1:]
    shown = [int(word.strip("●")) for word in bar.split()[1::2]]
    expected = sorted(range(routed.experts), key=lambda e: -routed.router[1, 0, e])[:2]
    assert shown == expected


def many(experts: int) -> RoutedText:
    """A text routed among many experts, the last of which has the largest number."""
    found = results.routed_text(inspect_reply(text="ab漢", experts=experts))
    assert found is not None
    choice = found.choice.copy()
    choice[1] = [9, experts - 1, 10]
    return replace(found, choice=choice)


@pytest.mark.parametrize("experts", [12, 64, 1024])
@pytest.mark.parametrize("columns", [30, 80, 200])
def test_the_number_of_an_expert_is_apart_from_its_probability(experts: int, columns: int) -> None:
    routed = many(experts)
    for cursor in range(3):
        chosen = int(routed.choice[1, cursor])
        (bar,) = plain(routed_text.path_block(routed, columns, 2, layer=1, cursor=cursor))[1:]
        assert f"●{chosen} " in bar, "also if it is not among the most probable"
        share = routed.router[1, cursor, chosen]
        after = bar.split(f"●{chosen} ")[1].strip("▏▎▍▌▋▊▉█─ ")  # of the bar, if there is room
        assert after.startswith(percent(float(share)))


def test_numbers_of_two_digits_are_read_downwards() -> None:
    rows = routed_text.text_block(many(12), 20, 9, layer=1, cursor=0, digits=True)
    assert [text.rstrip() for text in plain(rows)] == [" ab漢", "  11", " 910"]


@pytest.mark.parametrize("chosen", [0, 10, 40, 63])
def test_the_legend_has_the_chosen_expert_if_not_all_fit(chosen: int) -> None:
    (legend,) = plain([routed_text.legend(64, 1, 60, chosen=chosen)])
    assert f"■{chosen} " in legend
    assert ("… " in legend[:15], "… " in legend[15:]) == (chosen > 0, chosen < 63)
