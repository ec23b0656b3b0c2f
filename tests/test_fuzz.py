"""Damaged run directories: each is refused in one sentence, and the app stays usable."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers import fuzzing
from tests.helpers.models import TEXT


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> fuzzing.Files:
    return fuzzing.good_run(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    (made / "corpus.txt").write_text(TEXT)
    return made


def test_nothing_is_refused_of_a_good_run(files: fuzzing.Files, folder: Path) -> None:
    fuzzing.write(files, folder / "run")
    assert fuzzing.look(folder / "run") == 0


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_damage(files: fuzzing.Files, folder: Path, data: st.DataObject) -> None:
    fuzzing.write(data.draw(fuzzing.damages(files)), folder / "run")
    fuzzing.look(folder / "run")
    assert not (folder / fuzzing.CANARY).exists()
    assert not Path(fuzzing.CANARY).exists()
