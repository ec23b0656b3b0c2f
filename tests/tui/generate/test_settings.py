"""Decoding settings in the tab: their keys and steps, and typing a value."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given

from tests.helpers.generated import sampling_params
from tinygpt.errors import ConfigError
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.generate.settings import BY_NAME, SETTINGS, Setting, parse, step, typed


def test_every_setting_has_a_key_of_its_own() -> None:
    assert {s.name for s in SETTINGS} == {*asdict(SamplingParams())}
    keys = [s.key for s in SETTINGS]
    assert len(set(keys)) == len(keys)
    assert all(key.isupper() for key in keys)


@given(sampling_params)
def test_what_is_shown_can_be_typed(params: SamplingParams) -> None:
    for setting in SETTINGS:
        value = getattr(params, setting.name)
        if not isinstance(value, bool):
            text = typed(params, setting)
            expected = replace(SamplingParams(), **{setting.name: value})
            assert parse(SamplingParams(), setting, text) == expected


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_steps_reach_every_value_and_stay_in_range(setting: Setting) -> None:
    params = SamplingParams()
    for by in (-1, 1, -1):
        seen = []
        for _ in range(40):
            params = step(params, setting, by)
            seen.append(getattr(params, setting.name))
        if setting.steps:
            assert seen[-1] == setting.steps[-1 if by > 0 else 0]
            assert by == -1 or set(setting.steps[1:]) <= set(seen)


def test_a_value_between_two_steps_goes_to_the_next() -> None:
    odd = SamplingParams(temperature=0.83)
    assert step(odd, BY_NAME["temperature"], 1).temperature == 0.9
    assert step(odd, BY_NAME["temperature"], -1).temperature == 0.8
    far = SamplingParams(temperature=7.0)
    assert step(far, BY_NAME["temperature"], 1) == far
    assert step(far, BY_NAME["temperature"], -1).temperature == 2.0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temperature", "-1"),
        ("temperature", "nan"),
        ("temperature", "inf"),
        ("top_k", "2.5"),
        ("top_k", "-1"),
        ("top_p", "1.01"),
        ("min_p", "x"),
        ("typical_p", "0"),
        ("repetition_penalty", "0"),
        ("no_repeat_ngram", "-2"),
        ("max_new_tokens", "20001"),
        ("max_new_tokens", "1e99"),
        ("max_new_tokens", ""),
        ("seed", "-1"),
        ("seed", str(2**63)),
        ("seed", "a"),
        ("stop", "a||b"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name: str, text: str) -> None:
    setting = BY_NAME[name]
    with pytest.raises(ConfigError) as refused:
        parse(SamplingParams(), setting, text)
    assert setting.label in str(refused.value)
    assert setting.range in str(refused.value)


def test_the_range_comes_from_the_fields() -> None:
    assert BY_NAME["top_p"].range == "0 to 1; 1 is off"
    assert BY_NAME["typical_p"].range == "more than 0, at most 1; 1 is off"
    assert BY_NAME["repetition_penalty"].range == "0.01 to 100; 1 is off"
    assert BY_NAME["no_repeat_ngram"].range == "0 to 999999; 0 is off"
