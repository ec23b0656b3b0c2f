"""Rollout against the product of layers, and baselines against heads that attend uniformly."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers.paths import ROOT
from tinygpt.analysis import heads
from tinygpt.analysis.attention_maps import repeated_baseline, rollout, uniform_baseline


def uniform(tokens: int) -> Tensor:
    """(1, 1, T, T): each query attends equally to itself and all tokens before it."""
    visible = torch.ones(1, 1, tokens, tokens, dtype=torch.float64).tril()
    return visible / visible.sum(-1, keepdim=True)


@pytest.mark.parametrize("tokens", [1, 2, 13])
def test_baseline_is_the_statistics_of_a_uniform_head(tokens: int) -> None:
    expected = {name: float(value) for name, value in heads.statistics(uniform(tokens)).items()}
    assert tuple(uniform_baseline(tokens)) == heads.STATISTICS
    assert uniform_baseline(tokens) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("length", [2, 5])
def test_baseline_of_repeated_tokens_is_that_of_a_uniform_head(length: int) -> None:
    expected = {name: float(value) for name, value in heads.copying(uniform(2 * length)).items()}
    assert tuple(repeated_baseline(length)) == heads.REPEATED
    assert repeated_baseline(length) == pytest.approx(expected)


def test_rollout_multiplies_layer_by_layer() -> None:
    random = np.random.default_rng(1)
    attention = np.tril(random.random((3, 2, 7, 7), np.float32))
    attention /= attention.sum(-1, keepdims=True)
    found = rollout(attention)
    assert found.shape == (3, 7, 7)
    assert found.dtype == np.dtype(np.float32)
    expected = np.eye(7)
    for layer in range(3):
        mean = (attention[layer, 0] + attention[layer, 1]) / 2
        expected = (0.5 * mean + 0.5 * np.eye(7)) @ expected
        np.testing.assert_allclose(found[layer], expected, rtol=1e-5)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    assert not np.triu(found, 1).any()


def test_import_brings_no_torch() -> None:
    code = "import sys, tinygpt.analysis.attention_maps; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "False\n"
