"""Means over the seeds of a group, as a table and for scripts."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from tinygpt.command.group_results import Results, report, summary, table, write

POINTS: list[dict[str, Any]] = [{"optim.learning_rate": 0.01}, {"optim.learning_rate": 0.5}]


def run(at: int, seed: int, sha256: str = "a", **losses: float | None) -> dict[str, Any]:
    models = {v: {"val_loss": x, "best_val_loss": x and x - 1} for v, x in losses.items()}
    corpus = {"name": "x", "sha256": sha256, "chars": 3}
    return {"run": "x", "corpus": corpus, "models": models, "seed": seed, "settings": POINTS[at]}


def results(*runs: dict[str, Any], **unfinished: str) -> Results:
    return Results("g", [*POINTS], [*runs], unfinished)


def test_means_are_per_point_and_variant() -> None:
    found = results(
        run(0, 1, dense=2.0, moe=3.0), run(0, 2, dense=5.0, moe=None), run(0, 3, dense=math.inf)
    )
    first, second = summary(found)
    assert (first["settings"], first["seeds"]) == (POINTS[0], [1, 2, 3])
    dense, moe = first["models"]["dense"], first["models"]["moe"]
    assert dense["val_loss"] == {"mean": 3.5, "std": pytest.approx(4.5**0.5), "n": 2}
    assert dense["best_val_loss"]["mean"] == 2.5
    assert dense["perplexity"] == {"mean": None, "std": None, "n": 0}
    assert moe["val_loss"] == {"mean": 3.0, "std": None, "n": 1}
    assert second == {"settings": POINTS[1], "seeds": [], "models": {}}
    assert report(found)["summary"] == [first, second]


def test_the_table() -> None:
    found = results(run(0, 1, dense=2.0, moe=3.0), run(0, 2, dense=5.0, moe=4.0))
    assert table(found) == [
        ["learning-rate", "model", "runs", "val loss", "best val loss"],
        ["0.01", "dense", "2", "3.5000 ± 2.1213", "2.5000 ± 2.1213"],
        ["0.01", "moe", "2", "3.5000 ± 0.7071", "2.5000 ± 0.7071"],
        ["0.5", "-", "0", "-", "-"],
    ]
    assert table(results(run(1, 1, moe=3.0)))[2] == ["0.5", "moe", "1", "3.0000", "2.0000"]


def test_what_is_not_done_and_what_does_not_compare_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = results(run(0, 1, dense=2.0), run(0, 2, "b", dense=5.0), a="killed: why")
    assert write(found, as_json=False)
    said = capsys.readouterr()
    title, heading, row, *_ = said.out.splitlines()
    assert title == "g: 2 of 3 runs are done; mean ± standard deviation over seeds"
    assert heading.split()[:3] == ["learning-rate", "model", "runs"]
    assert row.split()[:3] == ["0.01", "dense", "2"]
    assert max(map(len, said.out.splitlines())) < 80
    assert said.err == (
        "a: killed: why\n"
        "warning: the runs have different corpora, so that their losses do not compare\n"
    )


def test_results_that_stdout_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert not write(results(run(0, 1, dense=2.0)), as_json=True)
    assert "No space left on device; --resume --name g prints" in capsys.readouterr().err
