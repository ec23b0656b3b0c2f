"""Real processes that train one run: see tests/torture for those that die, hang or move."""

import signal
from pathlib import Path

from tests.helpers.models import TEXT
from tests.helpers.several import SHAPE, ended, losses, send, train_to, training_in
from tests.helpers.trainer import run_training

ROUNDING = 1e-5
"""Nats: thirty steps in fp32 differ by 1e-6."""


def test_two_processes_learn_what_one_does_and_one_goes_on(tmp_path: Path) -> None:
    """Both variants, an uneven batch of two micro-batches, all losses of routers."""
    (tmp_path / "corpus.txt").write_text(TEXT)
    wanted = losses(train_to(31, 1, tmp_path, "of-1"))
    found = losses(train_to(19, 2, tmp_path, "of-2"))
    assert len(found) >= 2 * (19 + 1)
    found |= losses(train_to(31, 1, tmp_path, "of-2", "--resume"))
    both = {key for key in wanted.keys() & found.keys() if key[2] <= 31}
    assert len(both) >= 2 * (31 + 2)
    assert max(abs(found[key] - wanted[key]) for key in both) < ROUNDING


def test_a_killed_process_ends_the_others_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(TEXT)
    with training_in(2, tmp_path) as process:
        send(process, 1, signal.SIGKILL)
        status, last, printed = ended(process, tmp_path)
    assert status == 1
    assert last.state == "failed"
    assert last.error.startswith("rank 1 on ")
    assert "has ended without a word" in last.error
    assert last.error in printed
    assert "Traceback" not in printed


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text(TEXT)
    for arguments, sentence in (
        (("--gpus", "two"), "--gpus two is neither a number of GPUs nor all"),
        (("--gpus", "2", "--train.batch", "1"), "--train.batch 1 has no sequence for some of"),
        (("--resume", "auto"), "--resume auto needs the name of the run: add --name NAME"),
    ):
        done = run_training(tmp_path, *SHAPE, "--steps", "3", *arguments, script="trainer")
        assert done.returncode == 2
        assert done.stderr.count(sentence) == 1
        assert len(done.stderr.splitlines()) <= 2, done.stderr
