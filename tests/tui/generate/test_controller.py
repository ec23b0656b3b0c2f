"""The Generate tab's controller, with replies of an engine that is not there."""

from pathlib import Path

from tests.helpers.generated import token
from tinygpt_tui.engine.protocol import (
    Ended,
    GenerateRequest,
    Opened,
    Reply,
    Request,
    StopRequest,
    Tokens,
)
from tinygpt_tui.generate.controller import GenerateController


def test_a_burst_is_swept_and_a_text_of_another_run_says_so(tmp_path: Path) -> None:
    asked: list[Request] = []
    controller = GenerateController(asked.append, lambda: len(asked) + 1)
    one, two = tmp_path / "one", tmp_path / "two"
    controller.open(one)
    controller.kept = {"dense": [7]}
    for _ in range(3):
        controller.write("ab", seed=5)
    writes = [request for request in asked if isinstance(request, GenerateRequest)]
    jobs = [write.job for write in writes[:2]]
    assert {request.job for request in asked if isinstance(request, StopRequest)} == {*jobs}
    replies: list[Reply] = [Ended(job, "stopped", 0.0) for job in jobs]
    last = writes[-1]
    replies += [Opened(last.job, last.path, "dense", 7, 1.5, 2, 0)]
    replies += [Tokens(last.job, (token("a"),)), Ended(last.job, "stopped", 1.0)]
    assert all(controller.take(reply) for reply in replies)
    controller.sweep()
    assert list(controller.tree.texts) == [3]
    (side,) = controller.sides
    assert side.note == ""
    controller.open(two)
    assert side.note == "written by the run one"
    controller.open(one)
    controller.kept = {"dense": [7, 11]}
    controller.look_for_newer()
    assert side.note == "step 11 is there: a writes this with it"
