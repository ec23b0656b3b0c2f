"""Metrics as CSV: what `read_metrics` returns, digit for digit."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.records import evaluated, routed, sample, started, train
from tests.helpers.run_files import metrics_of
from tinygpt.errors import ConfigError
from tinygpt.export.metrics_csv import export_csv
from tinygpt.run import Record, to_json
from tinygpt.run.metrics import read_metrics


@pytest.fixture
def run(tmp_path: Path) -> Path:
    records: list[Record] = [started()]
    for step in range(1, 8):
        records += [train("dense", step, 1 / 3), train("moe", step, float("nan"))]
    records += [evaluated("dense", 7, 2.5), sample("moe", 7), routed(7)]
    path = tmp_path / "run"
    metrics_of(path).write_text("".join(to_json(record) + "\n" for record in records))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_file_per_kind_with_the_numbers_of_the_tables(run: Path, tmp_path: Path) -> None:
    files = export_csv(run, tmp_path / "out")
    tables = read_metrics(run)
    assert [file.stem for file in files] == list(tables)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f.name for f in files)
    for file in files:
        rows, table = rows_of(file), tables[file.stem]
        assert list(rows[0]) == list(table)
        for name, column in table.items():
            cells = [row[name] for row in rows]
            if column.dtype == np.float64:
                np.testing.assert_array_equal(np.array(cells, np.float64), column)
            else:
                assert cells == ["" if v is None else str(v) for v in column.tolist()]
    assert rows_of(tmp_path / "out" / "train.csv")[0]["loss"] == "0.3333333333333333"


def test_more_rows_than_are_formatted_at_a_time(run: Path, tmp_path: Path) -> None:
    with open(run / "metrics.jsonl", "a") as file:
        file.writelines(to_json(train("dense", step)) + "\n" for step in range(8, 4200))
    export_csv(run, tmp_path / "out")
    steps = [int(row["step"]) for row in rows_of(tmp_path / "out" / "train.csv")]
    assert steps == sorted([*range(1, 4200), *range(1, 8)])


def test_an_earlier_export_is_replaced_and_tables_of_others_are_not(
    run: Path, tmp_path: Path
) -> None:
    export_csv(run, tmp_path / "out")
    export_csv(run, tmp_path / "out")
    other = tmp_path / "other"
    other.mkdir()
    (other / "train.csv").write_text("image,label\n1,2\n")
    with pytest.raises(ConfigError, match="has files that are not an export's"):
        export_csv(run, other)
    assert (other / "train.csv").read_text() == "image,label\n1,2\n"


def test_a_run_without_metrics(tmp_path: Path) -> None:
    metrics_of(tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="has no metrics yet"):
        export_csv(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()
