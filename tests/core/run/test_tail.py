"""metrics.jsonl from its end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.records import train
from tinygpt.run import METRICS, tail, to_json


@given(
    st.lists(st.binary(max_size=23).map(lambda line: line.replace(b"\n", b"")), max_size=31),
    st.binary(max_size=11).map(lambda line: line.replace(b"\n", b"")),
    st.integers(1, 37),
)
def test_the_whole_lines_last_one_first(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, block: int
) -> None:
    file = tmp_path_factory.mktemp("tail") / "lines"
    file.write_bytes(b"".join(line + b"\n" for line in lines) + torn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "_BLOCK", block)
        assert list(tail.lines_backwards(file, file.stat().st_size)) == lines[::-1]


def test_only_so_far_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_MAX_BYTES", 61)
    monkeypatch.setattr(tail, "_BLOCK", 17)
    file = tmp_path / "lines"
    file.write_bytes(b"".join(b"%07d\n" % number for number in range(1009)))
    found = list(tail.lines_backwards(file, file.stat().st_size))
    assert found[0] == b"0001008"
    assert 7 <= len(found) <= 9


def test_the_kind_is_at_the_head_of_a_line() -> None:
    line = b'{"kind": "eval", "note": "' + b"x" * 61 + b'"train"}'
    assert tail.has_kind(line, "train", "eval")
    assert not tail.has_kind(line, "train", "resume")
    assert tail.parsed(b'{"kind": "ev') is None


def test_the_latest_losses_are_those_that_a_resume_did_not_take_back(tmp_path: Path) -> None:
    first = [train("dense", step, float(step)) for step in range(1, 24)]
    again = [train("dense", step, 100.0 + step) for step in range(14, 20)]
    others = [train("moe", step, 7.0) for step in range(1, 4)]
    lines = [to_json(record) for record in (*first, *others, *again)]
    (tmp_path / METRICS).write_text("".join(f"{line}\n" for line in lines))
    found = tail.recent_losses(tmp_path, {"dense": 17, "moe": 3}, 7)
    assert found == {"dense": [11.0, 12.0, 13.0, 114.0, 115.0, 116.0, 117.0], "moe": [7.0] * 3}
    assert tail.recent_losses(tmp_path / "none", {"dense": 17}, 7) == {"dense": []}
