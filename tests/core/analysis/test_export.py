"""Exported files, read back."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tinygpt.analysis import export

TOKENS = ["a", "\n", ",", '"', " "]


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_map_is_read_back_as_it_was(tmp_path: Path) -> None:
    matrix = np.random.default_rng(1).random((5, 5)).astype(np.float32)
    export.write_map_csv(tmp_path / "map.csv", matrix, TOKENS)
    head, *rows = rows_of(tmp_path / "map.csv")
    names = ["0 a", "1 \\n", "2 ,", '3 "', "4  "]
    assert head == ["query", *names]
    assert [row[0] for row in rows] == names
    assert np.array_equal(np.array([row[1:] for row in rows], np.float32), matrix)
    assert len((tmp_path / "map.csv").read_text().splitlines()) == 6


def test_one_row_per_head(tmp_path: Path) -> None:
    statistics = {
        "entropy": np.array([[0.5, 1.25], [2, 3]], np.float32),
        "previous": np.array([[0.1, np.nan], [1e-9, 0]], np.float32),
    }
    export.write_heads_csv(tmp_path / "heads.csv", statistics)
    assert (tmp_path / "heads.csv").read_text() == (
        "layer,head,entropy,previous\n0,0,0.5,0.1\n0,1,1.25,\n1,0,2.0,1e-09\n1,1,3.0,0.0\n"
    )


def test_one_row_per_layer_and_token(tmp_path: Path) -> None:
    path = tmp_path / "routing.csv"
    router = np.array([[[0.25, 0.75], [0.5, 0.5]]], np.float32)
    export.write_routing_csv(path, ["a", "\n"], router, np.array([[1, 0]]))
    columns = "layer,position,token,expert"
    wanted = f"{columns},probability 0,probability 1\n0,0,a,1,0.25,0.75\n0,1,\\n,0,0.5,0.5\n"
    assert path.read_text() == wanted
    export.write_routing_csv(path, ["a", "\n"], router, np.array([[[1, 0], [0, 1]]]))
    assert [row[3] for row in rows_of(path)] == ["expert", "1 0", "0 1"]
    export.write_routing_csv(path, ["a", "\n"], None, None)
    assert path.read_text() == columns + "\n"


def test_arrays_are_read_back_without_pickle(tmp_path: Path) -> None:
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    export.write_npz(tmp_path / "a.npz", matrix=matrix, tokens=np.array(TOKENS))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert found["matrix"].dtype == np.float32
        assert np.array_equal(found["matrix"], matrix)
        assert found["tokens"].tolist() == TOKENS


@pytest.mark.parametrize(
    ("token", "shown"), [("\n", "\\n"), ("\\n", "\\\\n"), ("é", "é"), ("\x1b[m", "\\x1b[m")]
)
def test_tokens_stay_on_one_line(token: str, shown: str) -> None:
    assert export.readable(token) == shown


def test_a_disk_that_refuses_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        export.write_heads_csv(tmp_path / "none" / "heads.csv", {"self": np.ones((1, 1))})
    assert list(tmp_path.iterdir()) == []
