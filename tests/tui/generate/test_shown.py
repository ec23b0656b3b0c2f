"""Snapshots of the whole Generate tab, of texts that no model wrote: the same on every machine."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.helpers import snapshots
from tests.helpers.app import drive
from tests.helpers.generated import made, token
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.app import LabApp
from tinygpt_tui.engine.protocol import Opened
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.view import Side
from tinygpt_tui.widgets.cell_view import CellView

WORDS = "a bad cab\ndeed a bee\nace cede dab add bead "


def fill(console: GenerateController) -> None:
    """Two texts side by side, with the cursor on a token that the filters left."""
    console.params = SamplingParams(temperature=0.8, top_k=5, seed=3)
    dense, moe = made(WORDS * 3, p=0.61), made(WORDS * 2)
    moe.tokens = [
        token(c, experts=(i % 4, i // 7 % 4), p=(0.95, 0.7, 0.41, 0.2, 0.05)[i % 5])
        for i, c in enumerate(WORDS * 2)
    ]
    moe.opened = Opened(2, "run/moe/step-00000007", "moe", 7, 1.4, 2, 4)
    dense.made = moe.made = 101
    dense.seconds, moe.seconds = 0.1, 0.2
    dense.forced = {4}
    console.sides = [Side("Dense", "dense.bold", dense), Side("MoE", "moe.bold", moe)]
    console.active, console.cursor = 1, 6


LOOKS = {
    "surprisal": {"colour": "surprisal"},
    "expert": {"colour": "expert", "layer": 1, "marks": True},
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("ascii", [False, True], ids=["", "ascii"])
@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_looks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    ascii: bool,  # noqa: FBT001 - of the parameters
    look: str,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    async def body(app: LabApp, pilot: "Pilot[int]") -> None:
        await pilot.press("2")
        pane = app.generate
        fill(pane.controller)
        pane.controller.look = replace(pane.controller.look, **LOOKS[look])  # type: ignore[arg-type]
        pane.draw()
        rows = [row for view in pane.query(CellView) for row in view.rows]
        name = f"generate-{look}-{size[0]}x{size[1]}"
        if ascii:
            name, rows = f"{name}-ascii", snapshots.as_ascii(rows)
        snapshots.check(name, rows)

    drive(tmp_path, body, size, ascii=ascii)
