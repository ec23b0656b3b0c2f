"""Does a mixture of experts beat a dense model? Trains, measures and reports, by one command.

    python benchmarks/study.py tinyshakespeare.txt --scale micro nano --seeds 5

Trains every variant of study_cells.py with each seed, on the same batches per seed, with a tenth of
the text kept for the test; measures the trained models (study_measures.py); and writes
docs/study.md, its plots, and the table that the app shows (study_report.py), about all scales that
--out has. Runs and measurements that exist are kept, and an interrupted run is resumed. Nothing
else should run in the first minute, when the speed of the variants is measured.

    python benchmarks/study.py tinyshakespeare.txt --repeat nano moe 3

trains that cell again, elsewhere, and says whether it gives the same numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import machine
import study_cells as cells
from study_cells import BY_NAME, DENSE, MOE, SCALES, VARIANTS, Study, Variant
from study_measures import cross_losses, measure
from study_numbers import read_results, seed_spreads
from study_plots import draw
from study_report import page, render

from tinygpt.files import atomic
from tinygpt.files.folder_lock import sole_holder
from tinygpt.threads import usable_cpus

ROOT = Path(__file__).resolve().parent.parent
TRAINERS: set[subprocess.Popen[bytes]] = set()


class Cell(NamedTuple):
    """One training."""

    scale: str
    variant: Variant
    seed: int


def main() -> int:
    """Train what is missing, measure what is not measured, and report."""
    options = _parser().parse_args()
    if options.steps and options.into is None:
        sys.exit("--steps is for a trial: name a folder for its page with --into")
    study = Study(options.data.resolve(), options.out.resolve(), options.device, options.steps)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    if options.repeat:
        scale, variant, seed = options.repeat
        return repeat(study, Cell(scale, BY_NAME[variant], int(seed)))
    study.out.mkdir(parents=True, exist_ok=True)
    with sole_holder(study.out) as alone:
        if not alone:
            sys.exit(f"another study is at work in {study.out}: wait, or choose another --out")
        return carry_out(study, options)


def carry_out(study: Study, options: argparse.Namespace) -> int:
    """All steps of the study; 1 if one of them failed."""
    jobs = options.jobs or (usable_cpus() if study.device == "cpu" else 1)
    for scale in options.scale:
        cells.measure_speed(study, scale, [v for v in VARIANTS if v is not cells.DENSE_TIME])
    wanted = [
        Cell(scale, variant, seed)
        for seed in range(1, options.seeds + 1)
        for scale in options.scale
        for variant in VARIANTS
        if variant.name in options.variants
    ]
    if problems := [found for cell in wanted if (found := cells.problem(study, *cell))]:
        sys.exit("\n".join(problems))
    failed = train_all(study, wanted, jobs) + measure_all(study, wanted, jobs)
    how = ["--seeds", str(options.seeds)]
    how += [] if study.device == "cpu" else ["--device", study.device]
    report(study, options.into or ROOT, how)
    for what in failed:
        print(what, file=sys.stderr)
    return int(bool(failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="tinyshakespeare.txt")
    parser.add_argument("--scale", nargs="+", choices=SCALES, default=["micro", "nano"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=BY_NAME, default=list(BY_NAME))
    parser.add_argument("--out", type=Path, default=Path("checkpoints/study"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, help="trainings at a time (default: one per core)")
    parser.add_argument("--steps", type=int, help="instead of the preset's, for a trial")
    parser.add_argument("--into", type=Path, help="the checkout that is written to; this one")
    parser.add_argument("--repeat", nargs=3, metavar=("SCALE", "VARIANT", "SEED"))
    return parser


def train_all(study: Study, wanted: Sequence[Cell], jobs: int) -> list[str]:
    """Train the cells that are not done; which of them failed."""

    def train(cell: Cell) -> str | None:
        run = study.run(*cell)
        process = cells.train(study, *cell, run.with_suffix(".log"))
        TRAINERS.add(process)
        status = process.wait()
        TRAINERS.discard(process)
        print(f"{cell.scale} {run.name}: {'failed' if status else 'trained'}", flush=True)
        return f"{run} failed: see {run.with_suffix('.log')}" if status else None

    missing = [cell for cell in wanted if not cells.is_done(study.run(*cell))]
    with ThreadPoolExecutor(jobs) as pool:
        return [failure for failure in list(pool.map(train, missing)) if failure]


def measure_all(study: Study, wanted: Sequence[Cell], jobs: int) -> list[str]:
    """Measure the cells that are trained and not measured, then each model on the texts of the
    others; which of that failed."""
    failed: list[str] = []

    def collect(name: str, measured: Future[None]) -> None:
        if error := measured.exception():
            failed.append(f"{name} cannot be measured: {error!r}")

    trained = [cell for cell in wanted if cells.is_done(study.run(*cell))]
    pairs = {(cell.scale, cell.seed) for cell in trained}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        found = [(cell, pool.submit(measure, study, *cell)) for cell in trained]
        for cell, future in found:
            collect(str(study.run(*cell)), future)
        judged = {pair: pool.submit(cross_losses, study, *pair) for pair in sorted(pairs)}
        for (scale, seed), future in judged.items():
            collect(f"{scale}, seed {seed}: texts of the others", future)
    return failed


def report(study: Study, into: Path, how: Sequence[str]) -> None:
    """Write the page, its plots, and the table of the app, about all scales that are there."""
    found = {scale: read_results(study, scale) for scale in SCALES}
    known = {
        scale: results
        for scale, results in found.items()
        if all(results.get(variant.name) for variant in (DENSE, MOE))
    }
    if not known:
        print("Dense and MoE are not measured yet: no page is written", file=sys.stderr)
        return
    for scale, results in known.items():
        picture = draw(scale, results, cells.read_speed(study, scale))
        atomic.write_text(into / "docs" / "pictures" / f"study-{scale}.svg", picture)
    command = ["python", "benchmarks/study.py", "tinyshakespeare.txt", "--scale", *known, *how]
    written = page(study, known, " ".join(command), machine.describe())
    atomic.write_text(into / "docs" / "study.md", render(written))
    table = json.dumps(seed_spreads(study, known), indent=1) + "\n"
    atomic.write_text(into / "tinygpt_tui" / "monitor" / "study.json", table)
    print(json.dumps({"benchmark": "study", "scales": [*known], **machine.describe()}))


def repeat(study: Study, cell: Cell) -> int:
    """Train a cell once more, in a folder of its own, and compare the results; 1 if they differ."""
    run = study.run(*cell)
    if not cells.is_done(run):
        sys.exit(f"{run} is not trained: without --repeat, the study trains it")
    with tempfile.TemporaryDirectory() as folder:
        arguments = cells.command(study, *cell, Path(folder))
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
        TRAINERS.add(process)
        with ThreadPoolExecutor(1) as pool:  # a signal that came in a wait here could not wait too
            if pool.submit(process.wait).result():
                sys.exit("the repetition failed")
        again = cells.result(Path(folder, run.name))
    before = cells.result(run)
    numbers = ("step", "val_loss", "best_val_loss", "test_loss", "best_test_loss")
    for name in numbers:
        print(f"{name:15} {before[name]!s:>20} {again[name]!s:>20}")
    same = all(before[name] == again[name] for name in numbers)
    repeated = {"scale": cell.scale, "run": run.name, "same": same}
    print(json.dumps({"benchmark": "study", "repeated": repeated}))
    return int(not same)


def _stop(number: int, _: FrameType | None) -> None:
    """End at once, but for the trainers: each writes a checkpoint, to be resumed from."""
    for process in (trainers := tuple(TRAINERS)):
        process.terminate()
    for worker in active_children():
        worker.terminate()
    for process in trainers:
        process.wait()
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
