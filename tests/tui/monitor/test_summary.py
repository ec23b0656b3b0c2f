"""Runs in a few numbers, read from the ends of their metrics."""

from pathlib import Path

from tests.helpers.runs import evaluation, make_run
from tinygpt.run import ResumeRecord, RunWriter
from tinygpt_tui.monitor.summary import summary


def test_summary_reads_the_end(tmp_path: Path) -> None:
    make_run(tmp_path, "done", {"preset": "micro"}, "done", ago=500)
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh" / "train.log").write_text("")
    found = summary(tmp_path / "done")
    assert found.best == {"dense": 1.625, "moe": 1.5}
    assert (found.step, found.steps, found.wall_seconds) == (500, 10000, 50.0)
    assert summary(tmp_path / "done") is found, "nothing is read again"
    assert summary(tmp_path / "fresh").best == {}
    assert found.settings["preset"] == "micro"


def test_summary_forgets_what_a_resume_took_back(tmp_path: Path) -> None:
    path = make_run(tmp_path, "a", {"model": "dense"}, "killed", losses=(1.75,))
    with RunWriter.open(path) as writer:
        writer.append(evaluation("dense", 700, 1.25, 70.0))
        writer.append(ResumeRecord(time=5.0, step=600, models={"dense": 600}))
    found = summary(path)
    assert found.best == {"dense": 1.75}
    assert found.step == 600


def test_summary_has_the_end_that_a_resume_set(tmp_path: Path) -> None:
    """The plan of an extended run is the new one, in the list and where runs are compared."""
    values: dict[str, object] = {"model": "dense", "steps": 700}
    path = make_run(tmp_path, "a", values, "done", losses=(1.75,), step=700)
    with RunWriter.open(path) as writer:
        writer.append(evaluation("dense", 700, 1.25, 70.0))
        ends = {"steps": 1100, "patience": 3}
        writer.append(ResumeRecord(time=5.0, step=700, models={"dense": 700}, ends=ends))
        writer.append(ResumeRecord(time=6.0, step=700, models={"dense": 700}))
        writer.append(evaluation("dense", 900, 1.125, 90.0))
    found = summary(path)
    assert found.steps == found.settings["steps"] == 1100
    assert found.settings["patience"] == 3
    assert found.best == {"dense": 1.125}


def test_summary_looks_far_back_for_an_evaluation(tmp_path: Path) -> None:
    path = make_run(tmp_path, "a", {"model": "dense"}, "live", losses=(1.75,))
    line = b'{"kind": "unknown", "time": 1.0, "padding": "' + b"x" * 100 + b'"}\n'
    with open(path / "metrics.jsonl", "ab") as file:
        file.write(line * 3000 + b'{"kind": "eval", "torn')
    assert summary(path).best == {"dense": 1.75}
