"""The process that holds the models: reads requests on stdin, answers on stdout.

    python -m tinygpt_tui.engine.worker

It ends when its stdin does, so that it never outlives the interface.
"""

from __future__ import annotations

import os
import queue
import random
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch

from tinygpt.checkpoint import Checkpoint, load
from tinygpt.config import build
from tinygpt.data.corpus import find_corpus
from tinygpt.device import choose_device
from tinygpt.errors import TinyGPTError
from tinygpt.generation.decoding import TokenEvent, stream
from tinygpt.generation.params import SamplingParams
from tinygpt.run import checkpoint_dir, list_steps, parse_step
from tinygpt_tui.engine import protocol
from tinygpt_tui.engine.inspect_jobs import Found, SurveyJob, look
from tinygpt_tui.engine.protocol import (
    SHOWN,
    CorpusLine,
    CorpusLineRequest,
    Ended,
    Failed,
    GenerateRequest,
    InspectRequest,
    Opened,
    Over,
    Reply,
    Request,
    StopRequest,
    SurveyRequest,
    Token,
    Tokens,
)

FLUSH = 0.04
"""Seconds of tokens that go in one message: as often as a screen is drawn."""
AT_ONCE = 4
"""Jobs that take turns; the others wait."""
KEPT = 4
"""Checkpoints that stay loaded beside those in use."""
_NICENESS = 5
"""Between the interface and the training."""


class Job:
    """One continuation on its way."""

    def __init__(self, number: int, checkpoint: Checkpoint, events: Iterator[TokenEvent]) -> None:
        self.number, self.checkpoint, self.events = number, checkpoint, events
        self.stopped = False
        self.waiting: list[Token] = []
        self.seconds = 0.0
        self.last = ""


class Worker:
    """Takes turns among the jobs: a token, a text or a window each.

    What its threads found comes back by `back`, to be taken like a request.
    """

    def __init__(
        self, out: IO[bytes], back: Callable[[Found], None], *, device: str = "cpu"
    ) -> None:
        self._out, self._back, self._device = out, back, device
        self._jobs: deque[Job] = deque()
        self._later: deque[GenerateRequest] = deque()
        self._looks: deque[InspectRequest] = deque()
        self._sought: dict[int, SurveyRequest] = {}
        self._surveys: deque[SurveyJob] = deque()
        self._loaded: OrderedDict[Path, Checkpoint] = OrderedDict()
        self._flushed = 0.0
        self._speaking = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return bool(self._jobs or self._later or self._looks or self._surveys)

    def take(self, request: Request | Found) -> None:
        """Do, or note, what was asked."""
        match request:
            case GenerateRequest():
                self._later.append(request)
            case StopRequest():
                self._stop(request.job)
            case CorpusLineRequest():  # may wait for a download
                threading.Thread(target=self._pick, args=(request,), daemon=True).start()
            case InspectRequest():
                self._looks.append(request)
            case SurveyRequest():
                self._sought[request.job] = request
                threading.Thread(target=self._seek, args=(request,), daemon=True).start()
            case Found():
                self._survey(request)

    def turn(self) -> None:
        """One text, one token of every job at hand, one window."""
        if self._looks:
            self._look(self._looks.popleft())
        while self._later and len(self._jobs) < AT_ONCE:
            self._begin(self._later.popleft())
        for job in list(self._jobs):
            self._advance(job)
        if self._surveys:
            self._step(self._surveys[0])
        if time.monotonic() - self._flushed >= FLUSH:
            self._flush()

    def _begin(self, asked: GenerateRequest) -> None:
        try:
            path = _step_directory(Path(asked.path))
            checkpoint = self._checkpoint(path)
            config = checkpoint.model.config
            params = SamplingParams(**{**asked.params, "stop": tuple(asked.params.get("stop", ()))})
            model, tokenizer = checkpoint.model, checkpoint.tokenizer
            events = stream(model, tokenizer, asked.prompt, params, asked.made)
        except (TinyGPTError, TypeError, RuntimeError) as error:
            self._fail(asked.job, error)
            return
        experts = config.moe.experts if config.moe else 0
        self._jobs.append(Job(asked.job, checkpoint, events))
        self._say(
            Opened(
                asked.job,
                str(checkpoint.path),
                checkpoint.variant,
                checkpoint.step,
                checkpoint.val_loss,
                config.layers,
                experts,
            )
        )

    def _advance(self, job: Job) -> None:
        began = time.perf_counter()
        try:
            event = None if job.stopped else next(job.events, None)
        except (TinyGPTError, RuntimeError) as error:  # out of memory, a device that is gone
            self._jobs.remove(job)
            self._fail(job.number, error)
            return
        job.seconds += time.perf_counter() - began
        if event is None:
            self._end(job)
            return
        job.waiting.append(told(event, job.checkpoint))

    def _end(self, job: Job) -> None:
        self._jobs.remove(job)
        self._flush_job(job)
        why: Over = "stopped" if job.stopped else "length"
        self._say(Ended(job.number, why, job.seconds))

    def _stop(self, number: int) -> None:
        for job in self._jobs:
            job.stopped = job.stopped or job.number == number
        lines: tuple[deque[Any], ...] = (self._later, self._looks, self._surveys)
        waiting = [(line, each) for line in lines for each in line if each.job == number]
        for line, each in waiting:
            line.remove(each)
        if waiting or self._sought.pop(number, None) is not None:
            self._say(Ended(number, "stopped", 0.0))

    def _look(self, asked: InspectRequest) -> None:
        try:
            looked = look(asked, self._checkpoint(_step_directory(Path(asked.path))))
        except (TinyGPTError, RuntimeError) as error:
            self._fail(asked.job, error)
            return
        self._say(looked)

    def _seek(self, asked: SurveyRequest) -> None:
        try:
            self._back(Found(asked, find_corpus(asked.data)))
        except TinyGPTError as error:
            self._back(Found(asked, error))

    def _survey(self, found: Found) -> None:
        asked = self._sought.pop(found.asked.job, None)
        if asked is None:  # stopped meanwhile
            return
        try:
            if isinstance(found.corpus, TinyGPTError):
                raise found.corpus
            checkpoint = self._checkpoint(_step_directory(Path(asked.path)))
            final = self._checkpoint(_step_directory(Path(asked.final))) if asked.final else None
            self._surveys.append(SurveyJob(asked, checkpoint, found.corpus, final))
        except (TinyGPTError, RuntimeError) as error:
            self._fail(asked.job, error)

    def _step(self, survey: SurveyJob) -> None:
        try:
            if survey.step():
                return
            told = survey.told()
        except (TinyGPTError, RuntimeError) as error:
            self._surveys.remove(survey)
            self._fail(survey.job, error)
            return
        self._surveys.remove(survey)
        self._say(told)

    def _pick(self, asked: CorpusLineRequest) -> None:
        try:
            lines = [line for line in find_corpus(asked.data).text.splitlines() if line.strip()]
        except TinyGPTError as error:
            self._fail(asked.job, error)
            return
        self._say(CorpusLine(asked.job, random.choice(lines)))  # noqa: S311 - no secret

    def _checkpoint(self, path: Path) -> Checkpoint:
        found = self._loaded.pop(path, None) or load(path, self._device)
        self._loaded[path] = found
        while len(self._loaded) > KEPT:
            self._loaded.popitem(last=False)
        return found

    def _flush(self) -> None:
        for job in self._jobs:
            self._flush_job(job)
        self._flushed = time.monotonic()

    def _flush_job(self, job: Job) -> None:
        if job.waiting:
            self._say(Tokens(job.number, tuple(job.waiting)))
            job.waiting = []

    def _fail(self, number: int, error: Exception) -> None:
        why = str(error) if isinstance(error, TinyGPTError) else f"{type(error).__name__}: {error}"
        self._say(Failed(number, why))

    def _say(self, reply: Reply) -> None:
        with self._speaking:
            try:
                protocol.send(self._out, reply)
            except (ValueError, OverflowError) as error:  # a number or a character that no JSON has
                why = f"what was found cannot be sent: {error}"
                protocol.send(self._out, Failed(reply.job, why))


def told(event: TokenEvent, checkpoint: Checkpoint) -> Token:
    """An event as it is sent."""
    raw, ids = event.raw.topk(min(SHOWN, len(event.raw)))
    removed, filtered = event.removed, event.filtered[ids]
    shown = ids.tolist()
    return Token(
        event.id,
        event.text,
        event.rank,
        event.surprisal,
        event.entropy,
        event.experts,
        tuple(shown),
        tuple(checkpoint.tokenizer.decode([token]) for token in shown),
        tuple(raw.tolist()),
        tuple(filtered.tolist()),
        tuple(removed.get(token, "") for token in shown),
    )


def _step_directory(path: Path) -> Path:
    """The step directory meant: itself, or a variant's newest."""
    if parse_step(path.name) is None and (steps := list_steps(path.parent, path.name)):
        return checkpoint_dir(path.parent, path.name, steps[-1])
    return path


def _listen(pipe: IO[bytes], asked: queue.SimpleQueue[Request | Found | None]) -> None:
    with suppress(OSError, ValueError):
        while (request := protocol.next_request(pipe)) is not None:
            asked.put(request)
    asked.put(None)


def serve(source: IO[bytes], out: IO[bytes], device: str) -> None:
    """Answer until the source ends."""
    asked: queue.SimpleQueue[Request | Found | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, asked), daemon=True).start()
    worker = Worker(out, asked.put, device=device)
    while True:
        try:
            request = asked.get(block=not worker.busy)
        except queue.Empty:
            worker.turn()
            continue
        if request is None:
            return
        worker.take(request)


def main() -> None:
    """Set up the pipes, and answer."""
    out: Any = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints goes to stderr
    with suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    torch.set_num_threads(1)  # a token's products are small: a second thread waits for the first
    with suppress(BrokenPipeError, KeyboardInterrupt):
        serve(sys.stdin.buffer, out, choose_device(build({})))


if __name__ == "__main__":
    main()
