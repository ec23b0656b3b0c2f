"""Presets: what they set, and those saved between sessions."""

from pathlib import Path

import pytest

from tinygpt.generation.params import SamplingParams
from tinygpt_tui.generate.presets import (
    PRESETS,
    all_presets,
    delete_preset,
    preset_name,
    save_preset,
    saved_presets,
    with_preset,
)


def test_a_preset_keeps_seed_length_and_stop() -> None:
    mine = SamplingParams(seed=5, max_new_tokens=7, stop=("x",), top_k=3)
    found = with_preset(mine, PRESETS["conservative"])
    assert (found.seed, found.max_new_tokens, found.stop) == (5, 7, ("x",))
    assert (found.temperature, found.top_k) == (0.7, 40)
    assert preset_name(found, PRESETS) == "conservative"
    assert preset_name(mine, PRESETS) is None


def test_presets_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    save_preset("mine", PRESETS["creative"])
    assert saved_presets() == {"mine": PRESETS["creative"]}
    assert [*all_presets()] == [*PRESETS, "mine"]
    delete_preset("mine")
    assert saved_presets() == {}


def test_a_preset_of_an_older_version_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "tinygpt-tui"
    folder.mkdir()
    (folder / "presets.json").write_text(
        '{"careful": {"temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.0,'
        ' "typical_p": 1.0, "repetition_penalty": 1.0, "no_repeat_ngram": 0,'
        ' "temperature_last": false, "greedy": false, "seed": null, "max_new_tokens": 200,'
        ' "stop": ["x"]}}'
    )
    careful = saved_presets()["careful"]
    assert with_preset(SamplingParams(), careful) == PRESETS["conservative"]


@pytest.mark.parametrize("found", ["", "[1, 2]", '{"a": {"nope": 1}, "b": 3}', "\x00", "[" * 9999])
def test_broken_presets_are_skipped(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "tinygpt-tui"
    folder.mkdir()
    (folder / "presets.json").write_text(found)
    assert saved_presets() == {}
