"""Hours of use, sped up: memory grows only with the records."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest

from tests.helpers.kills import BEGIN
from tests.helpers.paths import ROOT
from tests.helpers.records import started
from tests.helpers.scenes import make_run
from tests.helpers.terminals import APP, Terminal, app_in, environment

RECORDS, PIECE = 1_000_000, 20_000


def lines(first: int, count: int) -> bytes:
    """Train records as a trainer writes them."""
    found = []
    for number in range(first, first + count):
        step, model = number // 2 + 1, ("dense", "moe")[number % 2]
        record = {"kind": "train", "time": 1e9 + step, "model": model, "step": step}
        record |= {"tokens": 768 * step, "epoch": step / 1300, "loss": 1.4 + 3 / step, "lr": 0.02}
        record |= {"grad_norm": 0.5, "tokens_per_second": 9e3, "train_seconds": step / 10}
        found.append(json.dumps(record, separators=(",", ":")))
    return ("\n".join(found) + "\n").encode()


def test_an_app_over_a_million_records(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    out = tmp_path / "runs"
    writer = make_run(out, "long", [started()])
    terminal = Terminal(APP, tmp_path, 120, 36)
    sizes: list[int] = []
    metrics = out / "long" / "metrics.jsonl"
    try:
        terminal.sees("long")
        app = app_in(tmp_path)
        for first in range(0, RECORDS, PIECE):
            with open(metrics, "ab") as file:
                file.write(lines(first, PIECE))
            writer.status("running", first // 2)
            terminal.sees(f"{(first + PIECE) // 2:,}")
            sizes.append(app.memory_info().rss)
    finally:
        terminal.kill()
        writer.close()
    tail = sizes[len(sizes) // 5 :]
    grown = tail[-1] - tail[0]
    per_record = grown / (PIECE * (len(tail) - 1))
    # Five columns of eight bytes per record, in arrays that double.
    assert per_record < 160, sizes
    assert sizes[-1] < 400 << 20
    record_property("count records that one app followed", RECORDS)
    record_property("count megabytes that the app had at their end", sizes[-1] >> 20)


def test_a_trainer_over_20_000_steps(
    corpus_file: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Memory does not grow from 12,000 to 20,000 steps.

    In the first thousands oneDNN compiles kernels, one per number of rows that an expert gets.
    """
    words = [*BEGIN, "--steps", "20000", "--out", "runs", "--train.eval-every", "1000"]
    words += ["--train.checkpoint-every", "1000"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "trainer.py"), *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    trainer = psutil.Process(process.pid)
    seen: dict[int, int] = {}
    status = tmp_path / "runs" / "run" / "status.json"

    def look() -> bool:
        if process.poll() is None and status.exists():
            step = json.loads(status.read_text())["step"]
            seen[step] = trainer.memory_info().rss
        return process.poll() is not None

    while not look():
        try:
            process.wait(0.3)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 0
    early = [size for step, size in seen.items() if 8000 <= step < 12000]
    late = [size for step, size in seen.items() if step >= 16000]
    assert early
    assert late
    grown = max(late) - max(early)
    assert grown < 8 << 20, seen
    record_property("count steps that one trainer took", 20_000)
    record_property("count kilobytes that it grew by after the first 12,000", max(0, grown) >> 10)


@pytest.mark.parametrize("alphabet", ["abc de\n", "aé漢👩"])
def test_one_line_of_a_gigabyte(
    tmp_path: Path, alphabet: str, record_property: Callable[[str, object], None]
) -> None:
    """Reading, encoding and batching stay within a limit of memory."""
    if psutil.virtual_memory().available < 9 << 30:
        pytest.skip("takes nine gigabytes")
    text = tmp_path / "line.txt"
    piece = (alphabet.replace("\n", "") * 99_991).encode()
    with open(text, "wb") as file:
        while file.tell() < 1 << 30:
            file.write(piece)
    size = text.stat().st_size
    done = subprocess.run(
        [sys.executable, "-c", GIGABYTE, str(text), str(tmp_path)],
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    text.unlink()
    peak = int(done.stdout) * 1024 / size
    # The bytes, the text (one to four bytes per character), its ids.
    assert peak < (3.5 if alphabet.isascii() else 4.5)
    record_property(
        f"count hundredths of a byte in memory per byte of {alphabet!r}", round(peak * 100)
    )


GIGABYTE = """
import resource, sys
from tinygpt.config import build
from tinygpt.data.corpus import read_text
from tinygpt.training import begin
config = build({"device": "cpu", "data": sys.argv[1], "preset": "micro"})
session = begin(config, read_text(sys.argv[1]), sys.argv[2], "run", [])
session.batches(3)
session.writer.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
