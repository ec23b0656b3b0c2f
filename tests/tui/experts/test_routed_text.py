"""A text coloured by expert, and the path of a token."""

from dataclasses import replace

import pytest

from tests.helpers.routed import inspect_reply
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
    assert heading.strip() == f"Expert path of {name}: " + " → ".join(map(str, path))
    assert [bar.split("●")[1][0] for bar in bars] == [str(expert) for expert in path]


def test_where_not_all_experts_fit_the_most_probable_are_shown(routed: RoutedText) -> None:
    (bar,) = plain(routed_text.path_block(replace(routed), 22, 2, layer=1, cursor=0))[1:]
    shown = [int(word.strip("●")) for word in bar.split()[1::2]]
    expected = sorted(range(routed.experts), key=lambda e: -routed.router[1, 0, e])[:2]
    assert shown == expected
