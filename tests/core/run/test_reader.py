"""Following a file that grows, is cut, is replaced, or holds garbage."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.records import evaluated, train
from tests.helpers.run_files import (
    NOW,
    RECORDS,
    START,
    lines,
    metrics_of,
)
from tinygpt import run
from tinygpt.errors import RunError


def test_reader_of_nothing(folder: Path) -> None:
    reader = run.MetricsReader(folder)
    assert reader.read() == []
    assert not reader.restarted


def test_reader_sees_exactly_the_whole_lines_of_a_file_cut_at_every_byte(folder: Path) -> None:
    data = lines(*RECORDS)
    file = metrics_of(folder)
    reader = run.MetricsReader(folder)  # sees the file grow byte by byte
    grown: list[run.Record] = []
    for size in range(len(data) + 1):
        file.write_bytes(data[:size])
        whole = data[:size].count(b"\n")
        fresh = run.MetricsReader(folder)
        assert fresh.read() == RECORDS[:whole]
        grown += reader.read()
        assert grown == RECORDS[:whole]
        assert (fresh.skipped, reader.skipped, reader.restarted) == (0, 0, False)


@given(st.lists(st.integers(1, 200), max_size=20), st.integers(1, 3) | st.none())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_interleaved_appends_and_reads(tmp_path: Path, sizes: list[int], limit: int | None) -> None:
    file = metrics_of(tmp_path / "interleaved")
    file.write_bytes(b"")
    data = lines(*RECORDS)
    reader = run.MetricsReader(file.parent)
    seen: list[run.Record] = []
    for size in [*sizes, len(data)]:
        with open(file, "ab") as out:
            out.write(data[:size])
        data = data[size:]
        seen += reader.read(limit)
    while more := reader.read(limit):
        assert limit is None or len(more) <= limit
        seen += more
    assert seen == RECORDS
    assert (reader.skipped, reader.unknown, reader.offset) == (0, 0, file.stat().st_size)


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from([lines(train("dense", 1)), b'{"kind":"x"}']))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_never_crash(tmp_path: Path, pieces: list[bytes]) -> None:
    data = b"\n".join(pieces)
    metrics_of(tmp_path / "bytes").write_bytes(data + b"\n" + lines(train("dense", 2)))
    reader = run.MetricsReader(tmp_path / "bytes")
    records = reader.read()
    assert records[-1] == train("dense", 2)
    assert len(records) + reader.skipped + reader.unknown == data.count(b"\n") + 2


def test_skipped_and_unknown_are_counted(folder: Path) -> None:
    metrics_of(folder).write_bytes(
        lines(train("dense", 1))
        + b'half{"kind"\n{"kind":"gradient"}\n\n'
        + lines(train("dense", 2))
    )
    reader = run.MetricsReader(folder)
    assert reader.read() == [train("dense", 1), train("dense", 2)]
    assert (reader.skipped, reader.unknown) == (2, 1)


def test_overlong_lines_are_skipped_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygpt.run.reader.LONGEST_LINE", 300)
    file = metrics_of(folder)
    file.write_bytes(lines(train("dense", 1)) + b"x" * 1000)
    reader = run.MetricsReader(folder)
    assert reader.read() == [train("dense", 1)]
    with open(file, "ab") as out:
        out.write(b"x" * 500 + b"\n" + lines(train("dense", 2)))
    assert reader.read() == [train("dense", 2)]
    assert (reader.skipped, reader.restarted) == (1, False)


def test_truncation_starts_over(folder: Path) -> None:
    file = metrics_of(folder)
    file.write_bytes(lines(START, train("dense", 1)) + b"garbage\n")
    reader = run.MetricsReader(folder)
    assert len(reader.read()) == 2
    file.write_bytes(lines(START))
    assert reader.read() == [START]
    assert reader.restarted
    assert reader.skipped == 0
    assert reader.read() == []
    assert not reader.restarted


def test_another_longer_file_starts_over_and_a_copy_goes_on(folder: Path) -> None:
    file = metrics_of(folder)
    file.write_bytes(lines(START))
    reader = run.MetricsReader(folder)
    assert reader.read() == [START]
    copy = file.with_suffix(".copy")
    copy.write_bytes(lines(START, train("dense", 1)))  # as rsync replaces it
    copy.replace(file)
    assert reader.read() == [train("dense", 1)]
    assert not reader.restarted
    file.write_bytes(
        lines(dataclasses.replace(START, time=NOW + 1), train("dense", 1), train("dense", 2))
    )
    assert len(reader.read()) == 3
    assert reader.restarted


def test_vanished_file_starts_over(folder: Path) -> None:
    file = metrics_of(folder)
    file.write_bytes(lines(START))
    reader = run.MetricsReader(folder)
    reader.read()
    file.unlink()
    assert reader.read() == []
    assert reader.restarted
    file.write_bytes(lines(START))
    assert reader.read() == [START]
    assert not reader.restarted


def test_unreadable_metrics_name_the_file(folder: Path) -> None:
    metrics_of(folder).mkdir()
    with pytest.raises(RunError, match=r"metrics\.jsonl"):
        run.MetricsReader(folder).read()


def test_evaluations_by_variant_without_those_that_a_resume_superseded(folder: Path) -> None:
    assert run.reader.evaluations(folder) == {}
    before = [evaluated("dense", 6, 2.0), evaluated("moe", 6, 1.9), evaluated("moe", 12, 1.8)]
    resumed = run.ResumeRecord(time=NOW, step=6, models={"dense": 6, "moe": 10})
    after = evaluated("moe", 12, 1.7)
    data = lines(START, train("dense", 6), *before, resumed, train("moe", 11), after)
    metrics_of(folder).write_bytes(data)
    assert run.reader.evaluations(folder) == {"dense": before[:1], "moe": [before[1], after]}
