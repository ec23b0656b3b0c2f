"""Replies of the engine as the tabs show them."""

from dataclasses import replace

import numpy as np

from tests.helpers import routed
from tests.helpers.looks import HEADS, LAYERS, inspect_result, inspected
from tinygpt_tui.engine import results


def test_rollout_is_the_product_of_layers() -> None:
    shown = inspected(7)
    expected = np.eye(7)
    for layer in shown.attention:
        expected = (layer.mean(0) + np.eye(7)) / 2 @ expected
    np.testing.assert_allclose(shown.matrix(2, 0, "rollout"), expected, rtol=1e-5)
    np.testing.assert_allclose(shown.matrix(1, 0, "mean"), shown.attention[1].mean(0))


def test_a_dense_reply_has_no_routing() -> None:
    reply = inspect_result(1, "run/dense/step-00000700", "abc")
    assert results.routed_text(reply) is None
    assert results.inspected_text(reply).matrix(1, 1, "head").shape == (3, 3)
    found = results.routed_text(routed.inspect_reply(1))
    assert found is not None
    assert (found.layers, found.experts) == (routed.LAYERS, routed.EXPERTS)


def test_a_survey_adds_statistics_to_a_text_of_the_same_checkpoint() -> None:
    text = inspected(5)
    table = np.full((LAYERS, HEADS), 0.5, np.float32)
    survey = routed.survey_reply()
    assert results.all_statistics(text, None) is text.statistics
    assert results.all_statistics(text, survey) is text.statistics, "of another checkpoint"
    survey.statistics.update(induction=table, entropy=table)
    found = results.all_statistics(replace(text, path=survey.path), survey)
    assert found["induction"] is table
    assert found["entropy"] is text.statistics["entropy"]
