"""What each key does in the form for a new run."""

from pathlib import Path

import pytest

from tinygpt_tui.screens.form import ADVANCED, FIELDS, GPUS, NAME, USUAL
from tinygpt_tui.screens.form_state import SEARCH, FormState


@pytest.fixture
def state(tmp_path: Path) -> FormState:
    """The form as `n` opens it."""
    return FormState(tmp_path, {"preset": "nano"})


def press(state: FormState, *keys: str) -> None:
    for key in keys:
        assert state.press(key, key if len(key) == 1 else None), key


def names(state: FormState) -> list[str]:
    return [row.name for row in state.rows() if row.name]


def test_the_usual_settings_stand_on_top_and_the_rest_is_folded(state: FormState) -> None:
    usual = [field.name for field in USUAL]
    assert names(state) == [*usual, SEARCH]
    state.go(SEARCH)
    assert state.enter()
    assert names(state) == [*usual, SEARCH, *(field.name for field in ADVANCED)]
    headings = [row.heading for row in state.rows() if row.heading]
    assert [heading.split()[0] for heading in headings] == [
        *("Run", "Model", "Experts", "Optimizer", "Batches,")
    ]
    assert state.enter()
    assert names(state) == [*usual, SEARCH]
    state.go("seed")
    assert not state.enter()  # starts the run


def test_given_values_are_shown_and_those_of_the_preset_are_not_changes(tmp_path: Path) -> None:
    given = {"preset": "baby", "gpt.layers": "4", "gpt.heads": "6", NAME: "mine", "seed": "3"}
    state = FormState(tmp_path, given)
    assert names(state)[-2:] == [SEARCH, "gpt.layers"]
    assert {name for name in FIELDS if state.changed(name)} == {"gpt.layers", "seed"}
    assert (state.changed_advanced, state.text(NAME)) == (1, "mine")
    assert state.defaults["gpt.layers"] == "6"
    run = state.start()
    assert run is not None
    words = ["--name", "mine", "--preset", "baby", "--gpt.layers", "4", "--seed", "3"]
    assert (run.name, run.arguments) == ("mine", words)


def test_steps_and_a_time_limit(tmp_path: Path) -> None:
    state = FormState(tmp_path, {"preset": "nano", "minutes": "2"})
    assert (state.defaults["steps"], state.defaults["minutes"]) == ("no limit", "no limit")
    state.go("steps")
    press(state, *"2000")
    run = state.start()
    assert run is not None
    assert run.arguments == ["--preset", "nano", "--minutes", "2.0", "--steps", "2000"]


def test_typing_changes_the_field_under_the_cursor(state: FormState) -> None:
    press(state, "down", "down", "down", *"30", "down", *"2.5", "tab", "up", "backspace")
    assert (state.text("steps"), state.text("minutes")) == ("30", "2.")
    assert state.changed("steps")
    press(state, "ctrl+u")
    assert not state.changed("minutes")
    press(state, "up", "backspace", "backspace", *"2000")
    assert not state.changed("steps")  # as in the preset


def test_a_value_is_chosen_with_arrows_and_space(state: FormState) -> None:
    press(state, "down", "right")
    assert (state.preset, state.defaults["steps"]) == ("baby", "5000")
    press(state, "left", "left", "down", "space", "space")
    assert (state.preset, state.chosen("model")) == ("micro", "moe")
    press(state, "right")
    assert (state.chosen("model"), state.changed("model")) == ("both", False)
    assert not state.press("x", "x")


def test_a_choice_can_be_left_to_the_trainer_again(state: FormState) -> None:
    name = "gpt.tie_embeddings"
    state.go(name)
    assert (state.chosen(name), state.changed(name)) == ("automatic", False)
    press(state, "right")
    run = state.start()
    assert run is not None
    assert run.arguments[-2:] == ["--gpt.tie-embeddings", "true"]
    press(state, "right", "right")
    assert (state.chosen(name), state.changed(name)) == ("automatic", False)
    assert name not in state.values


def test_the_cursor_stays_at_the_ends(state: FormState) -> None:
    press(state, "up", "pageup")
    assert state.at == NAME
    press(state, "pagedown", "pagedown")
    assert state.at == SEARCH


def test_search_filters_all_settings_and_enter_goes_to_the_first(state: FormState) -> None:
    press(state, "ctrl+f", *"decay")
    assert names(state)[0] == SEARCH
    assert set(names(state)[1:]) == {f.name for f in FIELDS.values() if f.matches("decay")}
    assert state.found == len(names(state)) - 1
    assert state.enter()
    assert state.at == "optim.weight_decay"
    press(state, *"0.5", "escape")
    assert (state.at, state.search.text) == ("optim.weight_decay", "")
    assert names(state) == [*(field.name for field in USUAL), SEARCH, "optim.weight_decay"]
    assert not state.press("escape", None)  # closes the form


def test_enter_goes_to_the_setting_that_is_called_so(state: FormState) -> None:
    press(state, "ctrl+f", *"gpus")
    assert names(state)[0] == "device", "its help has the word"
    assert state.enter()
    assert state.at == GPUS


def test_a_slash_searches_where_nothing_can_be_typed(state: FormState) -> None:
    press(state, "down", "/", *"no such")
    assert (state.at, names(state), state.enter()) == (SEARCH, [SEARCH], True)
    assert state.at == SEARCH
    state = FormState(state.out, {"preset": "nano"})
    state.go("data")
    press(state, "/", "t")
    assert state.text("data") == "/t"


def test_as_many_gpus_as_wished_for(state: FormState) -> None:
    state.go(GPUS)
    press(state, "t")
    assert state.start() is None
    assert state.problems[GPUS] == "GPUs t is neither a number of GPUs nor all"
    press(state, "backspace", "2")
    assert state.changed(GPUS)
    new = state.start()
    assert new is not None
    assert new.arguments[-2:] == ["--gpus", "2"]
    press(state, "backspace", "1")
    assert not state.changed(GPUS)


def test_the_cursor_goes_to_a_problem_that_is_hidden(state: FormState) -> None:
    press(state, "ctrl+f", *"width")
    state.go("gpt.width")
    press(state, *"129", "ctrl+f", "ctrl+u", *"seed")
    assert "gpt.width" not in names(state)
    assert state.start() is None
    assert (state.at, state.line.text) == ("gpt.width", "129")
    assert state.problems["gpt.width"] == "Width 129 is not a multiple of Heads 4: try Width 132"


def test_blanks_and_quotes(state: FormState, corpus_file: Path) -> None:
    state.go("data")
    state.paste(f" '{corpus_file}' \nmore")
    assert state.text("data") == str(corpus_file)
    state.go("train.sample_prompt")
    state.paste("KING ")
    assert state.text("train.sample_prompt") == "KING "
    state.go("preset")
    state.paste("micro")
    assert state.preset == "nano"
