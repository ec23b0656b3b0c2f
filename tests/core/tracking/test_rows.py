"""Records to rows: complete, in order, each step once, and what a resume supersedes left out."""

import math
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.helpers.records import evaluated, routed, sample, train
from tests.helpers.run_files import end
from tests.helpers.tracking import run_with
from tinygpt.run import Record, ResumeRecord, RoutingRecord
from tinygpt.tracking.rows import Rows, VariantRow, resumes, scalars


def resumed(**models: int) -> ResumeRecord:
    return ResumeRecord(time=99.0, step=max(models.values()), models=models)


def rows_of(rows: Rows, records: Iterable[Record]) -> list[VariantRow]:
    return [row for record in records for row in rows.add(record)]


def steps(rows: Iterable[VariantRow]) -> list[tuple[str, int]]:
    return [(row.variant, row.row.step) for row in rows]


def test_a_row_has_all_records_of_its_step() -> None:
    rows = Rows([], {})
    records: list[Record] = [
        train("moe", 3),
        evaluated("moe", 3, 2.5),
        sample("moe", 3),
        routed(3, 0.25),
    ]
    assert rows_of(rows, records) == []
    assert steps(rows_of(rows, [train("dense", 4)])) == []
    ((variant, row),) = rows_of(rows, [train("moe", 4)])
    assert (variant, row.step, row.time) == ("moe", 3, 13.0)
    assert row.texts == {"sample": "moe at 3"}
    assert row.scalars["train/loss"] == pytest.approx(4 / 3)
    assert row.scalars["val/loss"] == 2.5
    assert row.scalars["val/perplexity"] == pytest.approx(math.exp(2.5))
    assert row.scalars["expert_load/layer_0/expert_1"] == 0.75
    assert steps(rows.rest()) == [("dense", 4), ("moe", 4)]
    assert rows.sent == {"moe": 4, "dense": 4}
    assert steps(rows.rest()) == []


def test_the_metrics_that_issue_names_are_there() -> None:
    found = scalars(train("dense", 3)) | scalars(evaluated("dense", 3, 2.0))
    assert {tag for tag in found if tag.startswith("train/")} == {
        *("train/loss", "train/learning_rate", "train/gradient_norm", "train/tokens_per_second"),
        *("train/tokens", "train/epoch", "train/loss_at_eval"),
    }
    assert found["train/learning_rate"] == 0.02
    assert found["train/gradient_norm"] == 0.71
    assert "val/bits_per_byte" not in found  # an older run has none


def test_routing_has_a_number_per_layer_and_expert() -> None:
    record = RoutingRecord(
        time=1.0,
        model="moe",
        step=5,
        tokens=7,
        load=[[0.25, 0.75], [1.0, 0.0]],
        entropy=[0.5, 0.0],
        worst_over_mean=[1.5, 2.0],
        mean_top1=[0.6, 0.9],
        dead=[0, 1],
    )
    assert scalars(record) == {
        "experts/load_entropy": 0.25,
        "experts/max_over_mean_load": 2.0,
        "experts/top1_probability": 0.75,
        "experts/dead": 1.0,
        "load_entropy/layer_0": 0.5,
        "load_entropy/layer_1": 0.0,
        "expert_load/layer_0/expert_0": 0.25,
        "expert_load/layer_0/expert_1": 0.75,
        "expert_load/layer_1/expert_0": 1.0,
        "expert_load/layer_1/expert_1": 0.0,
    }


def test_what_was_sent_is_left_out() -> None:
    rows = Rows([], {"dense": 3})
    records = [train(model, step) for step in range(1, 6) for model in ("dense", "moe")]
    found = [*rows_of(rows, records), *rows.rest()]
    assert [step for variant, step in steps(found) if variant == "dense"] == [4, 5]
    assert [step for variant, step in steps(found) if variant == "moe"] == [1, 2, 3, 4, 5]


def test_a_resume_supersedes_what_was_not_sent() -> None:
    """Of a run that is sent afterwards, the valid values count; as in `drop_rewound`."""
    before = [train("dense", step, 9.0) for step in range(1, 8)]
    again = [train("dense", step, 2.0) for step in range(4, 10)]
    last = [train("dense", step, 1.0) for step in range(6, 11)]
    first, second = resumed(dense=3), resumed(dense=5)
    rows = Rows([first.models, second.models], {})
    found = [*rows_of(rows, [*before, first, *again, second, *last]), *rows.rest()]
    losses = [row.row.scalars["train/loss"] for row in found]
    assert steps(found) == [("dense", step) for step in range(1, 11)]
    assert losses == [9.0] * 3 + [2.0] * 2 + [1.0] * 5


def test_a_resume_during_the_tracking_repeats_no_step() -> None:
    rows = Rows([], {})
    before = [train("dense", step, 9.0) for step in range(1, 8)]
    again = [train("dense", step, 2.0) for step in range(4, 10)]
    found = [*rows_of(rows, [*before, resumed(dense=3), *again]), *rows.rest()]
    assert steps(found) == [("dense", step) for step in range(1, 10)]
    # Step 7 was not complete yet: it is that of the resumed training.
    assert [row.row.scalars["train/loss"] for row in found] == [9.0] * 6 + [2.0] * 3


def test_an_evaluation_after_a_resume_completes_its_step() -> None:
    rows = Rows([], {"dense": 4})
    records: list[Record] = [
        train("dense", 5),
        resumed(dense=5),
        evaluated("dense", 5, 2.0),
        train("dense", 6),
    ]
    ((_, row),) = rows_of(rows, records)
    assert row.step == 5
    assert {"train/loss", "val/loss"} <= row.scalars.keys()


def test_resumes_are_read_from_the_run(tmp_path: Path) -> None:
    run = run_with(tmp_path / "a", train("dense", 1), resumed(dense=1), end(), resumed(moe=3))
    assert resumes(run) == [{"dense": 1}, {"moe": 3}]
