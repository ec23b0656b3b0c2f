"""Chart options: zoom, pan and the unit of x."""

from tinygpt_tui.train.state import Options


def test_zoom_and_pan_stay_inside() -> None:
    whole = (0.0, 100.0)
    options = Options().zoomed(1, whole, 100.0)
    assert options.window == (50.0, 100.0)
    assert options.panned(-10, whole).window == (25.0, 75.0)
    assert options.panned(-100, whole).window == (0.0, 50.0)
    assert options.panned(10, whole).window == (50.0, 100.0)
    assert options.zoomed(-1, whole, 100.0).window is None
    at_cursor = Options(cursor=20.0).zoomed(1, whole, 100.0)
    assert at_cursor.window == (10.0, 60.0)
    deep = options
    for _ in range(50):
        deep = deep.zoomed(1, whole, 91.0)
    assert deep.window is not None
    assert deep.window[0] <= 91.0 <= deep.window[1]
    assert deep.window[1] - deep.window[0] > 0.0005


def test_another_unit_of_x_resets_window_and_crosshair() -> None:
    options = Options(window=(1.0, 2.0), cursor=1.5).next_x()
    assert (options.x_axis, options.window, options.cursor) == ("epochs", None, None)
