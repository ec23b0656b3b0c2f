"""The form for a new run, driven by its keys."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.helpers.runs import make_run
from tests.helpers.screens import UNSET, Host, drive, press, text_of, until
from tinygpt import formatting
from tinygpt.config import build
from tinygpt_tui.screens.new_run import NewRunScreen

SIZES = [(80, 24), (120, 36)]


def test_form_names_the_run_and_what_differs(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press(*"first", "down", "right", "down", "right", "down")  # baby, dense
        assert app.screen.query_one("#field-steps", Input).placeholder == "5000"
        await pilot.press(*"300", "down", *"2.5", "down", "down", "down", "down")
        await pilot.press(*"3e-2", "down", *"7", "enter")

    app = drive(NewRunScreen(tmp_path, preset="nano"), script)
    assert app.result == [
        *("--name", "first", "--preset", "baby", "--model", "dense"),
        *("--steps", "300", "--minutes", "2.5"),
        *("--optim.matrix-learning-rate", "0.03", "--seed", "7"),
    ]


def test_a_corpus_is_pasted_with_quotes_and_blanks(tmp_path: Path, corpus_file: Path) -> None:
    pasted = {"data": f" '{corpus_file}' "}
    app = drive(NewRunScreen(tmp_path, preset="nano", values=pasted), press("ctrl+s"))
    assert app.result == ["--preset", "nano", "--data", str(corpus_file)]


def test_one_of_several_gpus_is_named(tmp_path: Path) -> None:
    screen = NewRunScreen(tmp_path, preset="micro", values={"device": "cuda:1"})
    app = drive(screen, press("ctrl+s"))
    assert app.result == ["--preset", "micro", "--device", "cuda:1"]


def test_blank_form_names_only_the_preset(tmp_path: Path) -> None:
    app = drive(NewRunScreen(tmp_path, preset="micro"), press("ctrl+s"))
    assert app.result == ["--preset", "micro"]
    assert drive(NewRunScreen(tmp_path), press("escape")).result is None


@pytest.mark.parametrize(
    ("values", "bad", "says"),
    [
        ({"name": "a/b"}, "name", "path separator"),
        ({"name": "taken"}, "name", "already"),
        ({"steps": "many"}, "steps", "'many' is not a whole number"),
        ({"minutes": "0"}, "minutes", "more than 0"),
        ({"data": "/nowhere"}, "data", "no readable file /nowhere"),
        ({"moe.experts": "3", "moe.top_k": "5"}, "moe-top_k", "only 3 experts"),
        ({"seed": "-1"}, "seed", "at least 0"),
        ({"device": "gpu:1"}, "device", "'gpu:1' is not one of auto, cpu, cuda, mps"),
    ],
)
def test_form_says_what_is_wrong_and_does_not_start(
    tmp_path: Path, values: dict[str, str], bad: str, says: str
) -> None:
    (tmp_path / "taken").mkdir()

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        assert app.result is UNSET
        assert says in text_of(app, ".message")
        assert app.screen.query_one(f"#field-{bad}").has_class("-bad")
        assert len(app.screen.query(".message.-bad")) == 1

    drive(NewRunScreen(tmp_path, values=values), script)


@pytest.mark.parametrize("size", SIZES)
def test_form_shows_costs_and_fits(tmp_path: Path, size: tuple[int, int]) -> None:
    make_run(tmp_path, "earlier", {"preset": "micro", "steps": 500}, "done", wall=90.0)

    async def script(app: Host, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "as measured" in text_of(app, ".costs"))
        shown = text_of(app, ".costs")
        assert "30:00" in shown  # 10,000 steps of 0.18 s
        total, active = build({"preset": "micro"}).model_config("moe", 65).parameters()
        assert formatting.count(total) in shown
        assert formatting.count(active) in shown
        box = app.screen.query_one(".box").region
        assert app.screen.region.contains_region(box)
        assert box.contains_region(app.screen.query_one(".costs").region)

    drive(NewRunScreen(tmp_path, preset="micro"), script, size)


def test_form_by_mouse(tmp_path: Path) -> None:
    async def script(app: Host, pilot: Pilot[None]) -> None:
        await pilot.click("#field-model", offset=(1 + len("● both   ○ d"), 0))
        await pilot.press("enter")

    assert drive(NewRunScreen(tmp_path), script).result[-2:] == ["--model", "dense"]
