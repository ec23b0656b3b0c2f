"""What of the benchmarks can be checked without their machine."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.helpers.paths import ROOT


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gpu")


def test_without_a_card_nothing_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    said, result = done.stdout.splitlines()
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
