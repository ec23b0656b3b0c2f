"""--track: which names there are, and what is said of others."""

import argparse
from pathlib import Path

import pytest

from tests.helpers.tracking import PACKAGES
from tinygpt.errors import ConfigError
from tinygpt.tracking import names


@pytest.fixture(autouse=True)
def _fake_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PACKAGES)


def test_names_are_those_of_the_modules() -> None:
    assert names.known() == ("tensorboard", "trackio", "wandb")


def test_each_name_counts_once() -> None:
    assert names.parse("wandb, wandb", "--track") == ["wandb"]
    assert names.parse("none", "--track") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("wandbb", "--track 'wandbb' is not a tracker; did you mean 'wandb'?"),
        ("qqq", "--track 'qqq' is not a tracker: it takes tensorboard, trackio, wandb"),
        ("", "--track '' is not a tracker: it takes tensorboard, trackio, wandb"),
        ("wandb,", "--track '' is not a tracker: it takes tensorboard, trackio, wandb"),
    ],
)
def test_an_unknown_name_is_a_mistake(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        names.parse(text, "--track")
    assert str(raised.value) == says


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError) as raised:
        names.parse("wandb", "--track")
    needs = "--track wandb needs the extra: pip install 'tinygpt-tui[wandb]'"
    assert str(raised.value) == needs


def test_a_folder_of_a_trackers_name_is_not_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """wandb writes into ./wandb, which a Python started here takes for a package."""
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert names.missing("wandb") == "wandb needs the extra: pip install 'tinygpt-tui[wandb]'"


def test_the_options_are_passed_on() -> None:
    options = argparse.Namespace(track=["tensorboard", "wandb"], track_model=True)
    assert list(names.as_options(options)) == ["--track=tensorboard,wandb", "--track-model"]
    assert list(names.as_options(argparse.Namespace(track=[]))) == ["--track=none"]
    assert list(names.as_options(argparse.Namespace())) == []


def test_a_model_needs_a_tracker() -> None:
    names.check(argparse.Namespace(track=["wandb"], track_model=True))
    names.check(argparse.Namespace(resume=True, track_model=True))
    with pytest.raises(ConfigError, match=r"^--track-model needs a tracker, such as --track wandb"):
        names.check(argparse.Namespace(track_model=True))
