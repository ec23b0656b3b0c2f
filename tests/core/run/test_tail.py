"""metrics.jsonl from its end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.run import tail


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
