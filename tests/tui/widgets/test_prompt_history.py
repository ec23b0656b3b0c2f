"""The history of prompts, kept between sessions."""

from pathlib import Path

import pytest

from tinygpt_tui.widgets.prompt_history import DEFAULT_PROMPT, PromptHistory


def test_prompts_are_kept_in_order_of_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    prompts = PromptHistory()
    assert prompts.suggestion(lambda _: "") == DEFAULT_PROMPT
    for prompt in ("one", "two\nlines", "one"):
        prompts.add(prompt)
    again = PromptHistory()
    assert again.all == ["two\nlines", "one"]
    assert [again.move(-1, "now") for _ in range(3)] == ["one", "two\nlines", "now"]
    assert again.move(1, "now") == "one"


@pytest.mark.parametrize("found", ["", '{"a": 1}', "[1, null]"])
def test_a_broken_history_is_empty(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "tinygpt-tui").mkdir()
    (tmp_path / "tinygpt-tui" / "prompts.json").write_text(found)
    assert PromptHistory().all == []


def test_a_suggestion_has_no_unknown_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    prompts = PromptHistory()
    for prompt in ("ab", "b", "é"):
        prompts.add(prompt)
    assert prompts.suggestion(lambda text: set(text) - set("ab")) == "b"
    assert prompts.suggestion(lambda text: set(text) - set("ROME:")) == DEFAULT_PROMPT
    assert prompts.suggestion(lambda text: set(text) - set("x")) is None
    assert prompts.suggestion(lambda text: set(text) - set("ROME:"), shakespeare=False) is None
    assert prompts.suggestion(lambda _: "", shakespeare=False) == "é"
    assert prompts.all == ["ab", "b", "é"]
