"""The worker: a real process that holds the models, asked over its pipe."""

import io
import queue
from pathlib import Path

import numpy as np
import pytest
import torch

import tinygpt
from tests.helpers.checkpoints import TOKENIZER, snapshot
from tests.helpers.engines import EngineProbe, tokens
from tests.helpers.waiting import PATIENCE
from tinygpt import SamplingParams, checkpoint
from tinygpt.analysis import heads
from tinygpt.analysis.ablation import ablate
from tinygpt.analysis.survey import survey_tokens
from tinygpt.config import Shares
from tinygpt.data.excerpts import TextSource
from tinygpt.data.splits import split
from tinygpt_tui.engine import worker
from tinygpt_tui.engine.inspect_jobs import CorpusFound
from tinygpt_tui.engine.protocol import (
    AblationRequest,
    AblationResult,
    CorpusLine,
    CorpusLineRequest,
    Ended,
    Failed,
    GenerateRequest,
    InspectRequest,
    InspectResult,
    Opened,
    StopRequest,
    SurveyRequest,
    SurveyResult,
    Tokens,
    next_reply,
)
from tinygpt_tui.engine.worker import Worker


def test_both_models_at_once_generate_what_the_library_generates(
    probe: EngineProbe, run: Path
) -> None:
    params = SamplingParams(seed=5, max_new_tokens=31, top_k=6)
    said = {"seed": 5, "max_new_tokens": 31, "top_k": 6, "stop": ()}
    jobs = {probe.engine.new_job(): variant for variant in ("dense", "moe")}
    for job, variant in jobs.items():
        probe.ask(GenerateRequest(job, str(run / variant), "abc", said))
    replies = probe.until_over(*jobs)
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


def test_a_job_is_stopped_at_any_token_and_continued(probe: EngineProbe, run: Path) -> None:
    said = {"seed": 5, "max_new_tokens": 100_000}
    job, waiting = probe.engine.new_job(), [probe.engine.new_job() for _ in range(5)]
    for number in (job, *waiting):
        probe.ask(GenerateRequest(number, str(run / "dense"), "abc", said))
    first: list[int] = []
    while len(first) < 20:
        reply = probe.replies.get(timeout=PATIENCE)
        assert isinstance(reply, Opened | Tokens)
        first += [t.id for t in tokens([reply]) if reply.job == job]
    for number in (*waiting, job):
        probe.ask(StopRequest(number))
    replies = probe.until_over(job, *waiting)
    for number in (*waiting, job):
        ended = replies[number][-1]
        assert isinstance(ended, Ended)
        assert ended.why == "stopped"
    first += [token.id for token in tokens(replies[job])]
    again = probe.engine.new_job()
    more = {"seed": 5, "max_new_tokens": 11}
    probe.ask(GenerateRequest(again, str(run / "dense"), "abc", more, tuple(first[:7])))
    made = [token.id for token in tokens(probe.until_over(again)[again])]
    assert len(made) == 11
    assert made == first[7:18]


@pytest.mark.parametrize(
    ("path", "prompt", "said"),
    [("nowhere", "abc", "does not exist"), ("dense", "aXc", "'X'"), ("moe/step-00000003", "a", "")],
)
def test_a_generation_that_fails_is_a_sentence(
    probe: EngineProbe, run: Path, path: str, prompt: str, said: str
) -> None:
    job = probe.engine.new_job()
    probe.ask(GenerateRequest(job, str(run / path), prompt, {}))
    (failed,) = probe.until_over(job)[job]
    assert isinstance(failed, Failed)
    assert said in failed.why
    assert failed.unusable == ("" if path == "dense" else str(run / path))


def test_a_line_of_the_corpus(probe: EngineProbe, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("one\n\ntwo\n")
    job = probe.engine.new_job()
    probe.ask(CorpusLineRequest(job, TextSource(str(text))))
    (line,) = probe.until_over(job)[job]
    assert isinstance(line, CorpusLine)
    assert line.text in {"one", "two"}
    (tmp_path / "blank.txt").write_text("\n\n")
    for name in ("none.txt", "blank.txt"):
        probe.ask(CorpusLineRequest(job, TextSource(str(tmp_path / name))))
        assert isinstance(probe.until_over(job)[job][0], Failed)
    text.write_text("no" * 900 + "\nthe words after it\n" + "x" * 181)
    probe.ask(CorpusLineRequest(job, TextSource(str(text)), "opening"))
    assert probe.until_over(job)[job] == [CorpusLine(job, "the words after it")]
    probe.ask(CorpusLineRequest(job, TextSource(str(text)), "line"))
    assert probe.until_over(job)[job] == [CorpusLine(job, "x" * 181)]


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
def test_an_inspection_is_that_of_the_library(
    probe: EngineProbe, run: Path, variant: str, case: tuple[str, int | None, int]
) -> None:
    text, wanted, start = case
    job = probe.engine.new_job()
    probe.ask(InspectRequest(job, str(run / variant), text, wanted))
    (inspected,) = probe.until_over(job)[job]
    assert isinstance(inspected, InspectResult)
    found = tinygpt.load(run / variant)
    assert (inspected.path, inspected.variant, inspected.step) == (str(found.path), variant, 7)
    assert (inspected.val_loss, inspected.context) == (1.3, 11)
    window = text[start : start + 11]
    assert (inspected.total, inspected.start, "".join(inspected.texts)) == (
        len(text),
        start,
        window,
    )
    ids, tokens = found.tokenizer.encode(window), len(window)
    expected = tinygpt.inspect_tokens(found.model, ids)
    # Written over to another process and back, bit for bit: the same torch on one thread.
    assert inspected.attention.shape == (3, 2, tokens, tokens)
    np.testing.assert_array_equal(inspected.attention, expected.attention)
    assert inspected.statistics.keys() == set(heads.STATISTICS)
    for name, values in heads.statistics(expected.attention).items():
        np.testing.assert_array_equal(inspected.statistics[name], values)
    assert "-0." not in str(inspected.statistics["entropy"])
    if variant == "dense":
        assert (inspected.router, inspected.choice) == (None, None)
        return
    assert inspected.router is not None
    assert inspected.choice is not None
    assert inspected.router.shape == (3, tokens, 4)
    np.testing.assert_array_equal(inspected.router, expected.router)
    np.testing.assert_array_equal(inspected.choice, expected.expert)


VALIDATION = "abc defghi\njk aabbcc" * 7
TEXT = "abcdefgh" + "k" * (9 * len(VALIDATION) - 8) + VALIDATION


@pytest.mark.parametrize("variant", ["dense", "moe"])
def test_ablations_are_of_a_sample_of_the_validation_split(
    probe: EngineProbe, run: Path, tmp_path: Path, variant: str
) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    job = probe.engine.new_job()
    probe.ask(AblationRequest(job, str(run / variant), TextSource(str(tmp_path / "text.txt"))))
    (found,) = probe.until_over(job)[job]
    assert isinstance(found, AblationResult)
    loaded = tinygpt.load(run / variant)
    ids = torch.tensor(loaded.tokenizer.encode(VALIDATION))
    size = loaded.model.config.context + 1
    count = len(ids) // size
    starts = [round(i * (len(ids) - size) / (count - 1)) for i in range(count)]
    expected = ablate(loaded.model, torch.stack([ids[s : s + size] for s in starts]))
    assert (found.path, found.step, found.tokens) == (str(loaded.path), 7, count * (size - 1))
    assert found.loss == pytest.approx(expected.loss)
    np.testing.assert_allclose(found.heads, expected.heads - expected.loss, atol=1e-6)
    assert (found.experts is None) == (variant == "dense")
    if found.experts is not None and expected.experts is not None:
        np.testing.assert_allclose(found.experts, expected.experts - expected.loss, atol=1e-6)


def test_a_text_of_one_token_has_no_loss(probe: EngineProbe, run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a")
    job = probe.engine.new_job()
    probe.ask(AblationRequest(job, str(run / "moe"), TextSource(str(tmp_path / "text.txt"))))
    (failed,) = probe.until_over(job)[job]
    assert isinstance(failed, Failed)
    assert "too short" in failed.why


def test_a_survey_leaves_the_test_split_alone(
    probe: EngineProbe, run: Path, tmp_path: Path
) -> None:
    whole = "k" * 7 * len(VALIDATION) + VALIDATION + "a" * 2 * len(VALIDATION)
    (tmp_path / "text.txt").write_text(whole)
    job, kept = probe.engine.new_job(), Shares(test=0.2)
    request = SurveyRequest(job, str(run / "moe"), TextSource(str(tmp_path / "text.txt"), kept))
    probe.ask(request)
    (surveyed,) = probe.until_over(job)[job]
    assert isinstance(surveyed, SurveyResult)
    found = tinygpt.load(run / "moe")
    expected = survey_tokens(found.model, found.tokenizer.encode(VALIDATION))
    for name, values in expected.statistics.items():
        np.testing.assert_array_equal(surveyed.statistics[name], values)


def test_a_survey_is_of_the_validation_split(probe: EngineProbe, run: Path, tmp_path: Path) -> None:
    assert split(TEXT)[1] == VALIDATION
    (tmp_path / "text.txt").write_text(TEXT)
    checkpoint.save(run, snapshot("moe", 3))
    jobs = {probe.engine.new_job(): variant for variant in ("dense", "moe")}
    final = str(run / "moe" / "step-00000003")
    for job, variant in jobs.items():
        probe.ask(
            SurveyRequest(job, str(run / variant), TextSource(str(tmp_path / "text.txt")), final)
        )
    replies = probe.until_over(*jobs)
    for job, variant in jobs.items():
        (surveyed,) = replies[job]
        assert isinstance(surveyed, SurveyResult)
        found = tinygpt.load(run / variant)
        ids = found.tokenizer.encode(VALIDATION)
        expected = survey_tokens(found.model, ids, final=tinygpt.load(final).model)
        assert (surveyed.path, surveyed.step) == (str(found.path), 7)
        assert (surveyed.tokens, surveyed.corpus) == (132, "text.txt")
        assert surveyed.uniform_baseline == expected.uniform_baseline
        assert "".join(surveyed.vocabulary) == "\n abcdefghijk"
        assert surveyed.statistics.keys() == {*heads.STATISTICS, *heads.REPEATED}
        for name, values in expected.statistics.items():
            np.testing.assert_array_equal(surveyed.statistics[name], values)
        if variant == "dense":
            assert expected.routing is None
            assert (surveyed.expert_counts, surveyed.top1_probability) == (None, ())
            assert (surveyed.agreement, surveyed.examples) == ((), {})
            continue
        routing = expected.routing
        assert routing is not None
        assert routing.agreement is not None
        assert surveyed.expert_counts is not None
        assert surveyed.expert_counts.shape == (3, 4, 13)
        np.testing.assert_array_equal(surveyed.expert_counts, routing.expert_counts)
        assert (surveyed.top1_probability, surveyed.agreement) == (
            tuple(routing.top1_probability),
            tuple(routing.agreement),
        )
        assert surveyed.examples.keys() == routing.examples.keys()
        for (layer, expert, token), places in routing.examples.items():
            examples = surveyed.examples[layer, expert, token]
            for place, example in zip(places, examples, strict=True):
                assert example.token == VALIDATION[place] == surveyed.vocabulary[token]
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
def test_an_inspection_that_fails_is_a_sentence(
    probe: EngineProbe, run: Path, path: str, text: str, said: str
) -> None:
    job = probe.engine.new_job()
    probe.ask(InspectRequest(job, str(run / path), text))
    (failed,) = probe.until_over(job)[job]
    assert isinstance(failed, Failed)
    assert said in failed.why
    assert failed.unusable == ("" if path == "dense" else str(run / path))


@pytest.mark.parametrize(
    ("models", "text", "said"),
    [
        (("nowhere", ""), TEXT, "does not exist"),
        (("moe", ""), TEXT[:-1] + "X", "the model was not trained on text.txt: the model does not"),
        (("moe", "nowhere"), TEXT, "does not exist"),
        (("moe", "dense"), TEXT, "cannot be compared"),
        (("moe", ""), None, "text.txt does not exist"),
    ],
)
def test_a_survey_that_fails_is_a_sentence(
    probe: EngineProbe, run: Path, models: tuple[str, str], text: str | None, said: str
) -> None:
    path, final = models
    if text is not None:
        (run / "text.txt").write_text(text)
    job = probe.engine.new_job()
    other = str(run / final) if final else ""
    probe.ask(SurveyRequest(job, str(run / path), TextSource(str(run / "text.txt")), other))
    (failed,) = probe.until_over(job)[job]
    assert isinstance(failed, Failed)
    assert said in failed.why
    assert failed.unusable == (str(run / "nowhere") if "nowhere" in models else "")


def test_an_inspection_runs_between_the_tokens_of_others(probe: EngineProbe, run: Path) -> None:
    (run / "text.txt").write_text(TEXT)
    writing, surveying, looking = (probe.engine.new_job() for _ in range(3))
    probe.ask(GenerateRequest(writing, str(run / "dense"), "abc", {"max_new_tokens": 100_000}))
    probe.ask(SurveyRequest(surveying, str(run / "moe"), TextSource(str(run / "text.txt"))))
    probe.ask(InspectRequest(looking, str(run / "moe"), "abc"))
    replies = probe.until_over(surveying, looking)
    assert isinstance(replies[looking][-1], InspectResult)
    assert isinstance(replies[surveying][-1], SurveyResult)
    probe.ask(StopRequest(writing))
    ended = probe.until_over(writing)[writing][-1]
    assert isinstance(ended, Ended)
    assert ended.why == "stopped"


def test_out_of_memory_says_what_was_used(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has")

    monkeypatch.setattr(worker, "inspect", full)
    out = io.BytesIO()
    found = Worker(out, lambda _: None)
    found.handle(InspectRequest(1, str(run / "moe"), "abc"))
    found.run_turn()
    out.seek(0)
    failed = next_reply(out)
    assert isinstance(failed, Failed)
    assert failed.why.startswith("out of memory (this process uses ")
    assert failed.why.endswith(" of memory): try a shorter text")


def test_inspections_and_surveys_are_stopped_at_any_stage(run: Path) -> None:
    (run / "text.txt").write_text(TEXT)
    out, back = io.BytesIO(), queue.SimpleQueue[CorpusFound]()
    jobs = Worker(out, back.put)
    jobs.handle(InspectRequest(1, str(run / "moe"), "abc"))
    jobs.handle(StopRequest(1))
    sought, begun, gone = (
        SurveyRequest(job, str(run / "moe"), TextSource(str(run / name)))
        for job, name in ((2, "text.txt"), (3, "text.txt"), (4, "none.txt"))
    )
    for asked in (sought, begun, gone):
        jobs.handle(asked)
    found = {each.request.job: each for each in (back.get(timeout=PATIENCE) for _ in range(3))}
    jobs.handle(StopRequest(2))
    jobs.handle(found[2])
    jobs.handle(found[3])
    assert jobs.busy
    jobs.run_turn()
    jobs.handle(StopRequest(3))
    jobs.handle(StopRequest(4))
    jobs.handle(found[4])
    assert not jobs.busy
    out.seek(0)
    replies = list(iter(lambda: next_reply(out), None))
    assert replies == [Ended(job, "stopped", 0.0) for job in (1, 2, 3, 4)]
