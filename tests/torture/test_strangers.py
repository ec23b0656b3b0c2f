"""Twenty thousand damaged run directories, and every file cut at every length."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.helpers import fuzzing
from tests.helpers.models import TEXT

CASES, SHARDS = 20_800, 16


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fuzz").mkdir()
    (tmp_path / "fuzz" / "corpus.txt").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "fuzz"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_any_damage(
    folder: Path, shard: int, record_property: Callable[[str, object], None]
) -> None:
    files = fuzzing.good_run(folder.parent)
    cases = refused = 0

    @settings(
        max_examples=CASES // SHARDS,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=False,
    )
    @given(data=st.data())
    def try_all(data: st.DataObject) -> None:
        nonlocal cases, refused
        fuzzing.write(data.draw(fuzzing.damages(files)), folder / "run")
        refused += fuzzing.look(folder / "run") > 0
        cases += 1
        assert not list(folder.parent.rglob(fuzzing.CANARY))

    try_all()
    assert cases >= CASES // SHARDS
    record_property("count damaged run directories", cases)
    record_property("count of those in which something was refused", refused)


@pytest.mark.parametrize(
    "name",
    ["run.toml", "tokenizer.json", "metrics.jsonl", "status.json", "meta", "model", "training"],
)
def test_cut_at_every_length(
    folder: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    files = fuzzing.good_run(folder.parent)
    checkpoint = "dense/step-00000004/"
    whole = {"meta": "meta.json", "model": "model.safetensors", "training": "training.safetensors"}
    file = checkpoint + whole[name] if name in whole else name
    size = len(files[file])
    lengths = range(0, size, max(1, size // 900))
    for length in lengths:
        fuzzing.write({**files, file: files[file][:length]}, folder / "run")
        fuzzing.look(folder / "run")
    record_property("count lengths at which a file was cut", len(lengths))
