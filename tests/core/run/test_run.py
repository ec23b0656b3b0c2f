"""The run directory. Clocks are injected; nothing sleeps."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygpt import run
from tinygpt.errors import RunError
from tinygpt.run.status import process_start, this_host, write_status

NOW = 1_763_931_234.5
CONFIG = {"seed": 7, "corpus": {"name": "tinyshakespeare", "sha256": "86c4"}}

START = run.StartRecord(
    time=NOW,
    run="nano",
    corpus={"name": "tinyshakespeare", "sha256": "86c4", "chars": 1_115_394},
    models={"dense": {"params_total": 11, "params_active": 7}},
    device="cpu",
    versions={"torch": "2.13.0"},
    steps=None,
    context=13,
    batch_tokens=17,
)


def train(step: int, model: str = "dense", loss: float = 1.5) -> run.TrainRecord:
    return run.TrainRecord(
        time=NOW + step,
        model=model,
        step=step,
        tokens=17 * step,
        epoch=step / 19,
        loss=loss,
        lr=0.003,
        grad_norm=0.5,
        tokens_per_second=1234.5,
        train_seconds=0.25 * step,
    )


def end(state: run.EndState = "done", time: float = NOW) -> run.EndRecord:
    models = {"dense": {"step": 5, "tokens": 85, "val_loss": math.inf, "best": [1.5, -math.inf]}}
    return run.EndRecord(time=time, state=state, reason="5 steps", models=models)


RECORDS: list[run.Record] = [
    START,
    train(1),
    run.EvalRecord(
        time=NOW,
        model="moe",
        step=5,
        tokens=85,
        epoch=0.5,
        val_loss=2.5,
        train_loss=2.25,
        perplexity=12.18,
        bits_per_char=3.6,
        best_val_loss=2.5,
        best_step=5,
        train_seconds=1.0,
        wall_seconds=2.0,
        context=13,
    ),
    run.SampleRecord(
        time=NOW,
        model="moe",
        step=5,
        tokens=85,
        prompt="NaN",
        seed=3,
        text="\nÀ \u2028\ud800 Infinity",
    ),
    run.RoutingRecord(
        time=NOW,
        model="moe",
        step=5,
        tokens=85,
        load=[[0.25, 0.75], [1.0, 0.0]],
        entropy=[0.56, 0.0],
        worst_over_mean=[1.5, 2.0],
        mean_top1=[0.6, 0.9],
        dead=[0, 1],
    ),
    run.CheckpointRecord(
        time=NOW, model="dense", step=5, tokens=85, path="dense/step-00000005", val_loss=None
    ),
    run.ResumeRecord(time=NOW, step=3, models={"dense": 3, "moe": 2}, note="after a crash"),
    end(),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "nano"


@pytest.fixture
def writer(folder: Path) -> Iterator[run.RunWriter]:
    with run.RunWriter.create(folder, CONFIG, "{}", clock=lambda: NOW) as made:
        yield made


def metrics_of(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path / run.METRICS


def lines(*records: run.Record) -> bytes:
    return b"".join(run.to_json(record).encode() + b"\n" for record in records)


# Records


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.kind))
def test_round_trip(record: run.Record) -> None:
    line = run.to_json(record)
    assert line.isascii()
    assert "\n" not in line
    assert list(json.loads(line))[:2] == ["kind", "time"]
    parsed = run.parse_record(line)
    assert type(parsed) is type(record)
    assert parsed == record
    assert run.parse_record(line.encode()) == record


def test_every_kind_is_tested() -> None:
    kinds = ["start", "train", "eval", "sample", "routing", "checkpoint", "resume", "end"]
    assert [record.kind for record in RECORDS] == kinds


def test_parsed_records_are_frozen() -> None:
    parsed = run.parse_record(run.to_json(train(1)))
    assert isinstance(parsed, run.TrainRecord)
    with pytest.raises(dataclasses.FrozenInstanceError):
        parsed.loss = 0.0  # type: ignore[misc]
    assert dataclasses.replace(parsed, step=2).step == 2


def no_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_round_trip_as_strict_json(value: float) -> None:
    line = run.to_json(train(1, loss=value))
    json.loads(line, parse_constant=no_constant)
    parsed = run.parse_record(line)
    assert isinstance(parsed, run.TrainRecord)
    assert parsed.loss == value or (math.isnan(parsed.loss) and math.isnan(value))


def test_whole_numbers_serve_as_floats_and_unknown_keys_are_ignored() -> None:
    data = json.loads(run.to_json(train(1))) | {"loss": 2, "new": [{}]}
    parsed = run.parse_record(json.dumps(data))
    assert parsed == train(1, loss=2.0)
    assert isinstance(parsed, run.TrainRecord)
    assert type(parsed.loss) is float


def test_unknown_kind_is_none() -> None:
    assert run.parse_record('{"kind": "gradient", "time": 1}') is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", 1.5),
        ("step", True),
        ("loss", "low"),
        ("loss", None),
        ("model", 3),
        ("loss", 10**400),
    ],
)
def test_wrong_types_name_the_field(key: str, value: object) -> None:
    data = json.loads(run.to_json(train(1))) | {key: value}
    with pytest.raises(RunError, match=f"{key} is missing or not"):
        run.parse_record(json.dumps(data))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record.kind))
def test_missing_keys(record: run.Record) -> None:
    data = json.loads(run.to_json(record))
    optional = {"steps", "val_loss", "note", "error", "ends"} - {
        "val_loss" if record.kind == "eval" else ""
    }
    for key in data:
        line = json.dumps({name: value for name, value in data.items() if name != key})
        if key in optional:
            assert getattr(run.parse_record(line), key) is None
        else:
            with pytest.raises(RunError, match=key):
                run.parse_record(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "{} {}",
        '{"kind": 1}',
        '{"kind": ["train"]}',
        b"\xff",
        b"\0" * 9,
        "[" * 10**5,
    ],
)
def test_what_is_no_record(line: str | bytes) -> None:
    with pytest.raises(RunError, match="cannot read the metrics record"):
        run.parse_record(line)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.sampled_from(RECORDS), st.data())
def test_any_value_in_any_field_reads_or_raises_run_error(record: run.Record, data: Any) -> None:
    values = json.loads(run.to_json(record))
    values[data.draw(st.sampled_from(sorted(values)))] = data.draw(json_values)
    line = json.dumps(values)
    try:
        parsed = run.parse_record(line)
    except RunError:
        return
    assert parsed is None or run.parse_record(run.to_json(parsed)) is not None


def test_drop_rewound() -> None:
    failed = end("failed")
    first: list[run.Record] = [START, train(1), train(1, "moe"), train(2), train(2, "moe")]
    first += [train(3), failed]
    resume = run.ResumeRecord(time=NOW, step=1, models={"dense": 1})
    again: list[run.Record] = [resume, train(2), train(3)]
    kept: list[run.Record] = [START, train(1), train(1, "moe"), train(2, "moe"), failed, *again]
    assert run.drop_rewound(first + again) == kept
    both = run.ResumeRecord(time=NOW, step=2, models={"dense": 2, "moe": 0})
    later: list[run.Record] = [both, train(3)]
    kept = [START, train(1), failed, resume, train(2), *later]
    assert run.drop_rewound(first + again + later) == kept
    assert run.drop_rewound(first) == first


@given(
    st.lists(
        st.builds(train, st.integers(0, 5), st.sampled_from(["dense", "moe"]))
        | st.builds(
            lambda step: run.ResumeRecord(time=NOW, step=step, models={"dense": step}),
            st.integers(0, 5),
        ),
        max_size=20,
    )
)
def test_drop_rewound_is_the_rule(records: list[run.Record]) -> None:
    def superseded(at: int, record: run.Record) -> bool:
        return isinstance(record, run.TrainRecord) and any(
            isinstance(later, run.ResumeRecord) and record.step > later.models.get(record.model, 99)
            for later in records[at:]
        )

    expected = [record for at, record in enumerate(records) if not superseded(at, record)]
    assert run.drop_rewound(records) == expected
    assert run.drop_rewound(expected) == expected


# Reader


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


@given(st.lists(st.binary(max_size=40) | st.sampled_from([lines(train(1)), b'{"kind":"x"}'])))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_never_crash(tmp_path: Path, pieces: list[bytes]) -> None:
    data = b"\n".join(pieces)
    metrics_of(tmp_path / "bytes").write_bytes(data + b"\n" + lines(train(2)))
    reader = run.MetricsReader(tmp_path / "bytes")
    records = reader.read()
    assert records[-1] == train(2)
    assert len(records) + reader.skipped + reader.unknown == data.count(b"\n") + 2


def test_skipped_and_unknown_are_counted(folder: Path) -> None:
    metrics_of(folder).write_bytes(
        lines(train(1)) + b'half{"kind"\n{"kind":"gradient"}\n\n' + lines(train(2))
    )
    reader = run.MetricsReader(folder)
    assert reader.read() == [train(1), train(2)]
    assert (reader.skipped, reader.unknown) == (2, 1)


def test_overlong_lines_are_skipped_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygpt.run.reader.LONGEST_LINE", 300)
    file = metrics_of(folder)
    file.write_bytes(lines(train(1)) + b"x" * 1000)
    reader = run.MetricsReader(folder)
    assert reader.read() == [train(1)]
    with open(file, "ab") as out:
        out.write(b"x" * 500 + b"\n" + lines(train(2)))
    assert reader.read() == [train(2)]
    assert (reader.skipped, reader.restarted) == (1, False)


def test_truncation_starts_over(folder: Path) -> None:
    file = metrics_of(folder)
    file.write_bytes(lines(START, train(1)) + b"garbage\n")
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
    copy.write_bytes(lines(START, train(1)))  # as rsync replaces it
    copy.replace(file)
    assert reader.read() == [train(1)]
    assert not reader.restarted
    file.write_bytes(lines(dataclasses.replace(START, time=NOW + 1), train(1), train(2)))
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


# Writer


def test_create_and_read_back(folder: Path, writer: run.RunWriter) -> None:
    for record in RECORDS:
        writer.append(record)
    assert run.MetricsReader(folder).read() == RECORDS
    assert run.read_config(folder) == CONFIG
    assert (folder / run.TOKENIZER).read_text() == "{}"
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "lock",
        "metrics.jsonl",
        "run.toml",
        "status.json",
        "tokenizer.json",
    ]


def test_create_takes_a_folder_with_a_log_but_not_a_run(folder: Path) -> None:
    folder.mkdir()
    (folder / run.LOG).touch()
    run.RunWriter.create(folder, CONFIG, "{}").close()
    with pytest.raises(RunError, match=r"holds a run already: choose another --name or --resume"):
        run.RunWriter.create(folder, {}, "")
    assert run.read_config(folder) == CONFIG


def test_open_refuses_what_is_no_run(folder: Path) -> None:
    with pytest.raises(RunError, match=r"run\.toml is missing"):
        run.RunWriter.open(folder)
    assert not folder.exists()


def test_open_puts_right_what_a_killed_trainer_left(folder: Path) -> None:
    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        writer.append(START)
    file = folder / run.METRICS
    reader = run.MetricsReader(folder)
    leftover = folder / "moe" / ".step-00000005.deadbeef.tmp"
    leftover.mkdir(parents=True)
    run.request(folder, "stop")
    data = lines(train(1))
    for size in range(len(data)):
        file.write_bytes(lines(START) + data[:size])
        reader.read()
        with run.RunWriter.open(folder, step=3) as writer:
            assert file.read_bytes() == lines(START)
            writer.append(train(2))
        assert reader.read() == [train(2)]
        assert not reader.restarted
        file.write_bytes(lines(START))
        reader.read()
    assert not leftover.exists()
    assert run.Control(folder).poll() == set()
    status = run.read_status(folder)
    assert status is not None
    assert (status.state, status.step) == ("starting", 3)


@pytest.mark.parametrize(
    "data", [b"", b"x" * 200_000, b"\n" + b"x" * 200_000, b"y\n" * 70_000 + b"x"]
)
def test_torn_tails_of_any_length_are_cut(folder: Path, data: bytes) -> None:
    run.RunWriter.create(folder, CONFIG, "{}").close()
    (folder / run.METRICS).write_bytes(data)
    run.RunWriter.open(folder).close()
    assert (folder / run.METRICS).read_bytes() == data[: data.rfind(b"\n") + 1]


def test_open_refuses_a_newer_schema(folder: Path) -> None:
    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        writer.append(dataclasses.replace(START, schema_version=run.SCHEMA_VERSION + 1))
    with pytest.raises(RunError, match="newer version"):
        run.RunWriter.open(folder)


def test_a_full_disk_takes_the_half_line_back(
    folder: Path, writer: run.RunWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append(START)
    real = os.write
    room = [7]

    def full(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[: room.pop()])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunError, match=r"metrics\.jsonl: No space left on device"):
        writer.append(train(1))
    monkeypatch.undo()
    writer.append(train(2))
    assert (folder / run.METRICS).read_bytes() == lines(START, train(2))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_still_takes_the_status(
    folder: Path, writer: run.RunWriter, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    writer.status("running", 5, "a sentence that is longer than the next one")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    states: list[tuple[run.StatusState, str | None]] = [("paused", "x" * 200), ("running", None)]
    for state, error in states:
        writer.status(state, 7, error)
        found = run.read_status(folder)
        assert found
        assert (found.state, found.step, found.error) == (state, 7, error)
    assert not list(folder.glob(".*.tmp"))


HOLDER = """
import sys
from tinygpt import run
writer = run.RunWriter.create(sys.argv[1], {"seed": 7}, "{}")
writer.status("running", 5)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that trains the run, as far as anyone can see."""
    root = str(Path(run.__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_two_writers_refuse_until_the_first_is_killed(
    folder: Path, holder: subprocess.Popen[str]
) -> None:
    who = f"{holder.pid} on {this_host()}"
    with pytest.raises(RunError, match=f"is being trained by process {who}: stop that first"):
        run.RunWriter.open(folder)
    assert run.read_state(folder).state == "live"
    status = run.read_status(folder)
    assert status is not None
    assert (status.pid, status.host) == (holder.pid, this_host())
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    state = run.read_state(folder)
    assert state.state == "killed"
    assert state.reason == f"Trainer (pid {holder.pid}) died after step 5"
    holder.wait()
    assert run.read_state(folder).state == "killed"
    with run.RunWriter.open(folder):
        assert run.read_state(folder).state == "live"


def test_two_writers_in_one_process_refuse(folder: Path, writer: run.RunWriter) -> None:
    with pytest.raises(RunError, match=f"process {os.getpid()}"):
        run.RunWriter.open(folder)
    writer.close()
    writer.close()
    run.RunWriter.open(folder).close()


def test_trainer_on_another_host_counts_until_its_heartbeat_is_overdue(folder: Path) -> None:
    run.RunWriter.create(folder, CONFIG, "{}").close()
    write_status(folder, status(host="elsewhere"))
    with pytest.raises(RunError, match="process 7 on elsewhere: stop that first; if it is gone"):
        run.RunWriter.open(folder, clock=lambda: NOW + 29)
    run.RunWriter.open(folder, clock=lambda: NOW + 31).close()


def test_without_flock_the_status_decides(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_descriptor: int, _operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with run.RunWriter.create(folder, CONFIG, "{}") as writer:
        with pytest.raises(RunError, match=f"process {os.getpid()}"):
            run.RunWriter.open(folder)
        writer.status("done", 5)
    run.RunWriter.open(folder).close()


# Status


def status(**changes: Any) -> run.Status:
    own = run.Status(
        state="running", pid=7, host=this_host(), process_started=1.0, step=5, heartbeat=NOW
    )
    return dataclasses.replace(own, **changes)


def own_status(**changes: Any) -> run.Status:
    own = {"pid": os.getpid(), "process_started": process_start(os.getpid())}
    return status(**own | changes)


def test_status_round_trip(folder: Path) -> None:
    folder.mkdir()
    assert run.read_status(folder) is None
    for error in (None, "out of memory"):
        write_status(folder, status(state="failed", error=error))
        assert run.read_status(folder) == status(state="failed", error=error)


def test_writer_reports_itself_and_throttles_heartbeats(folder: Path) -> None:
    now = [NOW]
    with run.RunWriter.create(folder, CONFIG, "{}", clock=lambda: now[0]) as writer:
        assert run.read_status(folder) == own_status(state="starting", step=0)
        writer.status("running", 5)
        now[0] += 1.9
        writer.heartbeat(6)
        assert run.read_status(folder) == own_status(step=5)
        now[0] += 0.2
        writer.heartbeat(7)
        assert run.read_status(folder) == own_status(step=7, heartbeat=now[0])
        now[0] = NOW - 100
        writer.heartbeat(8)
        assert run.read_status(folder) == own_status(step=8, heartbeat=NOW - 100)
        writer.status("failed", 8, error="out of memory")
        state = run.read_state(folder)
    assert (state.state, state.reason, state.active) == ("failed", "out of memory", False)


@pytest.mark.parametrize(
    ("changes", "age", "expected"),
    [
        ({}, 29, "live"),
        ({}, -50, "live"),
        ({"state": "starting"}, 0, "live"),
        ({"state": "paused"}, 29, "paused"),
        ({}, 31, "stalled"),
        ({"state": "paused"}, 31, "stalled"),
        ({"state": "done"}, 10**6, "done"),
        ({"state": "stopped"}, 0, "stopped"),
        ({"state": "failed", "error": "why"}, 0, "failed"),
        ({"host": "elsewhere"}, 29, "live"),
        ({"host": "elsewhere"}, 31, "stalled"),
        ({"process_started": 1.0}, 0, "killed"),  # the pid is another process now
        ({"pid": 2**22 + 1}, 0, "killed"),  # beyond any pid
    ],
)
def test_states(folder: Path, changes: dict[str, Any], age: float, expected: str) -> None:
    folder.mkdir()
    write_status(folder, own_status(**changes))
    state = run.read_state(folder, now=NOW + age)
    assert state.state == expected
    assert state.active == (expected in ("live", "paused", "stalled"))
    assert state.heartbeat_age == max(0, age)


def test_new_and_unreadable_states(folder: Path) -> None:
    assert run.read_state(folder).state == "unreadable"
    folder.mkdir()
    assert run.read_state(folder).state == "new"


GOOD = dataclasses.asdict(status())
BAD_STATUS: list[dict[str, Any]] = [
    {"state": "dancing"},
    {"state": []},
    {"pid": "7"},
    {"pid": -1},
    {"step": 1.5},
    {"host": None},
    {"error": 3},
    {"heartbeat": "x"},
    {"heartbeat": None},
]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "\0", "[" * 6 * 10**4, *(json.dumps(GOOD | bad) for bad in BAD_STATUS)],
)
def test_unreadable_status_names_the_file(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / run.STATUS).write_text(text)
    with pytest.raises(RunError, match=r"status\.json is not the status of a run"):
        run.read_status(folder)
    state = run.read_state(folder)
    assert state.state == "unreadable"
    assert "status.json" in state.reason


def test_an_end_without_its_status_is_no_kill(folder: Path) -> None:
    file = metrics_of(folder)
    write_status(folder, status(process_started=NOW - 60))
    file.write_bytes(lines(START, end("stopped")) + b"torn")
    state = run.read_state(folder, now=NOW)
    assert (state.state, state.reason) == ("stopped", "5 steps")
    file.write_bytes(lines(START, end("stopped", time=NOW - 100)))  # of the session before
    assert run.read_state(folder, now=NOW).state == "killed"


# Control


def test_requests_are_polled_and_consumed(folder: Path) -> None:
    folder.mkdir()
    now = [0.0]
    control = run.Control(folder, clock=lambda: now[0])
    assert control.poll() == set()
    run.request(folder, "stop")
    run.request(folder, "checkpoint")
    run.request(folder, "checkpoint")
    run.request(folder, "pause")
    (folder / run.CONTROL / "unknown").touch()
    now[0] += 0.19
    assert control.poll() == set()
    now[0] += 0.02
    assert control.poll() == {"stop", "checkpoint", "pause"}
    control.acknowledge("checkpoint")
    control.acknowledge("pause")
    assert control.poll() == {"stop", "pause"}
    control.acknowledge("stop")
    now[0] += 1
    assert control.poll() == {"pause"}
    run.request(folder, "resume")
    run.request(folder, "resume")
    now[0] += 1
    assert control.poll() == set()


def test_poll_looks_at_most_every_fifth_of_a_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    real = os.scandir

    def count(path: Path) -> Any:
        looks.append(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", count)
    now = [0.0]
    control = run.Control(folder, clock=lambda: now[0])
    for tick in range(1000):
        now[0] = tick / 1000
        control.poll()
    assert len(looks) == 5


def test_a_silent_disk_keeps_the_last_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    run.request(folder, "pause")
    control = run.Control(folder, every=0)
    assert control.poll() == {"pause"}

    def stale(_path: Path) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, "scandir", stale)
    assert control.poll() == {"pause"}


def test_bad_requests(folder: Path) -> None:
    with pytest.raises(RunError, match="one of pause, resume, stop, checkpoint"):
        run.request(folder, "../stop")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="cannot ask for stop"):
        run.request(folder, "stop")


# Names and lists


@pytest.mark.parametrize("name", ["nano-1123-2057", "a", "x.y_z", "été 2", "日" * 60])
def test_good_names(name: str) -> None:
    assert run.validate_run_name(name) == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("a/b", "separator"),
        ("a\\b", "separator"),
        ("..", "starts with '.'"),
        (".run", "starts with '.'"),
        ("--out", "starts with '-'"),
        (" a", "space"),
        ("a ", "space"),
        ("a\n", "space"),
        ("a\x1bb", "control"),
        ("a\0b", "control"),
        ("a\u202eb", "control"),
        ("a\ud800b", "control"),
        ("a" * 61, "longer than 60"),
    ],
)
def test_bad_names(name: str, problem: str) -> None:
    with pytest.raises(RunError, match=problem):
        run.validate_run_name(name)


def test_new_names_are_free(tmp_path: Path) -> None:
    first = run.new_run_name(tmp_path / "missing", "nano", clock=lambda: NOW)
    assert first.startswith("nano-")
    assert len(first) == len("nano-1123-2057")
    for suffix in ("", "-2", "-3"):
        name = run.new_run_name(tmp_path, "nano", clock=lambda: NOW)
        assert name == first + suffix
        (tmp_path / name).mkdir()
    with pytest.raises(RunError, match="separator"):
        run.new_run_name(tmp_path, "a/b")


def test_step_names() -> None:
    assert run.step_name(500) == "step-00000500"
    assert run.checkpoint_dir("r", "moe", 500) == Path("r/moe/step-00000500")
    for step in (0, 500, 10**9):
        assert run.parse_step(run.step_name(step)) == step
    for name in ("step-5", "xstep-00000005", "step-00000005.tmp", ".step-00000005.deadbeef.tmp"):
        assert run.parse_step(name) is None


@pytest.mark.parametrize("content", [b"a =", b"\xff", b"a = 1\na = 2"])
def test_unreadable_config_names_the_file(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / run.RUN_TOML).write_bytes(content)
    with pytest.raises(RunError, match=r"run\.toml is not valid TOML"):
        run.read_config(folder)


def make_run(path: Path, created: float, **changes: Any) -> None:
    with run.RunWriter.create(path, CONFIG, "{}", clock=lambda: NOW) as writer:
        writer.append(dataclasses.replace(START, time=created))
    write_status(path, own_status(**changes))


def test_lists(tmp_path: Path) -> None:
    assert run.list_runs(tmp_path / "missing") == []
    assert run.newest_run(tmp_path) is None
    assert run.live_run(tmp_path) is None
    make_run(tmp_path / "old", 100.0, state="done")
    make_run(tmp_path / "middle", 200.0)
    make_run(tmp_path / "paused", 250.0, state="paused")
    make_run(tmp_path / "newer", 300.0, process_started=1.0)
    make_run(tmp_path / "broken", 400.0)
    (tmp_path / "broken" / run.RUN_TOML).write_text("a =")
    make_run(tmp_path / ".hidden", 500.0)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").touch()
    listed = run.list_runs(tmp_path, now=NOW)
    assert [(info.name, info.state.state, info.created) for info in listed] == [
        ("broken", "unreadable", 400.0),
        ("newer", "killed", 300.0),
        ("paused", "paused", 250.0),
        ("middle", "live", 200.0),
        ("old", "done", 100.0),
    ]
    assert "run.toml is not valid TOML" in listed[0].state.reason
    assert {info.corpus for info in listed} == {"tinyshakespeare"}
    newest, live = run.newest_run(tmp_path, now=NOW), run.live_run(tmp_path, now=NOW)
    assert newest is not None
    assert live is not None
    assert (newest.name, live.name, live.path) == ("newer", "middle", tmp_path / "middle")
    stalled = run.live_run(tmp_path, now=NOW + 60)
    assert stalled is not None
    assert (stalled.name, stalled.state.state) == ("paused", "stalled")


def test_a_folder_with_only_a_log_is_a_new_run(folder: Path) -> None:
    folder.mkdir()
    (folder / run.LOG).touch()
    (listed,) = run.list_runs(folder.parent)
    assert (listed.name, listed.state.state, listed.corpus) == ("nano", "new", None)


def test_import_brings_nothing_heavy() -> None:
    heavy = {"torch", "rich", "textual", "psutil"}
    code = f"import sys, tinygpt.run; print(*({heavy} & set(sys.modules)))"
    root = str(Path(run.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert done.stdout == "\n"
