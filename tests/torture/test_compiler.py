"""torch.compile where it cannot compile."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.paths import python_path
from tests.helpers.waiting import PATIENCE

SLOWER = "torch.compile does not work here, so training is slower: "

COMPILING = """
import torch
from tests.helpers.models import tiny
from tinygpt.training.compiled import CompiledOrEager

model, ids = tiny().eval(), torch.arange(7)[None]
compiled = CompiledOrEager(model.run)
for _ in range(2):
    assert torch.equal(compiled(ids).logits, model(ids))
"""


def test_without_a_compiler_training_goes_on_with_one_warning(tmp_path: Path) -> None:
    """torch.compile itself, where no compiler can be found."""
    here = {"PATH": str(tmp_path), "PYTHONPATH": python_path()}
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    kept = {name: text for name, text in os.environ.items() if name not in ("CC", "CXX")}
    done = subprocess.run(
        [sys.executable, "-c", COMPILING],
        env={**kept, **here, **caches},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,  # ten seconds of computing, on a machine that may be busy
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "TinyGPTWarning" in line]
    assert len(said) == 1, done.stderr
    assert f"TinyGPTWarning: {SLOWER}" in said[0]
    if "is not supported on Python" not in said[0]:
        why = "there is no C compiler; install gcc, or name one in the variables CC and CXX"
        assert said[0].endswith(why)
