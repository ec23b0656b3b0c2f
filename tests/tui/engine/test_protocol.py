"""Messages over a pipe: framed, with arrays as they were."""

import io

import numpy as np
import pytest

from tests.helpers.looks import inspect_result
from tests.helpers.routed import survey_reply
from tinygpt_tui.engine.protocol import (
    GenerateRequest,
    InspectResult,
    SurveyResult,
    next_reply,
    next_request,
    send,
)


def test_arrays_keep_type_shape_and_every_bit() -> None:
    pipe = io.BytesIO()
    sent = inspect_result(3, "run/dense/step-00000700", "abc def")
    sent.attention[0, 0, 0, 0] = np.nan
    send(pipe, sent)
    send(pipe, survey_reply(5))
    pipe.seek(0)
    found, survey = next_reply(pipe), next_reply(pipe)
    assert isinstance(found, InspectResult)
    assert found.attention.shape == (3, 2, 7, 7)
    assert found.attention.tobytes() == sent.attention.tobytes()
    assert found.router is None
    assert found.statistics.keys() == sent.statistics.keys()
    assert isinstance(survey, SurveyResult)
    assert survey.expert_counts is not None
    assert survey.expert_counts.dtype == np.int64
    np.testing.assert_array_equal(survey.expert_counts, survey_reply(5).expert_counts)
    assert survey.examples == survey_reply(5).examples
    assert next_reply(pipe) is None


@pytest.mark.parametrize("missing", [1, 5, 30])
def test_a_message_cut_short_is_the_end_of_the_pipe(missing: int) -> None:
    whole = io.BytesIO()
    send(whole, GenerateRequest(1, "run/dense", "abc", {"seed": 5}, (1, 2)))
    cut = io.BytesIO(whole.getvalue()[:-missing])
    assert next_request(cut) is None
    whole.seek(0)
    assert next_request(whole) == GenerateRequest(1, "run/dense", "abc", {"seed": 5}, (1, 2))
