"""What of the benchmarks can be checked without their machine."""

import importlib
import json
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.paths import ROOT, python_path

PLAY = (
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n\n"
    "ROMEO:\nTo be, or not to be: that is the question.\n\n"
)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gpu")


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("PYTHONPATH", python_path())
    in_threads = lambda jobs, mp_context: ThreadPoolExecutor(jobs)  # noqa: E731
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]
    found = importlib.import_module("study")
    monkeypatch.setattr(found, "ProcessPoolExecutor", in_threads)  # a process would import torch
    yield found
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)


def test_without_a_card_nothing_is_measured(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    said, result = capsys.readouterr().out.splitlines()
    assert said == "not measured (no CUDA device)"
    assert json.loads(result).items() >= {"benchmark": "gpu", "measured": False}.items()


def test_each_claim_has_its_verdict(gpu: ModuleType) -> None:
    measured = {"dense_ms": 5.5, "moe_ms": 7.0, "dense_best": 1.39, "dense_final": 1.42}
    table = {row.claim: row for row in gpu.rows({**measured, "target_warm_train_s": 5.0})}
    assert table["a step, Dense, ms"][1:] == ("<= 6.00", "5.50", True)
    assert table["a step, MoE over Dense"][1:] == ("<= 1.20", "1.27", False)
    assert table["default run, Dense, best"][1:] == ("<= 1.4000", "1.3900", True)
    assert table["default run, Dense, final over best"][1:] == ("<= 0.0100", "0.0300", False)
    assert table["a step, MoE, ms"][1:] == ("", "7.00", None)
    share = table["to 1.4697, share of nanoGPT's training seconds"]
    assert share[1:] == ("<= 0.100", "not measured", None)


def test_nanogpt_is_timed_until_the_target(gpu: ModuleType, tmp_path: Path) -> None:
    lines = [
        "step 0: train loss 4.2874, val loss 4.2823",
        "iter 0: loss 4.2653, time 2400.25ms, mfu -100.00%",
        "step 250: train loss 1.41, val loss 1.4690",
        "step 500: train loss 1.21, val loss 1.4555",
    ]
    (tmp_path / "train.py").write_text(f"print({chr(10).join(lines)!r})")
    found = gpu.their_run(tmp_path)
    assert found["nanogpt_best"] == pytest.approx(1.4555)
    assert 0 <= found["nanogpt_train_s"] <= found["nanogpt_target_s"] <= found["nanogpt_s"]


def test_a_trial_of_the_study_makes_its_page_and_is_not_run_again(
    study: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text.txt").write_text(PLAY * 90)
    (tmp_path / "docs" / "pictures").mkdir(parents=True)
    (tmp_path / "tinygpt_tui" / "monitor").mkdir(parents=True)
    command = ["study.py", str(tmp_path / "text.txt"), "--steps", "3"]
    command += ["--out", str(tmp_path / "runs"), "--into", str(tmp_path)]
    command += ["--scale", "micro", "--jobs", "1"]

    def said(*further: str) -> str:
        monkeypatch.setattr(sys, "argv", [*command, *further])
        assert study.main() == 0, capsys.readouterr().err
        return capsys.readouterr().out

    def refused(*further: str) -> str:
        monkeypatch.setattr(sys, "argv", [*command, *further])
        with pytest.raises(SystemExit) as end:
            study.main()
        assert isinstance(end.value.code, str)  # which Python prints, and exits with 1
        return end.value.code

    chosen = ["--seeds", "2", "--variants", "dense", "moe", "moe-frozen"]
    assert said(*chosen).count(": trained") == 6
    page = (tmp_path / "docs" / "study.md").read_text()
    heading, _, answer = page.splitlines()[:3]
    assert heading == "# Does a mixture of experts beat a dense model?"
    assert answer.startswith("- **`micro`**: ")
    assert " at equal steps" in answer
    assert "| MoE, router weights frozen | " in page
    picture = (tmp_path / "docs" / "pictures" / "study-micro.svg").read_text()
    assert "MoE, router weights frozen" in picture
    (row,) = json.loads((tmp_path / "tinygpt_tui" / "monitor" / "study.json").read_text())
    assert (row["seeds"], row["settings"]["steps"]) == (2, 3)
    assert "trained" not in said(*chosen)
    assert (tmp_path / "docs" / "study.md").read_text() == page
    again = said("--repeat", "micro", "moe-frozen", "2")
    assert json.loads(again.splitlines()[-1])["repeated"]["same"]
    chosen[1] = "1"
    assert "is not trained" in refused("--repeat", "micro", "moe-frozen", "3")
    command[command.index("--steps") + 1] = "4"
    assert "was trained with another steps" in refused(*chosen)
