"""What the controllers of the tabs share: the open run, its checkpoints and vocabulary, and their
requests to the engine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from tinygpt.data.run_corpus import probable_place
from tinygpt.data.tokenizer import load_tokenizer
from tinygpt.errors import TinyGPTError
from tinygpt.run import TOKENIZER, VARIANTS, checkpoint_dir, read_config
from tinygpt_tui.engine.protocol import CorpusLineRequest, Request

Key = TypeVar("Key")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Timeline:
    """The checkpoints of one variant, and the one that is selected."""

    steps: tuple[int, ...] = ()
    """Ascending."""
    chosen: int | None = None
    """A step; None selects the latest."""
    playing: bool = False

    @property
    def step(self) -> int | None:
        """The selected step; None without checkpoints."""
        if self.chosen is None:
            return self.steps[-1] if self.steps else None
        return self.chosen

    @property
    def following(self) -> bool:
        """Whether a new checkpoint is selected as soon as it is written."""
        return self.chosen is None

    def listed(self, steps: Sequence[int]) -> Timeline:
        """With these checkpoints; if the chosen one was deleted, the nearest is chosen."""
        chosen = self.chosen
        if chosen is not None and steps:
            chosen = min(steps, key=lambda step: abs(step - (chosen or 0)))
        return replace(self, steps=tuple(steps), chosen=chosen)

    def moved(self, by: int) -> Timeline:
        """Select the checkpoint `by` places later, within the timeline; the last is followed."""
        if not self.steps:
            return self
        last = len(self.steps) - 1
        place = self.steps.index(self.step) if self.step in self.steps else last
        place = min(max(place + by, 0), last)
        return replace(self, chosen=None if place == last else self.steps[place])

    def toggle_play(self) -> Timeline:
        """Play from here (from the first checkpoint if at the end), or stop."""
        if self.playing or len(self.steps) < 2:
            return replace(self, playing=False)
        at_end = self.step == self.steps[-1]
        return replace(self, playing=True, chosen=self.steps[0] if at_end else self.chosen)


class Requests(Generic[Key, Answer]):
    """Requests of one kind: at most one is pending, and the latest answers are cached."""

    def __init__(self, limit: int, weight: Callable[[Answer], int] = lambda _: 1) -> None:
        """The oldest answers are dropped when the sum of their `weight` exceeds `limit`."""
        self._limit, self._weight = limit, weight
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self.errors: dict[Key, str] = {}
        """Why a request failed; failed ones are not sent again."""
        self.job: int | None = None
        """The pending request."""
        self.key: Key | None = None
        """Of the last request."""

    def __contains__(self, key: Key) -> bool:
        return key in self._answers

    def clear(self) -> None:
        """Drop all answers and errors; a pending request stays pending."""
        self._answers.clear()
        self.errors.clear()

    def find(self, key: Key) -> Answer | None:
        """The cached answer, if any."""
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def may_send(self, key: Key) -> bool:
        """Whether nothing is pending and this request did not fail before."""
        return self.job is None and key not in self.errors

    def sent(self, job: int, key: Key) -> None:
        """Record that the request `job` for `key` is pending."""
        self.job, self.key = job, key

    def answered(self, answer: Answer | None, why: str = "") -> None:
        """Cache the answer to the pending request; None: it failed, `why` says why."""
        assert self.key is not None
        self.job = None
        if answer is None:
            self.errors[self.key] = why
            return
        self._answers[self.key] = answer
        while len(self._answers) > 1 and self._total_weight() > self._limit:
            self._answers.popitem(last=False)

    def _total_weight(self) -> int:
        return sum(map(self._weight, self._answers.values()))


class EngineSession:
    """The open run, its checkpoints and vocabulary, and a way to send requests to the engine."""

    def __init__(self, ask: Callable[[Request], None], new_job: Callable[[], int]) -> None:
        """`ask` sends a request, `new_job` returns an unused job number."""
        self._ask, self._new_job = ask, new_job
        self.run: Path | None = None
        self.checkpoint_steps: dict[str, list[int]] = {}
        """Ascending, by variant, as last listed."""
        self.vocabulary: frozenset[str] = frozenset()
        """The characters of the run's tokenizer; empty until it can be read."""
        self.visible = True
        """Whether the tab is visible: `request` sends nothing while it is hidden."""

    def open(self, run: Path | None) -> None:
        """Use another run."""
        self.run, self.checkpoint_steps, self.vocabulary = run, {}, frozenset()

    @property
    def available_variants(self) -> list[str]:
        """The variants that have a checkpoint."""
        return [variant for variant in VARIANTS if self.checkpoint_steps.get(variant)]

    def checkpoint(self, variant: str, step: int) -> str:
        """The directory of a checkpoint of the open run."""
        assert self.run is not None
        return str(checkpoint_dir(self.run, variant, step))

    @property
    def data(self) -> str:
        """The corpus of the open run, as ``--data`` takes it."""
        if self.run is None:
            return "auto"
        try:
            return probable_place(self.run, read_config(self.run))
        except (TinyGPTError, OSError):
            return "auto"

    def load_vocabulary(self) -> None:
        """Read `vocabulary`, unless that was done or the tokenizer is not written yet."""
        if self.run is None or self.vocabulary:
            return
        try:
            tokenizer = load_tokenizer(self.run / TOKENIZER)
        except TinyGPTError:
            return
        self.vocabulary = frozenset(tokenizer.decode([i]) for i in range(tokenizer.vocab_size))

    def unknown(self, text: str) -> set[str]:
        """The characters outside the vocabulary; none until it is known."""
        return {c for c in text if c not in self.vocabulary} if self.vocabulary else set()

    def without_unknown(self, text: str) -> str:
        """The text without the characters outside the vocabulary."""
        unknown = self.unknown(text)
        return "".join(c for c in text if c not in unknown)

    def ask_corpus_line(self, *, opening: bool = False) -> int:
        """Request a random line of the run's corpus, or the first words of its validation split;
        returns the job number."""
        job = self._new_job()
        self._ask(CorpusLineRequest(job, self.data, opening))
        return job

    def request(
        self, requests: Requests[Key, Answer], key: Key, make: Callable[[int], Request]
    ) -> Answer | None:
        """The cached answer; without one, send the request that `make` returns for a job number,
        unless one is pending."""
        answer = requests.find(key)
        if answer is None and self.visible and requests.may_send(key):
            job = self._new_job()
            requests.sent(job, key)
            self._ask(make(job))
        return answer
