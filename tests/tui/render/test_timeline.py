"""The slider over the checkpoints."""

from tinygpt_tui.render.cells import Span, plain
from tinygpt_tui.render.timeline import position, slider


def test_slider_marks_the_checkpoint() -> None:
    assert plain([slider(3, 1, 20)]) == ["┼───●───┼"]
    assert plain([slider(5, 4, 9)]) == ["┼─┼─┼─┼─●"]
    assert plain([slider(50, 0, 9)]) == ["●────────"]
    assert slider(3, 1, 2) == slider(1, 0, 20) == ()


def test_slider_in_another_look() -> None:
    found = slider(4, 1, 40, tick="┴", spacing=3, knob="moe.bold", before="faint")
    assert found == (Span("┴──", "faint"), Span("●", "moe.bold"), Span("──┴──┴", "faint"))


def test_position() -> None:
    assert position(20, 2, playing=True, following=False) == "3/20 playing"
    assert position(20, 19, playing=False, following=True) == "20/20 latest"
    assert position(20, 0, playing=False, following=False) == "1/20"
