"""Runs that several tests begin with: trained once in a process, then copied."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.training import Trained, make_session, stop_at, train_session


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Gives a run that `make` begins with these options. It is shared: not to be changed."""

    @cache
    def train(
        step: int | None = None, *, make: Callable[..., Any] = make_session, **options: object
    ) -> Path:
        session = make(tmp_path_factory.mktemp("trained"), **options)
        train_session(session, interrupted=stop_at(step, session) if step else lambda: None)
        return Path(session.path)

    return train


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Trained:
    """Gives a copy of such a run, with its corpus, in the folder of the test."""

    def copy(
        step: int | None = None, *, make: Callable[..., Any] = make_session, **options: object
    ) -> Path:
        run = trained(step, make=make, **options)
        shutil.copytree(run.parent, tmp_path, dirs_exist_ok=True)
        settings = tmp_path / run.name / "run.toml"
        settings.write_text(settings.read_text().replace(str(run.parent), str(tmp_path)))
        return settings.parent

    return copy
