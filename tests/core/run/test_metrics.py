"""`tinygpt.read_metrics`: tables of both variants, also of a live run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import tinygpt
from tests.helpers.records import evaluated, routed, sample, started, train
from tests.helpers.run_files import RECORDS, metrics_of
from tinygpt.errors import RunError
from tinygpt.run import EndRecord, Record, ResumeRecord, to_json
from tinygpt.run.metrics import KINDS, read_metrics


def written(path: Path, records: Sequence[Record], torn: str = "") -> Path:
    metrics_of(path).write_text("".join(to_json(r) + "\n" for r in records) + torn)
    return path


def lockstep(*steps: int) -> list[Record]:
    return [train(model, step) for step in steps for model in ("dense", "moe")]


def test_every_kind_has_a_table_of_equally_long_columns(tmp_path: Path) -> None:
    found = tinygpt.read_metrics(written(tmp_path / "run", RECORDS))
    # The resume in RECORDS rewinds MoE's evaluation, sample and routing, and Dense's checkpoint.
    assert set(found) == {"start", "train", "resume", "end"}
    found = read_metrics(written(tmp_path / "whole", [r for r in RECORDS if r.kind != "resume"]))
    assert tuple(found) == tuple(kind for kind in KINDS if kind != "resume")
    for table in found.values():
        assert len({len(column) for column in table.values()}) == 1
        assert all(column.ndim == 1 for column in table.values())
        assert next(iter(table)) == "model"


def test_train_records_are_sorted_by_step_and_model(tmp_path: Path) -> None:
    records = [started(), *lockstep(1, 2, 3), evaluated("dense", 3, 2.5), *lockstep(4, 5)]
    table = read_metrics(written(tmp_path / "run", records))["train"]
    assert table["model"].tolist() == ["dense", "moe"] * 5
    assert table["step"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert table["tokens"].tolist() == [77 * step for step in table["step"]]
    assert table["loss"].tolist() == [4.0 / step for step in table["step"]]
    assert table["time"].tolist() == [10.0 + step for step in table["step"]]
    assert table["epoch"].tolist() == [0.5 * step for step in table["step"]]
    assert [table[name].dtype for name in ("step", "tokens", "loss")] == [
        np.int64,
        np.int64,
        np.float64,
    ]
    assert list(table) == [
        *("model", "step", "tokens", "epoch", "time", "loss", "lr", "grad_norm"),
        *("tokens_per_second", "train_seconds"),
    ]


def test_what_a_resume_rewound_is_left_out(tmp_path: Path) -> None:
    rewound = ResumeRecord(time=50.0, step=2, models={"dense": 2, "moe": 3})
    records: list[Record] = [
        started(),
        *lockstep(1, 2, 3, 4),
        evaluated("dense", 4, 2.5),
        evaluated("moe", 3, 2.25),
        rewound,
        train("dense", 3, 1.25),
    ]
    found = read_metrics(written(tmp_path / "run", records))
    table = found["train"]
    of_dense = table["model"] == "dense"
    assert table["step"][of_dense].tolist() == [1, 2, 3]
    assert table["loss"][of_dense].tolist() == [4.0, 2.0, 1.25]
    assert table["step"][~of_dense].tolist() == [1, 2, 3]
    assert found["eval"]["model"].tolist() == ["moe"]
    assert found["resume"]["step"].tolist() == [2, 3]


def test_nested_values_become_columns(tmp_path: Path) -> None:
    ends: dict[str, dict[str, object]] = {
        "dense": {"step": 5, "val_loss": 1.5},
        "moe": {"step": 7, "val_loss": 1.25, "expert_load": [[0.25, 0.75]]},
    }
    end = EndRecord(time=9.0, state="done", reason="7 steps", models=ends)
    found = read_metrics(written(tmp_path / "run", [started(), routed(5, 0.625), end]))
    assert found["routing"]["load_layer_0_expert_0"].tolist() == [0.625]
    assert found["routing"]["load_layer_0_expert_1"].tolist() == [0.375]
    assert found["routing"]["dead_layer_0"].tolist() == [0]
    assert found["start"]["corpus_name"].tolist() == ["tinyshakespeare"] * 2
    assert found["start"]["params_total"].tolist() == [804224, 2379136]
    assert found["end"]["step"].tolist() == [5, 7]
    assert found["end"]["state"].tolist() == ["done", "done"]
    assert found["end"]["error"].tolist() == [None, None]
    load = found["end"]["expert_load_layer_0_expert_1"]
    assert np.isnan(load[0])
    assert load[1] == 0.75


def test_missing_and_infinite_numbers(tmp_path: Path) -> None:
    records: list[Record] = [started(), train("dense", 1, float("nan"))]
    records.append(train("dense", 2, float("inf")))
    found = read_metrics(written(tmp_path / "run", [*records, evaluated("dense", 2, 1.5)]))
    assert np.isnan(found["train"]["loss"][0])
    assert found["train"]["loss"][1] == np.inf
    assert np.isnan(found["eval"]["val_tokens"]).all()


def test_a_live_run_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    path = written(tmp_path / "run", [started(), *lockstep(1, 2)], torn='{"kind": "train", "st')
    assert read_metrics(path)["train"]["step"].tolist() == [1, 1, 2, 2]
    with open(path / "metrics.jsonl", "a") as file:
        file.write('\n{"kind": "of a later version"}\n' + to_json(train("moe", 3)) + "\n")
    assert read_metrics(path)["train"]["step"].tolist() == [1, 1, 2, 2, 3]


def test_a_variant_names_its_run(tmp_path: Path) -> None:
    path = written(tmp_path / "run", [started(), sample("moe", 3)])
    (path / "moe").mkdir()
    assert read_metrics(path / "moe")["sample"]["text"].tolist() == ["moe at 3"]


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run: it has none of a run's files"):
        read_metrics(tmp_path)
    assert read_metrics(written(tmp_path / "new", [])) == {}
