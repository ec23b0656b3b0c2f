"""The slider over the checkpoints."""

from tinygpt_tui.render.cells import Span, plain
from tinygpt_tui.render.timeline import checkpoint_words, position, slider


def test_slider_marks_the_checkpoint() -> None:
    assert plain([slider(3, 1, 20)]) == ["┼───●───┼"]
    assert plain([slider(5, 4, 9)]) == ["┼─┼─┼─┼─●"]
    assert plain([slider(50, 0, 9)]) == ["●────────"]
    assert slider(3, 1, 2) == slider(1, 0, 20) == ()


def test_slider_in_another_look() -> None:
    found = slider(4, 1, 40, tick="┴", spacing=3, knob="moe.bold", before="faint")
    assert found == (Span("┴──", "faint"), Span("●", "moe.bold"), Span("──┴──┴", "faint"))


def test_slider_marks_the_best() -> None:
    assert plain([slider(4, 3, 40, best=1)]) == ["┼───◆───┼───●"]
    assert plain([slider(4, 1, 40, best=1)]) == ["┼───●───┼───┼"]
    assert plain([slider(50, 0, 9, best=49)]) == ["●───────◆"]


def test_position() -> None:
    assert position(20, 2, playing=True, best=None) == "3/20 playing"
    assert position(20, 2, playing=True, best=7) == "3/20 playing"
    assert position(20, 19, playing=False, best=1700) == "20/20 · ◆ best 1,700"
    assert position(20, 0, playing=False, best=None) == "1/20"


def test_words_of_a_checkpoint() -> None:
    assert checkpoint_words("best", 1700, 1.8534) == ["best", "step 1,700", "val 1.853"]
    assert checkpoint_words(None, 500, None) == ["step 500"]
