"""What the study found for runs like an open one."""

import json
from pathlib import Path

import pytest
import tomli_w

from tinygpt.config import build, flatten, unflatten
from tinygpt.run import RUN_TOML
from tinygpt_tui.monitor import seed_spread
from tinygpt_tui.monitor.seed_spread import SeedSpread, find_spread, learning_settings

SHA = "ab" * 32


def tables(sha256: str = SHA, **changes: object) -> dict[str, object]:
    """A run.toml of `nano` as the trainer writes it; ``train__batch=3`` sets train.batch."""
    values = {name.replace("__", "."): value for name, value in changes.items()}
    recipe = {"optim.weight_decay": 0.1, "optim.weight_decay_power": 1.0}
    recipe["gpt.tie_embeddings"] = False
    settings = flatten(build({"preset": "nano", **recipe, **values}))
    return {**unflatten(settings), "corpus": {"sha256": sha256}}


ROW = {
    "corpus": SHA,
    "settings": learning_settings(tables()),
    "seeds": 5,
    "mean": 0.02,
    "std": 0.004,
    "noise": 0.011,
}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, True),
        ({"seed": 7, "device": "cuda", "train__threads": 3, "data": "/x.txt"}, True),
        ({"model": "moe", "train__snapshots": 3, "test_share": 0.1}, True),
        ({"sha256": "cd" * 32}, False),
        ({"steps": 1999}, False),
        ({"preset": "micro"}, False),
        ({"gpt__width": 136}, False),
        ({"moe__aux_loss": 0.02}, False),
        ({"moe__router": "frozen"}, False),
        ({"optim__weight_decay": 0.2}, False),
        ({"train__batch": 13}, False),
    ],
)
def test_a_run_is_found_by_what_is_learned(changes: dict[str, object], *, found: bool) -> None:
    expected = SeedSpread(5, 0.02, 0.004, 0.011) if found else None
    assert find_spread(tables(**changes), [ROW]) == expected  # type: ignore[arg-type]


def test_a_study_lacks_the_settings_that_came_after_it() -> None:
    settings = dict(ROW["settings"])  # type: ignore[call-overload]
    del settings["gpt.tie_embeddings"]
    rows = [{**ROW, "settings": settings}]
    assert find_spread(tables(), rows) == SeedSpread(5, 0.02, 0.004, 0.011)
    assert find_spread(tables(gpt__tie_embeddings=True), rows) is None


def test_a_run_directory_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.json").write_text(json.dumps([ROW]))
    monkeypatch.setattr(seed_spread, "TABLE", tmp_path / "study.json")
    seed_spread._table.cache_clear()
    assert seed_spread.seed_spread(tmp_path) is None
    (tmp_path / RUN_TOML).write_text(tomli_w.dumps(tables()))
    assert seed_spread.seed_spread(tmp_path) == SeedSpread(5, 0.02, 0.004, 0.011)
    for damaged in ("steps = 'x'", "corpus = 'x'", "[corpus]\nsha256 = 7", "x"):
        (tmp_path / RUN_TOML).write_text(damaged)
        assert seed_spread.seed_spread(tmp_path) is None
    seed_spread._table.cache_clear()


def test_the_table_that_the_package_ships_is_valid() -> None:
    for row in json.loads(seed_spread.TABLE.read_text()):
        assert row["seeds"] >= 2
        assert 0 < row["std"] < row["noise"]
        assert len(row["corpus"]) == 64
        assert row["settings"]["steps"] > 0
