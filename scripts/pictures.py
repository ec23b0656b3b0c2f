"""Draw the README's pictures: the real app on a real run, one SVG each into docs/pictures/.

    python scripts/pictures.py [RUN] [--data tinyshakespeare.txt]

RUN is a finished run of both variants. Without it a small one is trained in build/pictures, once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from svg_shapes import with_shapes
from textual.pilot import Pilot

from tinygpt_tui.app import LabApp

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
SIZE = (120, 34)
TRAINING = ("--preset", "nano", "--steps", "400", "--train.eval-every", "40", "--name", "nano")
TEXT = "But, soft! what light through yonder window breaks?"
ENGINE_QUIET = 8.0
"""Seconds without a change after which the engine has answered: it loads torch first."""
KEY_QUIET = 1.0

Keys = tuple[Sequence[str], float]
TABS: dict[str, Sequence[Keys]] = {
    "train": (((), ENGINE_QUIET),),
    "crosshair": ((("V", "enter", *["left"] * 40), KEY_QUIET),),
    "generate": (
        (("2",), ENGINE_QUIET),
        (("S", "5", "enter", "g"), ENGINE_QUIET),
        (("v", *["left"] * 24), KEY_QUIET),
    ),
    "attention": (
        (("3",), ENGINE_QUIET),
        (("t", "f7", *TEXT, "enter"), ENGINE_QUIET),
        (("enter", *["right_curly_bracket"] * 3, "right_square_bracket", "left"), KEY_QUIET),
    ),
    "experts": (
        (("4",), ENGINE_QUIET),
        (("g",), ENGINE_QUIET),
        (("right",) * 12, KEY_QUIET),
    ),
}
"""The keys that lead to each picture, and how long the screen must stay unchanged after them."""


async def settled(pilot: Pilot[int], quiet: float) -> str:
    """The screen as SVG, once it has not changed for `quiet` seconds but for the machine's load."""
    before, since = [""], time.monotonic()
    while True:
        await pilot.pause(0.2)
        shot = pilot.app.export_screenshot(title="tinygpt-tui")
        shot = re.sub(r"terminal-\d+", "t", shot)  # a number that changes with every character
        if (now := [line for line in shot.splitlines() if "CPU" not in line]) != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > quiet:
            return shot


async def draw(run: Path, names: Sequence[str]) -> None:
    """Open the app on `run` and write a picture of each of these tabs."""
    app = LabApp(run.parent, run)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot, ENGINE_QUIET)
        for name in names:
            for keys, quiet in TABS[name]:
                await pilot.press(*keys)
                shot = await settled(pilot, quiet)
            path = PICTURES / f"{name}.svg"
            path.write_text(with_shapes(shot), encoding="utf-8")
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")
        app.exit()


def train(data: str) -> Path:
    """A small finished run, trained unless it exists."""
    out = ROOT / "build" / "pictures"
    run = out / "nano"
    if not run.is_dir():
        command = [sys.executable, "-m", "tinygpt_tui", "--train-only", *TRAINING]
        subprocess.run([*command, "--data", data, "--out", str(out)], check=True)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN")
    parser.add_argument("--data", default="auto", help="corpus of the small run (auto)")
    parser.add_argument("--only", choices=TABS, action="append", help="draw only this tab")
    options = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    run = options.run.resolve() if options.run else train(options.data)
    with tempfile.TemporaryDirectory() as state:  # keeps the user's prompt history out
        os.environ["XDG_STATE_HOME"] = state
        asyncio.run(draw(run, options.only or list(TABS)))


if __name__ == "__main__":
    main()
