"""The Train tab at every size, in every state: snapshots, and what must always hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import snapshots
from tests.helpers.records import evaluated, started, train
from tests.helpers.scenes import history, overfit_history
from tests.helpers.train_states import LIVE, make_state
from tinygpt.run import EndRecord, RunState
from tinygpt.run.columns import group
from tinygpt.smoothing import Ema
from tinygpt_tui.keymap import CHARTS, GENERAL, RUN
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.render.header_footer import footer_row, header_row
from tinygpt_tui.render.run_state import LOOKS, badge
from tinygpt_tui.train.curves import curves
from tinygpt_tui.train.state import CHARTS as CHOICES
from tinygpt_tui.train.state import RIGHT, Options, Quantity, TrainState
from tinygpt_tui.train.status_line import closing_line, status_line
from tinygpt_tui.train.variant_table import variant_cells
from tinygpt_tui.train.view import tab


@pytest.mark.parametrize("plain_glyphs", [False, True])
@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60), (40, 12), (50, 50)])
def test_snapshot_of_each_size(size: tuple[int, int], plain_glyphs: bool) -> None:  # noqa: FBT001
    shown = make_state(ascii=plain_glyphs)
    header = header_row("train", "nano", "tinyshakespeare", LIVE, size[0])
    footer = footer_row((*RUN, *CHARTS, *GENERAL), size[0])
    rows = [header, *tab(shown, size[0], size[1] - 2), footer]
    name = f"train-{size[0]}x{size[1]}{'-ascii' if plain_glyphs else ''}"
    snapshots.check(name, snapshots.as_ascii(rows) if plain_glyphs else rows)


@pytest.mark.parametrize("state", LOOKS)
def test_snapshot_of_each_state(state: str) -> None:
    reason = f"why it is {state}"
    known = RunState(state=state, reason=reason)  # type: ignore[arg-type]
    shown = make_state(run_state=known, history=history(100, end=state == "done"))
    header = header_row("train", "nano", "tinyshakespeare", known, 80)
    snapshots.check(f"state-{state}", [header, status_line(shown)])
    assert LOOKS[state].word in plain([header])[0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("log", Options(log_y=True)),
        ("tokens", Options(x_axis="tokens")),
        ("time-zoomed", Options(x_axis="time", window=(10.0, 20.0))),
        ("crosshair", Options(cursor=41.0)),
        ("perplexity", Options(charts="right", full_y_range=True)),
        ("dense-only", Options(hidden=frozenset({"moe"}))),
        ("rough", Options(smoothing=0)),
    ],
)
def test_snapshot_of_each_look(name: str, options: Options) -> None:
    snapshots.check(f"look-{name}", tab(make_state(options=options), 90, 20))


def test_snapshot_of_an_overlay_and_a_gap() -> None:
    overlay = Overlay("older", history(50), 1)
    shown = make_state(overlays=(overlay,), history=history(70, nan_at=30))
    snapshots.check("look-overlay", tab(shown, 90, 20))


@pytest.mark.parametrize("plain_glyphs", [False, True])
@pytest.mark.parametrize("size", [(80, 22), (120, 34)])
def test_snapshot_of_two_overlays(size: tuple[int, int], plain_glyphs: bool) -> None:  # noqa: FBT001
    overlays = (
        Overlay("older", history(50), 1),
        Overlay("longer", overfit_history(100, best=60), 2),
    )
    rows = tab(make_state(overlays=overlays, ascii=plain_glyphs), *size)
    name = f"overlays-{size[0]}x{size[1]}{'-ascii' if plain_glyphs else ''}"
    snapshots.check(name, snapshots.as_ascii(rows) if plain_glyphs else rows)


@pytest.mark.parametrize("plain_glyphs", [False, True])
@pytest.mark.parametrize("size", [(80, 22), (120, 34)])
def test_snapshot_of_overfitting(size: tuple[int, int], plain_glyphs: bool) -> None:  # noqa: FBT001
    rows = tab(make_state(history=overfit_history(), ascii=plain_glyphs), *size)
    name = f"overfitting-{size[0]}x{size[1]}{'-ascii' if plain_glyphs else ''}"
    snapshots.check(name, snapshots.as_ascii(rows) if plain_glyphs else rows)


def test_a_better_evaluation_ends_the_warning_and_moves_the_mark() -> None:
    known = overfit_history(70, variants=["moe"])
    assert known.variants["moe"].overfitting is not None
    known.add([*group([train("moe", 80, 1.4)]), evaluated("moe", 80, 1.5)])
    assert known.variants["moe"].overfitting is None
    rows = tab(make_state(history=known), 120, 34)
    assert "verfitting" not in "".join(plain(rows))
    marks = [(span.text, span.style) for cells in rows for span in cells if "◆" in span.text]
    assert [style for _, style in marks[:4]] == ["dense.bold", "dense.bold", "moe.bold", "moe.bold"]
    assert all(text.endswith("◆") for text, _ in marks[:4])
    assert marks[4:] == [("◆1.6511", "text"), ("◆1.5000", "text")]


def test_nothing_yet() -> None:
    text = "\n".join(plain(tab(TrainState(History()), 80, 22)))
    assert "no data yet" in text


def test_gap_and_closing_line() -> None:
    done = RunState(state="done", reason="")
    text = "\n".join(
        plain(tab(make_state(history=history(100, end=True), run_state=done), 120, 34))
    )
    assert "Dense - MoE" in text
    assert "+0.0500" in text
    assert "MoE is better by 0.0500 nats" in text


@pytest.mark.parametrize("other", [1.5, 1.5 + 4e-5, 1.5 - 4e-5])
def test_equal_losses_are_called_equal(other: float) -> None:
    known = History()
    known.add([started(), evaluated("dense", 7, 1.5), evaluated("moe", 7, other)])
    known.add([EndRecord(time=20.0, state="done", reason="all steps are taken", models={})])
    line = plain([closing_line(make_state(history=known))])[0]
    assert "Dense and MoE have equal losses" in line
    assert "better" not in line
    gap = next(line for line in plain(tab(make_state(history=known), 200, 40)) if "Dense -" in line)
    assert gap.split()[3:] == ["+0.0000", "+0.00", "+0.0000"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(hidden=frozenset({"dense", "moe"})), "All curves hidden: m shows both models"),
        (Options(charts="right", right="GPU"), "readings begin with this visit"),
    ],
)
def test_a_chart_without_curves_says_why(options: Options, words: str) -> None:
    for columns in (80, 120):
        assert words in "\n".join(plain(tab(make_state(options=options), columns, 22)))


def test_validation_alone_before_the_first_evaluation_says_so() -> None:
    young = History()
    young.add(group([started(), *(train("dense", step) for step in range(1, 8))]))
    shown = make_state(history=young, options=Options(hidden=frozenset({"train"})))
    words = "No evaluation yet: e shows the train curves"
    assert words in "\n".join(plain(tab(shown, 120, 22)))


def test_the_train_loss_is_one_number_in_table_curve_and_crosshair() -> None:
    shown = make_state(options=Options(cursor=70.0, smoothing=3))
    for name, variant in shown.history.variants.items():
        average = Ema(20).extend(variant.loss.values)[-1]
        assert variant_cells(shown, name, variant)[4].text == f"{average:.3f}"
        assert f"train (ema 20) {average:.3f}" in plain([status_line(shown, 150)])[0]
        drawn = curves(shown.history, shown.options, "loss", x_range=(1, 70), columns=90)
        (curve,) = (c for c in drawn if c.style == name)
        assert curve.y[-1] == pytest.approx(average)
        assert "train (ema 20)" in curve.name
    assert "train (ema 20)" in plain(tab(shown, 150, 30))[0]


@pytest.mark.parametrize("columns", [80, 120, 200])
@pytest.mark.parametrize("right", RIGHT[:-1])
def test_legends_name_all_curves(columns: int, right: Quantity) -> None:
    shown = make_state(options=Options(right=right, log_y=True))
    head = plain(tab(shown, columns, 22))[0]
    assert head.count("(log)") + head.count("(log, clipped)") == 2
    assert [head.count(word) for word in ("Dense", "MoE", "ema")] == [
        2,
        2,
        1 if right == "learning rate" else 2,
    ]
    assert head.count("batch") == head.count("val") == 1 + (right == "perplexity")


@settings(max_examples=60)
@given(
    st.integers(1, 250),
    st.integers(1, 80),
    st.builds(
        Options,
        x_axis=st.sampled_from(["steps", "epochs", "tokens", "time"]),
        log_y=st.booleans(),
        charts=st.sampled_from(CHOICES),
        right=st.sampled_from(RIGHT),
        full_y_range=st.booleans(),
        smoothing=st.integers(0, 9),
        window=st.one_of(st.none(), st.just((5.0, 9.0)), st.just((1e6, 2e6))),
        cursor=st.one_of(st.none(), st.floats(0, 1000)),
        hidden=st.frozensets(st.sampled_from(["dense", "moe", "train", "val"])),
    ),
    st.sampled_from([0, 1, 2, 35]),
    st.booleans(),
)
def test_any_window_is_filled_exactly(
    columns: int,
    lines: int,
    options: Options,
    last: int,
    plain_glyphs: bool,  # noqa: FBT001
) -> None:
    shown = make_state(history=history(last), options=options, ascii=plain_glyphs)
    rows = tab(shown, columns, lines)
    assert [width(row) for row in rows] == [columns] * lines


def test_badges_differ_without_colour() -> None:
    badges = [badge(RunState(state=s, reason="")) for s in LOOKS]  # type: ignore[arg-type]
    for rows in (badges, snapshots.as_ascii(badges)):
        assert len({text.split()[0] for text in plain(rows)}) == len(LOOKS)


def test_overlaid_runs_stand_in_the_table_whatever_the_state() -> None:
    """The closing line no longer names them: it has its own facts to say, and was cut."""
    overlays = (Overlay("baby", history(10), 1), Overlay("big", history(10), 2))
    done = RunState(state="done", reason="")
    shown = make_state(overlays=overlays, history=history(100, end=True), run_state=done)
    rows = plain(tab(shown, 80, 22))
    assert [line[:6].strip() for line in rows if line[:2] in ("1 ", "2 ")] == ["1 baby", "2 big"]
    assert any("MoE time: 1.00x Dense" in line for line in rows)
