"""What the controllers of the tabs share: the open run, its checkpoints and vocabulary, and what
was asked of the engine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from tinygpt.data.tokenizer import load_tokenizer
from tinygpt.errors import TinyGPTError
from tinygpt.run import TOKENIZER, VARIANTS, checkpoint_dir, read_config
from tinygpt_tui.engine.protocol import CorpusLineRequest, Request

Key = TypeVar("Key")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Timeline:
    """The checkpoints of one variant, and which of them is shown."""

    steps: tuple[int, ...] = ()
    """Ascending."""
    chosen: int | None = None
    """None follows the newest."""
    playing: bool = False

    @property
    def step(self) -> int | None:
        """The step that is shown; None without checkpoints."""
        if self.chosen is None:
            return self.steps[-1] if self.steps else None
        return self.chosen

    @property
    def following(self) -> bool:
        """Whether the newest checkpoint is shown, whichever it is."""
        return self.chosen is None

    def listed(self, steps: Sequence[int]) -> Timeline:
        """With other checkpoints; instead of a chosen one that is gone, the nearest."""
        chosen = self.chosen
        if chosen is not None and steps:
            chosen = min(steps, key=lambda step: abs(step - (chosen or 0)))
        return replace(self, steps=tuple(steps), chosen=chosen)

    def moved(self, by: int) -> Timeline:
        """`by` checkpoints later, as far as there are; the last one follows the newest."""
        if not self.steps:
            return self
        last = len(self.steps) - 1
        place = self.steps.index(self.step) if self.step in self.steps else last
        place = min(max(place + by, 0), last)
        return replace(self, chosen=None if place == last else self.steps[place])

    def toggle_play(self) -> Timeline:
        """Play from here, at the end from the first checkpoint; or stop."""
        if self.playing or len(self.steps) < 2:
            return replace(self, playing=False)
        at_end = self.step == self.steps[-1]
        return replace(self, playing=True, chosen=self.steps[0] if at_end else self.chosen)


class Requests(Generic[Key, Answer]):
    """Requests of one kind: at most one is pending, and the latest answers are kept."""

    def __init__(self, limit: int, weight: Callable[[Answer], int] = lambda _: 1) -> None:
        """Answers are kept as long as their `weight` adds up to at most `limit`."""
        self._limit, self._weight = limit, weight
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self.errors: dict[Key, str] = {}
        """Why a request failed; it is not sent again."""
        self.job: int | None = None
        """The pending one."""
        self.key: Key | None = None
        """What the last request was for."""

    def __contains__(self, key: Key) -> bool:
        return key in self._answers

    def clear(self) -> None:
        """Forget answers and errors; a pending request stays pending."""
        self._answers.clear()
        self.errors.clear()

    def find(self, key: Key) -> Answer | None:
        """The answer, if it is kept."""
        if key in self._answers:
            self._answers.move_to_end(key)
        return self._answers.get(key)

    def may_send(self, key: Key) -> bool:
        """Whether nothing is pending, and this did not fail before."""
        return self.job is None and key not in self.errors

    def sent(self, job: int, key: Key) -> None:
        """The request `job` for `key` is pending."""
        self.job, self.key = job, key

    def answered(self, answer: Answer | None, why: str = "") -> None:
        """Keep the answer to the pending request, or without one, `why` it failed."""
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
    """The open run, its checkpoints and vocabulary, and a way to ask the engine."""

    def __init__(self, ask: Callable[[Request], None], number: Callable[[], int]) -> None:
        """`ask` sends a request, `number` gives the number of a new job."""
        self._ask, self._number = ask, number
        self.run: Path | None = None
        self.kept: dict[str, list[int]] = {}
        """The steps of each variant's checkpoints, ascending, as last listed."""
        self.known: frozenset[str] = frozenset()
        """The characters in the run's vocabulary; empty until they can be read."""
        self.awake = True
        """Whether `request` may ask: a hidden tab asks for nothing."""

    def open(self, run: Path | None) -> None:
        """Use another run."""
        self.run, self.kept, self.known = run, {}, frozenset()

    @property
    def available_variants(self) -> list[str]:
        """Those that have a checkpoint."""
        return [variant for variant in VARIANTS if self.kept.get(variant)]

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
            return str(read_config(self.run).get("data", "auto"))
        except TinyGPTError:
            return "auto"

    def load_vocabulary(self) -> None:
        """Read `known` from the run's tokenizer, unless it is known or cannot be read yet."""
        if self.run is None or self.known:
            return
        try:
            found = load_tokenizer(self.run / TOKENIZER)
        except TinyGPTError:
            return
        self.known = frozenset(found.decode([i]) for i in range(found.vocab_size))

    def unknown(self, text: str) -> set[str]:
        """The characters outside the vocabulary; none while that is not known."""
        return {c for c in text if c not in self.known} if self.known else set()

    def without_unknown(self, text: str) -> str:
        """The text without the characters outside the vocabulary."""
        unknown = self.unknown(text)
        return "".join(c for c in text if c not in unknown)

    def ask_corpus_line(self) -> int:
        """Ask for a random line of the run's corpus; returns the job's number."""
        job = self._number()
        self._ask(CorpusLineRequest(job, self.data))
        return job

    def request(
        self, requests: Requests[Key, Answer], key: Key, make: Callable[[int], Request]
    ) -> Answer | None:
        """The kept answer; without one, `make` a request for it, unless one is pending."""
        found = requests.find(key)
        if found is None and self.awake and requests.may_send(key):
            job = self._number()
            requests.sent(job, key)
            self._ask(make(job))
        return found
