"""Terminals of every size while records arrive and keys are pressed."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.scenes import make_run, records
from tinygpt_tui.app import TABS, LabApp

SMALLEST, LARGEST = (20, 5), (400, 120)
KEYS = (
    "x",
    "y",
    "a",
    "space",
    "left",
    "right",
    "up",
    "down",
    "tab",
    "question_mark",
    "escape",
    "v",
)


@pytest.mark.parametrize("seed", range(6))
def test_any_size_in_any_order(
    tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    dice = random.Random(seed)
    writer = make_run(tmp_path, "one", records(30))
    later = iter(records(400)[1:])

    async def drive() -> int:
        app = LabApp(tmp_path, ascii=seed % 2 == 1)
        count = 0
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            for turn in range(60):
                size = dice.randint(SMALLEST[0], LARGEST[0]), dice.randint(SMALLEST[1], LARGEST[1])
                if turn % 10 == 0:
                    size = (SMALLEST, LARGEST, (20, 120), (400, 5))[turn // 10 % 4]
                await pilot.resize_terminal(*size)
                for _ in range(3):
                    if record := next(later, None):
                        writer.append(record)
                if turn % 5 == 0:
                    app.action_tab(dice.choice(TABS))
                await pilot.press(dice.choice(KEYS))
                await pilot.pause()
                strips = app.screen._compositor.render_strips()
                assert len(strips) == size[1]
                assert {strip.cell_length for strip in strips} == {size[0]}
                count += 1
        return count

    count = asyncio.run(drive())
    writer.close()
    record_property("count sizes of a terminal, while records arrived", count)
