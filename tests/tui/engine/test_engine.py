"""The engine: a real process that holds the models, asked over its pipe."""

import io
import os
import queue
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

import tinygpt
from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.waiting import PATIENCE, until
from tinygpt import SamplingParams, checkpoint
from tinygpt.analysis import heads
from tinygpt.analysis.inspection import surprisal
from tinygpt.analysis.survey import survey_tokens
from tinygpt.data.corpus import split
from tinygpt.data.tokenizer import save_tokenizer
from tinygpt_tui.engine.client import Engine
from tinygpt_tui.engine.inspect_jobs import Found
from tinygpt_tui.engine.protocol import (
    CorpusLine,
    CorpusLineRequest,
    Ended,
    Failed,
    GenerateRequest,
    InspectRequest,
    InspectResult,
    Opened,
    Reply,
    Request,
    StopRequest,
    SurveyRequest,
    SurveyResult,
    Token,
    Tokens,
    next_reply,
)
from tinygpt_tui.engine.worker import Worker


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
            if isinstance(reply, Ended | Failed | CorpusLine | InspectResult | SurveyResult):
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
        heard.ask(GenerateRequest(job, str(run / variant), "abc", said))
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
            assert token.experts == event.experts
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
        heard.ask(GenerateRequest(number, str(run / "dense"), "abc", said))
    first: list[int] = []
    while len(first) < 20:
        reply = heard.replies.get(timeout=PATIENCE)
        assert isinstance(reply, Opened | Tokens)
        first += [t.id for t in tokens([reply]) if reply.job == job]
    for number in (*waiting, job):
        heard.ask(StopRequest(number))
    replies = heard.until_over(job, *waiting)
    for number in (*waiting, job):
        ended = replies[number][-1]
        assert isinstance(ended, Ended)
        assert ended.why == "stopped"
    first += [token.id for token in tokens(replies[job])]
    again = heard.engine.number()
    more = {"seed": 5, "max_new_tokens": 11}
    heard.ask(GenerateRequest(again, str(run / "dense"), "abc", more, tuple(first[:7])))
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
    heard.ask(GenerateRequest(job, str(run / path), prompt, {}))
    (failed,) = heard.until_over(job)[job]
    assert isinstance(failed, Failed)
    assert said in failed.why


def test_a_line_of_the_corpus(heard: Heard, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one\n\ntwo\n")
    job = heard.engine.number()
    heard.ask(CorpusLineRequest(job, str(text)))
    (line,) = heard.until_over(job)[job]
    assert isinstance(line, CorpusLine)
    assert line.text in {"one", "two"}
    heard.ask(CorpusLineRequest(job, str(tmp_path / "none.txt")))
    assert isinstance(heard.until_over(job)[job][0], Failed)


def array(data: bytes, kind: DTypeLike, *shape: int) -> NDArray[np.generic]:
    return np.frombuffer(data, kind).reshape(shape)


@pytest.mark.parametrize("variant", ["dense", "moe"])
@pytest.mark.parametrize(
    "case",
    [
        ("abc\nk", None, 0),
        ("abcdefghijk\nabcde", None, 6),
        ("abcdefghijk\nabcde", 3, 3),
        ("abcdefghijk\nabcde", 13, 6),
        ("abcdefghijk\nabcde", -1, 0),
        ("a", 5, 0),
    ],
)
def test_a_look_is_an_inspection(
    heard: Heard, run: Path, variant: str, case: tuple[str, int | None, int]
) -> None:
    text, wanted, start = case
    job = heard.engine.number()
    heard.ask(InspectRequest(job, str(run / variant), text, wanted))
    (looked,) = heard.until_over(job)[job]
    assert isinstance(looked, InspectResult)
    found = tinygpt.load(run / variant)
    assert (looked.path, looked.variant, looked.step) == (str(found.path), variant, 7)
    assert (looked.val_loss, looked.context, looked.layers, looked.heads) == (1.5, 11, 3, 2)
    window = text[start : start + 11]
    assert (looked.total, looked.start, "".join(looked.texts)) == (len(text), start, window)
    ids, tokens = found.tokenizer.encode(window), len(window)
    expected = tinygpt.inspect_tokens(found.model, ids)
    # Written over to another process and back, bit for bit: the same torch on one thread.
    attention = array(looked.attention, np.float32, 3, 2, tokens, tokens)
    np.testing.assert_array_equal(attention, expected.attention)
    assert looked.statistics.keys() == set(heads.STATISTICS)
    for name, values in heads.statistics(expected.attention).items():
        np.testing.assert_array_equal(array(looked.statistics[name], np.float32, 3, 2), values)
    losses = surprisal(expected.logits, ids)
    np.testing.assert_array_equal(array(looked.surprisal, np.float32, tokens), losses)
    if variant == "dense":
        assert (looked.experts, looked.router, looked.choice) == (0, b"", b"")
        return
    assert looked.experts == 4
    np.testing.assert_array_equal(array(looked.router, np.float32, 3, tokens, 4), expected.router)
    np.testing.assert_array_equal(array(looked.choice, np.int32, 3, tokens), expected.expert)


VALIDATION = "abc defghi\njk aabbcc" * 7
TEXT = "abcdefgh" + "k" * (9 * len(VALIDATION) - 8) + VALIDATION


def test_a_survey_is_of_the_validation_split(heard: Heard, run: Path, tmp_path: Path) -> None:
    assert split(TEXT)[1] == VALIDATION
    (tmp_path / "text.txt").write_text(TEXT)
    checkpoint.save(run, snapshot("moe", 3))
    jobs = {heard.engine.number(): variant for variant in ("dense", "moe")}
    final = str(run / "moe" / "step-00000003")
    for job, variant in jobs.items():
        heard.ask(SurveyRequest(job, str(run / variant), str(tmp_path / "text.txt"), final))
    replies = heard.until_over(*jobs)
    for job, variant in jobs.items():
        (told,) = replies[job]
        assert isinstance(told, SurveyResult)
        found = tinygpt.load(run / variant)
        ids = found.tokenizer.encode(VALIDATION)
        expected = survey_tokens(found.model, ids, final=tinygpt.load(final).model)
        assert (told.path, told.variant, told.step) == (str(found.path), variant, 7)
        assert (told.tokens, told.corpus, told.layers, told.heads) == (132, "text.txt", 3, 2)
        assert told.uniform_baseline == expected.uniform_baseline
        assert "".join(told.vocabulary) == "\n abcdefghijk"
        assert told.statistics.keys() == {*heads.STATISTICS, *heads.REPEATED}
        for name, values in expected.statistics.items():
            np.testing.assert_array_equal(array(told.statistics[name], np.float32, 3, 2), values)
        if variant == "dense":
            assert expected.routing is None
            assert (told.experts, told.expert_counts, told.pairs, told.top1_probability) == (
                0,
                b"",
                b"",
                (),
            )
            assert (told.agreement, told.examples) == ((), {})
            continue
        routing = expected.routing
        assert routing is not None
        assert routing.agreement is not None
        np.testing.assert_array_equal(
            array(told.expert_counts, np.int64, 3, 4, 13), routing.expert_counts
        )
        np.testing.assert_array_equal(array(told.pairs, np.int64, 2, 4, 4), routing.pairs)
        assert (told.top1_probability, told.agreement) == (
            tuple(routing.top1_probability),
            tuple(routing.agreement),
        )
        assert {tuple(map(int, key.split())) for key in told.examples} == {*routing.examples}
        for (layer, expert, token), places in routing.examples.items():
            examples = told.examples[f"{layer} {expert} {token}"]
            for place, example in zip(places, examples, strict=True):
                assert example.token == VALIDATION[place] == told.vocabulary[token]
                assert example.before == VALIDATION[max(0, place - 12) : place]
                assert example.after == VALIDATION[place + 1 : place + 13]


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("nowhere", "abc", "does not exist"),
        ("dense", "aXc", "'X'"),
        ("dense", "", "nothing to inspect"),
    ],
)
def test_what_cannot_be_looked_at_is_a_sentence(
    heard: Heard, run: Path, path: str, text: str, said: str
) -> None:
    job = heard.engine.number()
    heard.ask(InspectRequest(job, str(run / path), text))
    (failed,) = heard.until_over(job)[job]
    assert isinstance(failed, Failed)
    assert said in failed.why


@pytest.mark.parametrize(
    ("models", "text", "said"),
    [
        (("nowhere", ""), TEXT, "does not exist"),
        (("moe", ""), TEXT[:-1] + "X", "text.txt is not what was trained on: the model does not"),
        (("moe", "nowhere"), TEXT, "does not exist"),
        (("moe", "dense"), TEXT, "cannot be compared"),
        (("moe", ""), None, "text.txt does not exist"),
    ],
)
def test_what_cannot_be_surveyed_is_a_sentence(
    heard: Heard, run: Path, models: tuple[str, str], text: str | None, said: str
) -> None:
    path, final = models
    if text is not None:
        (run / "text.txt").write_text(text)
    job = heard.engine.number()
    other = str(run / final) if final else ""
    heard.ask(SurveyRequest(job, str(run / path), str(run / "text.txt"), other))
    (failed,) = heard.until_over(job)[job]
    assert isinstance(failed, Failed)
    assert said in failed.why


def test_a_look_comes_between_the_tokens_of_others(heard: Heard, run: Path) -> None:
    (run / "text.txt").write_text(TEXT)
    writing, surveying, looking = (heard.engine.number() for _ in range(3))
    heard.ask(GenerateRequest(writing, str(run / "dense"), "abc", {"max_new_tokens": 100_000}))
    heard.ask(SurveyRequest(surveying, str(run / "moe"), str(run / "text.txt")))
    heard.ask(InspectRequest(looking, str(run / "moe"), "abc"))
    replies = heard.until_over(surveying, looking)
    assert isinstance(replies[looking][-1], InspectResult)
    assert isinstance(replies[surveying][-1], SurveyResult)
    heard.ask(StopRequest(writing))
    ended = heard.until_over(writing)[writing][-1]
    assert isinstance(ended, Ended)
    assert ended.why == "stopped"


def test_looks_and_surveys_are_stopped_wherever_they_are(run: Path) -> None:
    (run / "text.txt").write_text(TEXT)
    out, back = io.BytesIO(), queue.SimpleQueue[Found]()
    worker = Worker(out, back.put)
    worker.take(InspectRequest(1, str(run / "moe"), "abc"))
    worker.take(StopRequest(1))
    sought, begun, gone = (
        SurveyRequest(job, str(run / "moe"), str(run / name))
        for job, name in ((2, "text.txt"), (3, "text.txt"), (4, "none.txt"))
    )
    for asked in (sought, begun, gone):
        worker.take(asked)
    found = {each.asked.job: each for each in (back.get(timeout=PATIENCE) for _ in range(3))}
    worker.take(StopRequest(2))
    worker.take(found[2])
    worker.take(found[3])
    assert worker.busy
    worker.turn()
    worker.take(StopRequest(3))
    worker.take(StopRequest(4))
    worker.take(found[4])
    assert not worker.busy
    out.seek(0)
    replies = list(iter(lambda: next_reply(out), None))
    assert replies == [Ended(job, "stopped", 0.0) for job in (1, 2, 3, 4)]


def test_an_engine_that_dies_fails_its_jobs_and_is_started_anew(run: Path) -> None:
    heard = Heard()
    looking = heard.engine.number()
    heard.ask(InspectRequest(looking, str(run / "dense"), "abc"))
    assert isinstance(heard.until_over(looking)[looking][-1], InspectResult)
    job = heard.engine.number()
    heard.ask(GenerateRequest(job, str(run / "dense"), "a", {"max_new_tokens": 100_000}))
    assert isinstance(heard.replies.get(timeout=PATIENCE), Opened)
    pid = heard.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    failed = heard.until_over(job)[job][-1]
    assert isinstance(failed, Failed)
    assert "the engine ended" in failed.why
    again = heard.engine.number()
    heard.ask(GenerateRequest(again, str(run / "dense"), "a", {"max_new_tokens": 2}))
    assert len(tokens(heard.until_over(again)[again])) == 2
    second = heard.engine.pid
    assert second not in (None, pid)
    heard.engine.close()
    until(lambda: heard.engine.pid is None)
    assert heard.replies.empty()  # what was answered fails no more
