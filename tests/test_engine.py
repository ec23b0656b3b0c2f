"""The engine: a real process that holds the models, asked over its pipe."""

import os
import queue
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinygpt
from tests.test_checkpoint import TOKENIZER, snapshot
from tests.waiting import PATIENCE, until
from tinygpt import SamplingParams, checkpoint
from tinygpt.tokenizer import save_tokenizer
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.protocol import (
    Ended,
    Failed,
    Line,
    Opened,
    Pick,
    Reply,
    Request,
    Stop,
    Token,
    Tokens,
    Write,
)


class Heard:
    """An engine, and what it said."""

    def __init__(self) -> None:
        self.replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.engine = Engine()

    def ask(self, request: Request) -> None:
        self.engine.ask(request, self.replies.put)

    def until_over(self, *jobs: int) -> dict[int, list[Reply]]:
        """All replies until these jobs are over."""
        found: dict[int, list[Reply]] = {job: [] for job in jobs}
        left = set(jobs)
        while left:
            reply = self.replies.get(timeout=PATIENCE)
            found.setdefault(reply.job, []).append(reply)
            if isinstance(reply, Ended | Failed | Line):
                left.discard(reply.job)
        return found


def tokens(replies: list[Reply]) -> list[Token]:
    return [token for reply in replies if isinstance(reply, Tokens) for token in reply.tokens]


@pytest.fixture(scope="module")
def heard() -> Iterator[Heard]:
    found = Heard()
    yield found
    found.engine.close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for variant, step in (("dense", 3), ("dense", 7), ("moe", 7)):
        checkpoint.save(tmp_path, snapshot(variant, step))
    save_tokenizer(TOKENIZER, tmp_path / "tokenizer.json")
    return tmp_path


def test_both_models_at_once_write_what_generate_writes(heard: Heard, run: Path) -> None:
    params = SamplingParams(seed=5, max_new_tokens=31, top_k=6)
    said = {"seed": 5, "max_new_tokens": 31, "top_k": 6, "stop": ()}
    jobs = {heard.engine.number(): variant for variant in ("dense", "moe")}
    for job, variant in jobs.items():
        heard.ask(Write(job, str(run / variant), "abc", said))
    replies = heard.until_over(*jobs)
    for job, variant in jobs.items():
        opened, *_, ended = replies[job]
        found = tinygpt.load(run / variant)
        assert isinstance(opened, Opened)
        assert (opened.variant, opened.step, opened.layers) == (
            variant,
            7,
            found.model.config.layers,
        )
        assert opened.experts == (4 if variant == "moe" else 0)
        assert isinstance(ended, Ended)
        assert ended.why == "length"
        made = tokens(replies[job])
        expected = list(tinygpt.stream(found.model, found.tokenizer, "abc", params))
        assert [token.id for token in made] == [event.id for event in expected]
        for token, event in zip(made, expected, strict=True):
            assert token.readers == event.experts
            assert sorted(token.ids) == list(range(TOKENIZER.vocab_size))
            assert token.raw == pytest.approx([float(event.raw[i]) for i in token.ids], abs=1e-6)
            assert (token.filtered[token.ids.index(token.id)] > 0, token.rank) == (True, event.rank)
            assert {i for i, why in zip(token.ids, token.removed, strict=True) if why} == {
                *event.removed
            }


def test_a_job_is_stopped_at_any_token_and_gone_on_with(heard: Heard, run: Path) -> None:
    said = {"seed": 5, "max_new_tokens": 100_000}
    job, waiting = heard.engine.number(), [heard.engine.number() for _ in range(5)]
    for number in (job, *waiting):
        heard.ask(Write(number, str(run / "dense"), "abc", said))
    first: list[int] = []
    while len(first) < 20:
        reply = heard.replies.get(timeout=PATIENCE)
        assert isinstance(reply, Opened | Tokens)
        first += [t.id for t in tokens([reply]) if reply.job == job]
    for number in (*waiting, job):
        heard.ask(Stop(number))
    replies = heard.until_over(job, *waiting)
    for number in (*waiting, job):
        ended = replies[number][-1]
        assert isinstance(ended, Ended)
        assert ended.why == "stopped"
    first += [token.id for token in tokens(replies[job])]
    again = heard.engine.number()
    more = {"seed": 5, "max_new_tokens": 11}
    heard.ask(Write(again, str(run / "dense"), "abc", more, tuple(first[:7])))
    made = [token.id for token in tokens(heard.until_over(again)[again])]
    assert len(made) == 11
    assert made == first[7:18]


@pytest.mark.parametrize(
    ("path", "prompt", "said"),
    [("nowhere", "abc", "does not exist"), ("dense", "aXc", "'X'"), ("moe/step-00000003", "a", "")],
)
def test_what_cannot_be_done_is_a_sentence(
    heard: Heard, run: Path, path: str, prompt: str, said: str
) -> None:
    job = heard.engine.number()
    heard.ask(Write(job, str(run / path), prompt, {}))
    (failed,) = heard.until_over(job)[job]
    assert isinstance(failed, Failed)
    assert said in failed.why


def test_a_line_of_the_corpus(heard: Heard, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one\n\ntwo\n")
    job = heard.engine.number()
    heard.ask(Pick(job, str(text)))
    (line,) = heard.until_over(job)[job]
    assert isinstance(line, Line)
    assert line.text in {"one", "two"}
    heard.ask(Pick(job, str(tmp_path / "none.txt")))
    assert isinstance(heard.until_over(job)[job][0], Failed)


def test_an_engine_that_dies_fails_its_jobs_and_is_started_anew(run: Path) -> None:
    heard = Heard()
    job = heard.engine.number()
    heard.ask(Write(job, str(run / "dense"), "a", {"max_new_tokens": 100_000}))
    assert isinstance(heard.replies.get(timeout=PATIENCE), Opened)
    pid = heard.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failed = heard.until_over(job)[job][-1]
    assert isinstance(failed, Failed)
    assert "the engine ended" in failed.why
    again = heard.engine.number()
    heard.ask(Write(again, str(run / "dense"), "a", {"max_new_tokens": 2}))
    assert len(tokens(heard.until_over(again)[again])) == 2
    second = heard.engine.pid
    assert second not in (None, pid)
    heard.engine.close()
    until(lambda: heard.engine.pid is None)
