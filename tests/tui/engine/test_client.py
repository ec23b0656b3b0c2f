"""The client: one process for all requests, restarted after it died."""

import os
import signal
from pathlib import Path

from tests.helpers.engines import EngineProbe, tokens
from tests.helpers.waiting import PATIENCE, until
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.protocol import (
    Failed,
    GenerateRequest,
    InspectRequest,
    InspectResult,
    Opened,
)


def test_a_process_that_dies_fails_its_jobs_and_is_restarted(run: Path) -> None:
    probe = EngineProbe()
    looking = probe.engine.new_job()
    probe.ask(InspectRequest(looking, str(run / "dense"), "abc"))
    assert isinstance(probe.until_over(looking)[looking][-1], InspectResult)
    job = probe.engine.new_job()
    probe.ask(GenerateRequest(job, str(run / "dense"), "a", {"max_new_tokens": 100_000}))
    assert isinstance(probe.replies.get(timeout=PATIENCE), Opened)
    pid = probe.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failed = probe.until_over(job)[job][-1]
    assert isinstance(failed, Failed)
    assert "the engine ended" in failed.why
    again = probe.engine.new_job()
    probe.ask(GenerateRequest(again, str(run / "dense"), "a", {"max_new_tokens": 2}))
    assert len(tokens(probe.until_over(again)[again])) == 2
    second = probe.engine.pid
    assert second not in (None, pid)
    probe.engine.close()
    until(lambda: probe.engine.pid is None)
    assert probe.replies.empty()  # what was answered fails no more


def test_the_process_is_told_which_training_keeps_its_gpus(run: Path) -> None:
    probe = EngineProbe()
    probe.engine = Engine(lambda: 4711)
    job = probe.engine.new_job()
    probe.ask(GenerateRequest(job, str(run / "dense"), "a", {"max_new_tokens": 2}))
    assert len(tokens(probe.until_over(job)[job])) == 2
    assert probe.engine._process
    words = probe.engine._process.args
    probe.engine.close()
    assert isinstance(words, list)
    assert words[-2:] == ["tinygpt_tui.engine.worker", "4711"]
