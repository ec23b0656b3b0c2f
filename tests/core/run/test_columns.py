"""Reading in bulk returns what reading one by one returns, whatever is in the file."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.records import train
from tinygpt.run import (
    EndRecord,
    Item,
    MetricsReader,
    Record,
    ResumeRecord,
    TrainColumns,
    to_json,
)
from tinygpt.run.columns import group


def comparable(items: list[Item]) -> list[object]:
    """Columns joined over neighbouring batches: where a batch ends is no property of the file."""
    found: list[object] = []
    for item in items:
        if isinstance(item, TrainColumns):
            measured = (item.loss, item.lr, item.grad_norm, item.tokens_per_second)
            values = np.stack([item.step, *measured, item.train_seconds], 1)
            found += [(item.model, *map(repr, row)) for row in values.tolist()]
        else:
            found.append(item)
    return found


def read_all(path: Path, size: int) -> tuple[list[Item], MetricsReader]:
    reader = MetricsReader(path)
    items: list[Item] = []
    while more := reader.read_bulk(size):
        items += more
    return items, reader


records = st.one_of(
    st.builds(
        train,
        st.sampled_from(["dense", "moe"]),
        st.integers(0, 10**9),
        st.floats(width=64),
    ),
    st.builds(
        ResumeRecord,
        time=st.just(2.0),
        step=st.integers(0, 9),
        models=st.just({"dense": 3}),
    ),
    st.builds(
        EndRecord, time=st.just(3.0), state=st.just("done"), reason=st.text(), models=st.just({})
    ),
)
damage = st.sampled_from([b"", b"{", b"null", b'{"kind": "train"}', b'{"kind": "later"}', b"\xff"])


@given(st.lists(st.one_of(records, damage), max_size=30))
def test_bulk_equals_one_by_one(lines: list[Record | bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        whole = [x if isinstance(x, bytes) else to_json(x).encode() for x in lines]
        (path / "metrics.jsonl").write_bytes(b"".join(line + b"\n" for line in whole) + b'{"torn')
        slow = MetricsReader(path)
        wanted = group(slow.read())
        found, fast = read_all(path, 1 << 20)
        assert sorted(map(str, comparable(found))) == sorted(map(str, comparable(wanted)))
        assert (fast.offset, fast.skipped, fast.unknown) == (
            slow.offset,
            slow.skipped,
            slow.unknown,
        )


def test_batches_follow_a_growing_file(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    reader = MetricsReader(tmp_path)
    assert reader.read_bulk() == []
    with open(file, "w") as out:
        for step in range(1, 8):
            out.write(to_json(train("dense", step, float(step))) + "\n")
            out.flush()
            (item,) = reader.read_bulk()
            assert isinstance(item, TrainColumns)
            assert (item.step.tolist(), item.last.step) == ([step], step)
        out.write('{"kind": "tr')
        out.flush()
        assert reader.read_bulk() == []
    file.write_text(to_json(train("moe", 1, 2.0)) + "\n")
    (item,) = reader.read_bulk()
    assert reader.restarted
    assert isinstance(item, TrainColumns)
    assert item.model == "moe"
