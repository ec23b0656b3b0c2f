"""The histories of several runs."""

from pathlib import Path

from tests.helpers.records import evaluated, train
from tests.helpers.scenes import make_run, records
from tinygpt.run import METRICS
from tinygpt_tui.monitor.run_histories import RunHistories


def read(runs: RunHistories) -> list[int]:
    """Read once; the indices of the runs that had something new."""
    found = list(runs.read())
    for index, items, restarted in found:
        runs.add(index, items, restarted=restarted)
    return [index for index, _, _ in found]


def test_runs_are_read_on_where_they_grew(tmp_path: Path) -> None:
    first, second = (make_run(tmp_path, name, records(last)) for name, last in (("a", 7), ("b", 5)))
    runs = RunHistories([first.path, tmp_path / "missing", second.path])
    assert read(runs) == [0, 2]
    assert [history.step for history in runs.histories] == [7, 0, 5]
    assert read(runs) == []
    second.append(train("dense", 6))
    second.append(evaluated("dense", 6, 1.5))
    assert read(runs) == [2]
    assert [history.step for history in runs.histories] == [7, 0, 6]


def test_a_run_that_was_replaced_starts_over(tmp_path: Path) -> None:
    with make_run(tmp_path, "a", records(7)) as writer:
        runs = RunHistories([writer.path])
        read(runs)
    with make_run(tmp_path, "b", records(3)) as other:
        (writer.path / METRICS).write_bytes((other.path / METRICS).read_bytes())
    assert read(runs) == [0]
    assert runs.histories[0].step == 3


def test_a_second_reader_does_not_get_in_the_way(tmp_path: Path) -> None:
    runs = RunHistories([make_run(tmp_path, "a", records(7)).path])
    first = runs.read()
    next(first)
    assert list(runs.read()) == []
    assert list(first) == []
    assert list(runs.read()) == []
