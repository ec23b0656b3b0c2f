"""The curves of each quantity, and their units of x."""

import math
from dataclasses import replace

import pytest

from tests.helpers.records import evaluated, lockstep
from tests.helpers.scenes import history as made_history
from tinygpt.run import EndRecord
from tinygpt_tui.monitor.gpu_readings import GpuReading, GpuReadings
from tinygpt_tui.monitor.history import History
from tinygpt_tui.monitor.overlays import Overlay
from tinygpt_tui.render.curves import Curve
from tinygpt_tui.train.curves import all_hidden, curves, evaluation_x, full_range, train_x
from tinygpt_tui.train.state import Options, Quantity


def test_units_of_x() -> None:
    history = History()
    history.add([*lockstep(4), evaluated("dense", 4, 1.0)])
    dense = history.variants["dense"]
    assert train_x(dense, "steps").tolist() == [1, 2, 3, 4]
    assert train_x(dense, "tokens").tolist() == [77, 154, 231, 308]
    assert train_x(dense, "epochs").tolist() == [0.5, 1.0, 1.5, 2.0]
    assert train_x(dense, "time").tolist() == [0.5, 1.0, 1.5, 2.0]
    for axis, last in (("steps", 4), ("tokens", 308), ("epochs", 2.0), ("time", 2.0)):
        assert evaluation_x(dense, axis).tolist() == [last]  # type: ignore[arg-type]
        assert last <= full_range(history, axis)[1] < 1.25 * last  # type: ignore[arg-type]
    history.add([EndRecord(time=1.0, state="done", reason="", models={})])
    assert full_range(history, "tokens") == (77.0, 308.0)
    assert full_range(History(), "steps") == (0.0, 1.0)


def test_the_best_evaluation_is_marked_on_the_validation_curve_alone() -> None:
    history = History()
    history.add(
        [*lockstep(9), *(evaluated("dense", s, x) for s, x in ((3, 2.0), (6, 1.5), (9, 1.6)))]
    )
    for quantity in ("loss", "perplexity"):
        drawn = curves(history, Options(), quantity, x_range=(1, 9), columns=40)
        assert {curve.name: curve.mark for curve in drawn if "val" not in curve.name} == {
            name: None for v in ("Dense", "MoE") for name in (f"{v} batch", f"{v} train (ema 50)")
        }
        dense, moe = (curve for curve in drawn if "val" in curve.name)
        assert (dense.mark, moe.mark) == (1, None)
        assert dense.x[1] == 6


def test_the_range_of_x_grows_to_the_longest_overlay() -> None:
    over, live = made_history(30, end=True), made_history(30)
    long, short = (Overlay("o", made_history(last), 1) for last in (70, 10))
    assert full_range(over, "steps", [short, long]) == (1.0, 70.0)
    assert full_range(over, "steps", [short]) == (1.0, 30.0)
    assert full_range(live, "steps", [short]) == full_range(live, "steps")
    assert full_range(live, "time", [long]) == (0.5, 35.0)
    assert full_range(History(), "steps", [long]) == (1.0, 70.0)


def test_overlays_have_their_own_colour_and_tell_variants_apart() -> None:
    overlays = [Overlay(name, made_history(30), n) for n, name in ((1, "a"), (2, "b"))]
    drawn = curves(History(), Options(), "loss", x_range=(1, 30), columns=40, overlays=overlays)
    assert [(c.name, c.style, c.marker, c.dashed) for c in drawn] == [
        ("a", "over.1", "1", False),
        ("a", "over.1", "1", True),
        ("b", "over.2", "2", False),
        ("b", "over.2", "2", True),
    ]
    assert [curve.x.tolist() for curve in drawn] == [[10, 20, 30]] * 4
    assert [curve.mark for curve in drawn] == [2] * 4, "the best evaluation"


def test_several_runs_are_their_mean_between_dotted_lines() -> None:
    others = made_history(20), made_history(30)
    for record, up in zip(others[1].variants["dense"].evaluations, (0.5, 0.0, 1.0), strict=True):
        object.__setattr__(record, "val_loss", record.val_loss + up)
    overlay = Overlay("g", made_history(30), 1, others)
    drawn = curves(History(), Options(), "loss", x_range=(1, 30), columns=40, overlays=[overlay])
    assert {(c.name, c.style, c.marker) for c in drawn} == {("g mean ± sd of 3", "over.1", "1")}
    kinds = [(c.weight, c.dotted, c.dashed) for c in drawn]
    band, dense, moe = ("faint", True, False), ("line", False, False), ("line", False, True)
    assert kinds == [band, band, dense, band, band, moe]
    low, high, mean = (curve.y for curve in drawn[:3])
    single = [r.val_loss for r in overlay.history.variants["dense"].evaluations]
    assert mean - single == pytest.approx([0.5 / 3, 0.0, 0.5]), "two runs have reached the last one"
    assert high - mean == pytest.approx([0.5 / 3**0.5, 0.0, 0.5**0.5])
    assert low + high == pytest.approx(2 * mean)


@pytest.mark.parametrize(
    ("hidden", "last", "points"),
    [
        ({"val"}, 30, [30, 30]),
        (set(), 7, [7, 7]),
        ({"val", "train"}, 30, []),
        ({"dense", "val"}, 30, [30]),
        ({"train"}, 7, []),
    ],
)
def test_overlays_show_train_losses_while_validation_is_hidden_or_missing(
    hidden: set[str], last: int, points: list[int]
) -> None:
    overlay, options = Overlay("a", made_history(last), 1), Options(hidden=frozenset(hidden))
    drawn = curves(History(), options, "loss", x_range=(1, 30), columns=40, overlays=[overlay])
    assert [len(curve.x) for curve in drawn] == points


@pytest.mark.parametrize(
    ("quantity", "value"), [("learning rate", 0.02), ("gradient norm", 0.71), ("tokens/s", 154.0)]
)
def test_other_quantities_are_drawn_of_runs_and_overlays(quantity: Quantity, value: float) -> None:
    overlays = [Overlay("a", made_history(30), 1)]
    options = Options(hidden=frozenset({"train", "val"}))
    drawn = curves(
        made_history(20), options, quantity, x_range=(1, 30), columns=40, overlays=overlays
    )
    styles = [curve.style for curve in drawn if curve.weight == "line"]
    assert styles == ["over.1", "over.1", "dense", "moe"], "train and val are curves of the loss"
    assert all(curve.y == pytest.approx(value) for curve in drawn)


def test_gpu_load_is_drawn_at_the_steps_of_the_readings() -> None:
    readings = GpuReadings()
    readings.values = [GpuReading(s, s / 2, (40.0 + s,), (25.0,)) for s in (3, 9)]
    history = made_history(20)
    for axis, x in (("steps", [3, 9]), ("tokens", [231, 693]), ("time", [1.5, 4.5])):
        options = Options(x_axis=axis)  # type: ignore[arg-type]
        load, memory = curves(
            history, options, "GPU", x_range=(1, 20), columns=40, readings=readings
        )
        assert (load.name, load.x.tolist(), load.y.tolist()) == ("utilisation", x, [43.0, 49.0])
        assert (memory.name, memory.y.tolist(), memory.dashed) == ("memory", [25.0, 25.0], True)
    readings.values = [GpuReading(3, 1.5, (7.0, 11.0), (25.0, 50.0))]
    drawn = curves(history, Options(), "GPU", x_range=(1, 20), columns=40, readings=readings)
    assert [(c.name, c.marker, c.y[0]) for c in drawn] == [
        ("GPU 0", "0", 7.0),
        ("GPU 0", "0", 25.0),
        ("GPU 1", "1", 11.0),
        ("GPU 1", "1", 50.0),
    ]


def test_all_curves_hidden_is_told_from_no_curves() -> None:
    history, variants = made_history(9), Options(hidden=frozenset({"dense", "moe"}))
    assert all_hidden(history, variants)
    assert not all_hidden(history, Options(hidden=frozenset({"dense", "train"})))
    assert not all_hidden(History(), variants)


def test_losses_are_in_bits_per_byte_beside_a_run_with_other_tokens() -> None:
    own, other = made_history(70), made_history(70)
    assert other.start is not None
    other.start = replace(other.start, tokenizer={"kind": "bpe", "vocab_size": 1024})
    for variant in other.variants.values():
        variant.evaluations = [
            replace(r, bits_per_byte=r.val_loss / 3) for r in variant.evaluations
        ]
    overlays = [Overlay("tokens", other, 1)]

    def last(name: str, quantity: Quantity, overlays: list[Overlay]) -> float:
        found = drawn(own, quantity, overlays)
        return next(float(curve.y[-1]) for curve in found if curve.name == name)

    def drawn(run: History, quantity: Quantity, overlays: list[Overlay]) -> list[Curve]:
        return curves(run, Options(), quantity, x_range=(0, 80), columns=60, overlays=overlays)

    loss = last("Dense val", "loss", [])
    assert last("Dense val", "loss", overlays) == pytest.approx(loss / math.log(2))
    assert last("tokens", "loss", overlays) == pytest.approx(loss / 3)
    assert last("Dense val", "perplexity", overlays) == pytest.approx(math.exp(loss))
