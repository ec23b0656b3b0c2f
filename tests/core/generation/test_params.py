"""Decoding settings: ranges, the order of the filters in words, conversion to and from JSON."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given

from tests.helpers.generated import sampling_params
from tinygpt.errors import ConfigError
from tinygpt.fields import flag
from tinygpt.generation.filters import chain
from tinygpt.generation.params import SamplingParams, describe_filters


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": -1},
        {"top_k": 2.5},
        {"top_p": 1.5},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"typical_p": 0},
        {"repetition_penalty": 0},
        {"repetition_penalty": 1e-39},
        {"repetition_penalty": 1e39},
        {"temperature": 1e39},
        {"top_k": 10**30},
        {"no_repeat_ngram": 10**30},
        {"no_repeat_ngram": -1},
        {"max_new_tokens": -1},
        {"seed": "x"},
        {"stop": ("",)},
        {"stop": (5,)},
    ],
)
def test_wrong_parameters_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=flag(next(iter(wrong)))):
        SamplingParams(**wrong)  # type: ignore[arg-type]


def test_text_of_the_command_line_and_numbers_of_numpy_are_values() -> None:
    typed = SamplingParams(temperature="0.5", top_k="3", seed="7", stop="x")  # type: ignore[arg-type]
    assert typed == SamplingParams(temperature=0.5, top_k=3, seed=7, stop=("x",))
    assert SamplingParams(top_k=np.int64(3), top_p=np.float32(0.5)) == SamplingParams(  # type: ignore[arg-type]
        top_k=3, top_p=0.5
    )


@given(sampling_params)
def test_the_filters_in_words_are_the_filters(params: SamplingParams) -> None:
    words = describe_filters(params)
    names = [name for name, _ in chain(params)]
    parts = words.split(" → ") if names else []
    assert len(parts) == len(names)
    assert all(part.startswith(name) for part, name in zip(parts, names, strict=True))


@given(sampling_params)
def test_json_and_back(params: SamplingParams) -> None:
    assert SamplingParams.from_dict(json.loads(json.dumps(asdict(params)))) == params


@pytest.mark.parametrize("values", [{"nope": 1}, {"stop": 5}, {"top_k": "many"}])
def test_a_dict_of_no_settings_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SamplingParams.from_dict(values)
