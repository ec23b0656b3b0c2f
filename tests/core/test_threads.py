"""OpenMP's threads spin for a bounded time, in every process that computes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT, python_path
from tinygpt import threads
from tinygpt.threads import SPIN_LIMITS, limit_spinning, thread_limit

ENGINE = """
from threading import Event
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.protocol import InspectRequest
ended = Event()
Engine().ask(InspectRequest(1, ".", "a"), lambda reply: (print(reply), ended.set()))
ended.wait(60)
"""
COMMANDS = {
    "trainer.py": ["trainer.py", "--steps", "1"],
    "--train-only": ["-m", "tinygpt_tui", "--train-only", "--steps", "1"],
    "the app's engine": ["-c", ENGINE],
}


def test_what_the_user_has_chosen_stays() -> None:
    for name in ("OMP_WAIT_POLICY", *SPIN_LIMITS):
        environment = {name: "passive"}
        limit_spinning(environment)
        assert environment == {name: "passive"}
    environment = {"OMP_NUM_THREADS": "3"}
    limit_spinning(environment)
    assert environment == {"OMP_NUM_THREADS": "3", **SPIN_LIMITS}


@pytest.mark.parametrize("what", COMMANDS)
def test_the_limit_is_set_before_torch_is_loaded(what: str, tmp_path: Path) -> None:
    fake = tmp_path / "torch.py"  # ends the process that imports it with the variable as its error
    fake.write_text("import os, sys\nsys.exit('spin ' + os.environ['GOMP_SPINCOUNT'])\n", "utf-8")
    unset = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", *SPIN_LIMITS)}
    done = subprocess.run(
        [sys.executable, *COMMANDS[what]],
        check=False,
        cwd=ROOT,
        env={**unset, "PYTHONPATH": python_path(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"spin {SPIN_LIMITS['GOMP_SPINCOUNT']}" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("quota", "found"), [(None, 0), (8.0, 0), (7.5, 0), (7.0, 0), (6.0, 6), (2.5, 3), (0.25, 1)]
)
def test_threads_beyond_a_quota(
    quota: float | None, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "cpu_limit", lambda: quota)
    assert thread_limit(7, {}) == found
    assert thread_limit(7, {"OMP_NUM_THREADS": "7"}) == 0
