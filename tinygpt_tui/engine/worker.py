"""The process that holds the models: reads requests from stdin, writes replies to stdout.

    python -m tinygpt_tui.engine.worker [PID]

It leaves the GPUs of the training process PID to it, if there are others.
It exits when its stdin closes, so it never outlives the app.
"""

from __future__ import annotations

import atexit
import gc
import os
import queue
import random
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

import torch

from tinygpt.checkpoint import Checkpoint, load
from tinygpt.data.excerpts import (
    random_line,
    validation_line,
    validation_opening,
    validation_sample,
)
from tinygpt.data.tokenizer import StreamDecoder
from tinygpt.device import choose_device, is_out_of_memory, memory_in_use
from tinygpt.errors import CheckpointError, TinyGPTError
from tinygpt.generation.decoding import TokenEvent, stream
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.engine import protocol
from tinygpt_tui.engine.inspect_jobs import AblationJob, CorpusFound, SurveyJob, inspect
from tinygpt_tui.engine.protocol import (
    MAX_CANDIDATES,
    AblationRequest,
    CorpusLine,
    CorpusLineRequest,
    Ended,
    EndReason,
    Failed,
    GenerateRequest,
    InspectRequest,
    Opened,
    Reply,
    Request,
    StopRequest,
    SurveyRequest,
    Token,
    Tokens,
)

FLUSH_SECONDS = 0.04
"""Tokens generated within this time are sent in one message: the screen is not drawn more often."""
MAX_ACTIVE_JOBS = 4
"""Jobs that generate in turns; more have to wait."""
MAX_CHECKPOINTS = 4
"""Checkpoints that stay loaded, besides those in use."""
_NICENESS = 5
"""Between the interface (0) and training (10)."""


class UnusableError(CheckpointError):
    """A checkpoint that cannot be loaded, and its directory."""

    def __init__(self, why: str, directory: str) -> None:
        super().__init__(why)
        self.directory = directory


class GenerateJob:
    """A generation in progress."""

    def __init__(self, number: int, checkpoint: Checkpoint, events: Iterator[TokenEvent]) -> None:
        self.number, self.checkpoint, self.events = number, checkpoint, events
        self.stopped = False
        self.at_end = False
        """Whether the last token ends a text."""
        self.unsent: list[Token] = []
        self.seconds = 0.0


class Worker:
    """Runs all jobs in turns: one token, text or window at a time.

    Its threads pass the corpora that they load to `requeue`, to be handled like requests.
    """

    def __init__(
        self, out: IO[bytes], requeue: Callable[[CorpusFound], None], *, device: str = "cpu"
    ) -> None:
        self._out, self._requeue, self._device = out, requeue, device
        self._jobs: deque[GenerateJob] = deque()
        self._waiting: deque[GenerateRequest] = deque()
        self._inspections: deque[InspectRequest] = deque()
        self._awaiting_corpus: dict[int, SurveyRequest | AblationRequest] = {}
        self._surveys: deque[SurveyJob | AblationJob] = deque()
        self._checkpoints: OrderedDict[str, Checkpoint] = OrderedDict()
        self._random = random.Random()  # noqa: S311 - no secret
        self._flushed = 0.0
        self._out_lock = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether there is work for `run_turn`."""
        return bool(self._jobs or self._waiting or self._inspections or self._surveys)

    def handle(self, request: Request | CorpusFound) -> None:
        """Queue a request, or carry it out if it is short."""
        match request:
            case GenerateRequest():
                self._waiting.append(request)
            case StopRequest():
                self._stop(request.job)
            case CorpusLineRequest():  # may wait for a download
                threading.Thread(target=self._corpus_line, args=(request,), daemon=True).start()
            case InspectRequest():
                self._inspections.append(request)
            case SurveyRequest() | AblationRequest():
                self._awaiting_corpus[request.job] = request
                threading.Thread(target=self._find_corpus, args=(request,), daemon=True).start()
            case CorpusFound():
                self._start_survey(request)

    def run_turn(self) -> None:
        """Run one inspection, generate one token of every active job, take one step of a survey."""
        if self._inspections:
            self._inspect(self._inspections.popleft())
        while self._waiting and len(self._jobs) < MAX_ACTIVE_JOBS:
            self._start(self._waiting.popleft())
        for job in list(self._jobs):
            self._advance(job)
        if self._surveys:
            self._advance_survey(self._surveys[0])
            self._surveys.rotate(-1)  # a survey does not wait for all ablations of a large model
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._flush()

    def _start(self, request: GenerateRequest) -> None:
        try:
            checkpoint = self._checkpoint(request.path)
            stop = tuple(request.params.get("stop", ()))
            params = SamplingParams(**{**request.params, "stop": stop})
            model, tokenizer = checkpoint.model, checkpoint.tokenizer
            events = stream(model, tokenizer, request.prompt, params, request.generated)
        except (TinyGPTError, TypeError, RuntimeError) as error:
            self._fail(request.job, error)
            return
        config = model.config
        self._jobs.append(GenerateJob(request.job, checkpoint, events))
        self._send(
            Opened(
                job=request.job,
                path=str(checkpoint.path),
                variant=checkpoint.variant,
                step=checkpoint.step,
                val_loss=checkpoint.val_loss,
                layers=config.layers,
                experts=config.moe.experts if config.moe else 0,
                texts=tuple(map(StreamDecoder(tokenizer).push, request.generated)),
            )
        )

    def _advance(self, job: GenerateJob) -> None:
        began = time.perf_counter()
        try:
            event = None if job.stopped else next(job.events, None)
        except (TinyGPTError, RuntimeError) as error:  # out of memory, or the device is lost
            self._jobs.remove(job)
            self._fail(job.number, error)
            return
        job.seconds += time.perf_counter() - began
        if event is None:
            self._end(job)
            return
        job.at_end = event.id == job.checkpoint.tokenizer.end_of_text
        job.unsent.append(token_of(event, job.checkpoint))

    def _end(self, job: GenerateJob) -> None:
        self._jobs.remove(job)
        self._flush_job(job)
        why: EndReason = "stopped" if job.stopped else "end" if job.at_end else "length"
        self._send(Ended(job.number, why, job.seconds))

    def _stop(self, number: int) -> None:
        for job in self._jobs:
            job.stopped = job.stopped or job.number == number
        queues: tuple[deque[Any], ...] = (self._waiting, self._inspections, self._surveys)
        queued = [(waiting, each) for waiting in queues for each in waiting if each.job == number]
        for waiting, each in queued:
            waiting.remove(each)
        if queued or self._awaiting_corpus.pop(number, None) is not None:
            self._send(Ended(number, "stopped", 0.0))

    def _inspect(self, request: InspectRequest) -> None:
        try:
            result = inspect(request, self._checkpoint(request.path))
        except (TinyGPTError, RuntimeError) as error:
            self._fail(request.job, error)
            return
        self._send(result)

    def _find_corpus(self, request: SurveyRequest | AblationRequest) -> None:
        try:
            found = validation_sample(request.source)
            self._requeue(CorpusFound(request, *found))
        except TinyGPTError as error:
            self._requeue(CorpusFound(request, "", error))

    def _start_survey(self, found: CorpusFound) -> None:
        request = self._awaiting_corpus.pop(found.request.job, None)
        if request is None:  # it was stopped
            return
        try:
            checkpoint = self._checkpoint(request.path)
            if isinstance(request, AblationRequest):
                self._surveys.append(AblationJob(found, checkpoint))
                return
            final = self._checkpoint(request.final) if request.final else None
            self._surveys.append(SurveyJob(found, checkpoint, final))
        except (TinyGPTError, RuntimeError) as error:
            self._fail(request.job, error)

    def _advance_survey(self, survey: SurveyJob | AblationJob) -> None:
        try:
            if survey.step():
                return
            result = survey.result()
        except (TinyGPTError, RuntimeError) as error:
            self._surveys.remove(survey)
            self._fail(survey.job, error)
            return
        self._surveys.remove(survey)
        self._send(result)

    def _corpus_line(self, request: CorpusLineRequest) -> None:
        try:
            match request.which:
                case "opening":
                    text = validation_opening(request.source)
                case "line":
                    text = validation_line(request.source)
                case _:
                    text = random_line(request.source, self._random)
        except TinyGPTError as error:
            self._fail(request.job, error)
            return
        self._send(CorpusLine(request.job, text))

    def _checkpoint(self, directory: str) -> Checkpoint:
        try:
            found = self._checkpoints.pop(directory, None) or load(directory, self._device)
        except CheckpointError as error:
            raise UnusableError(str(error), directory) from error
        self._checkpoints[directory] = found
        while len(self._checkpoints) > MAX_CHECKPOINTS:
            self._checkpoints.popitem(last=False)
        return found

    def _flush(self) -> None:
        for job in self._jobs:
            self._flush_job(job)
        self._flushed = time.monotonic()

    def _flush_job(self, job: GenerateJob) -> None:
        if job.unsent:
            self._send(Tokens(job.number, tuple(job.unsent)))
            job.unsent = []

    def _fail(self, number: int, error: Exception) -> None:
        why = str(error) if isinstance(error, TinyGPTError) else f"{type(error).__name__}: {error}"
        if is_out_of_memory(error):
            why = f"out of memory ({memory_in_use(self._device)}): try a shorter text"
        unusable = error.directory if isinstance(error, UnusableError) else ""
        self._send(Failed(number, why, unusable))

    def _send(self, reply: Reply) -> None:
        with self._out_lock:
            try:
                protocol.send(self._out, reply)
            except (ValueError, OverflowError) as error:  # such as an int beyond 64 bits
                why = f"the result cannot be sent: {error}"
                protocol.send(self._out, Failed(reply.job, why))


def token_of(event: TokenEvent, checkpoint: Checkpoint) -> Token:
    """A generated token as it is sent."""
    raw, ids = event.raw.topk(min(MAX_CANDIDATES, len(event.raw)))
    candidates = ids.tolist()
    return Token(
        id=event.id,
        text=event.text,
        rank=event.rank,
        surprisal=event.surprisal,
        entropy=event.entropy,
        experts=event.experts,
        ids=tuple(candidates),
        texts=tuple(checkpoint.tokenizer.token_text(token) for token in candidates),
        raw=tuple(raw.tolist()),
        filtered=tuple(event.filtered[ids].tolist()),
        removed=tuple(event.removed_by(ids)),
    )


def _read_requests(
    pipe: IO[bytes], requests: queue.SimpleQueue[Request | CorpusFound | None]
) -> None:
    with suppress(OSError, ValueError):
        while (request := protocol.next_request(pipe)) is not None:
            requests.put(request)
    requests.put(None)


def serve(source: IO[bytes], out: IO[bytes], device: str) -> None:
    """Handle requests until the source ends."""
    requests: queue.SimpleQueue[Request | CorpusFound | None] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(source, requests), daemon=True).start()
    worker = Worker(out, requests.put, device=device)
    while True:
        try:
            request = requests.get(block=not worker.busy)
        except queue.Empty:
            worker.run_turn()
            continue
        if request is None:
            return
        worker.handle(request)


def main() -> None:
    """Set up the pipes and serve."""
    out: Any = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # anything printed goes to stderr instead of between the replies
    with suppress(OSError, AttributeError):
        os.nice(_NICENESS)
    atexit.register(gc.freeze)  # or it searches all of torch for cycles when it ends
    torch.set_num_threads(1)  # the matmuls of one token are small: a second thread only waits
    with suppress(BrokenPipeError, KeyboardInterrupt):
        trainers = [int(pid) for pid in sys.argv[1:]]
        serve(sys.stdin.buffer, out, choose_device(left_to=trainers, last=True))


if __name__ == "__main__":
    main()
