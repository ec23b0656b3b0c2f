"""What the controllers of the tabs share: the open run, its checkpoints and vocabulary, and their
requests to the engine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeGuard, TypeVar

from tinygpt.config import LARGEST_SHARE, Shares
from tinygpt.data.corpus import TINYSHAKESPEARE
from tinygpt.data.documents import FIELD
from tinygpt.data.excerpts import TextSource
from tinygpt.data.run_corpus import probable_place, validation_source
from tinygpt.data.shakespeare import NAME as SUBSTITUTE
from tinygpt.data.splits import WITHOUT_TEST
from tinygpt.data.tokenizer_file import known_characters
from tinygpt.errors import TinyGPTError
from tinygpt.run import (
    TOKENIZER,
    VARIANTS,
    CheckpointList,
    Which,
    checkpoint_dir,
    parse_step,
    read_config,
)
from tinygpt.run.checkpoints import Name
from tinygpt_tui.engine.protocol import CorpusLineRequest, CorpusText, Request
from tinygpt_tui.theme import NAMES

Key = TypeVar("Key")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Timeline:
    """The checkpoints of one variant, and the one that is selected."""

    checkpoints: CheckpointList = field(default_factory=CheckpointList)
    chosen: Which | None = None
    """A step, or the best or the newest, which may change; None: the default of the run."""
    playing: bool = False

    @property
    def steps(self) -> tuple[int, ...]:
        """Ascending."""
        return self.checkpoints.steps

    @property
    def step(self) -> int | None:
        """The selected step; None without checkpoints."""
        return self.checkpoints.step(self.chosen)

    @property
    def name(self) -> Name | None:
        """Whether the best or the newest is selected; None for a step."""
        return self.checkpoints.name(self.chosen)

    @property
    def usable(self) -> bool:
        """Whether the selected checkpoint can be loaded, as far as is known."""
        return self.step is not None and self.step not in self.checkpoints.problems

    @property
    def best(self) -> int | None:
        """The step of the best checkpoint; None as long as none was evaluated."""
        checkpoints = self.checkpoints
        return checkpoints.step("best") if checkpoints.name("best") == "best" else None

    def listed(self, checkpoints: CheckpointList) -> Timeline:
        """With these checkpoints; if that of the chosen step was deleted, the nearest is chosen."""
        chosen = self.chosen
        if isinstance(chosen, int) and checkpoints.steps:
            distances = {abs(step - chosen): step for step in reversed(checkpoints.steps)}
            chosen = distances[min(distances)]
        return replace(self, checkpoints=checkpoints, chosen=chosen)

    def swapped_since(self, before: Timeline) -> bool:
        """Whether the run has ended, or has been resumed, and another checkpoint is the default
        one, which is selected."""
        now = self.checkpoints
        turned = before.steps and now.live != before.checkpoints.live
        return bool(turned and self.chosen is None and now.step("best") != now.step("newest"))

    def selected(self, which: Which | None) -> Timeline:
        """Select the best, the newest or a step."""
        return replace(self, chosen=None if which == self.checkpoints.default else which)

    def moved(self, by: int) -> Timeline:
        """Select the checkpoint `by` places later, within the timeline; the best and the newest
        are selected as such."""
        if not self.steps:
            return self
        last = len(self.steps) - 1
        place = self.steps.index(self.step) if self.step in self.steps else last
        step = self.steps[min(max(place + by, 0), last)]
        return self.selected(next(iter(self.checkpoints.names_of(step)), step))

    def toggled(self) -> Timeline:
        """Select the newest instead of the best, or the best instead of the newest; after a step,
        the default one."""
        return replace(self, chosen=self.checkpoints.other(self.chosen), playing=False)

    def toggle_play(self) -> Timeline:
        """Play from the chosen step (from the first if none was, or at the end), or stop."""
        if self.playing or len(self.steps) < 2:
            return replace(self, playing=False)
        here = isinstance(self.chosen, int) and self.chosen != self.steps[-1]
        return replace(self, playing=True, chosen=self.chosen if here else self.steps[0])


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
        self.checkpoints: dict[str, CheckpointList] = {}
        """By variant, as last listed."""
        self._unusable: dict[str, dict[int, str]] = {}
        """Why checkpoints could not be loaded, by variant and step."""
        self._said: set[str] = set()
        self.vocabulary: frozenset[str] = frozenset()
        """The characters of the run's tokenizer; empty until it can be read, and if it knows all of
        them."""
        self._vocabulary_read = False
        self.visible = True
        """Whether the tab is visible: `request` sends nothing while it is hidden."""

    def open(self, run: Path | None) -> None:
        """Use another run."""
        self.run, self.vocabulary, self._vocabulary_read = run, frozenset(), False
        self.checkpoints, self._unusable, self._said = {}, {}, set()

    def list_checkpoints(self, listed: Mapping[str, CheckpointList]) -> bool:
        """Use the run's checkpoints as they are listed now; returns whether they changed."""
        before = self.checkpoints
        self._unusable = {
            v: {step: why for step, why in known.items() if step in listed[v].steps}
            for v, known in self._unusable.items()
            if v in listed
        }
        self.checkpoints = {v: c.without(self._unusable.get(v, {})) for v, c in listed.items()}
        return self.checkpoints != before

    def leave_out(self, directory: str, why: str) -> None:
        """No longer use a checkpoint that could not be loaded, unless its step is chosen."""
        variant, step = Path(directory).parent.name, parse_step(Path(directory).name)
        if self.run is None or step is None or directory != self.checkpoint(variant, step):
            return  # of a run that was open before
        self._unusable.setdefault(variant, {})[step] = why
        self.list_checkpoints(self.checkpoints)

    def note_once(self, variant: str, which: Which | None) -> str:
        """Why another checkpoint stands in for the best or the newest; empty if none does, or if
        that was said already. In a live run, a checkpoint may still be being copied."""
        listed = self.checkpoints.get(variant, CheckpointList())
        note = f"{NAMES[variant]}: {listed.note(which)}"
        if not listed.note(which) or note in self._said:
            return ""
        if listed.live and listed.ranked(which)[0] not in self._unusable.get(variant, {}):
            return ""
        self._said.add(note)
        return note

    @property
    def available_variants(self) -> list[str]:
        """The variants that have a checkpoint."""
        return [v for v in VARIANTS if v in self.checkpoints and self.checkpoints[v].steps]

    def checkpoint(self, variant: str, step: int) -> str:
        """The directory of a checkpoint of the open run."""
        assert self.run is not None
        return str(checkpoint_dir(self.run, variant, step))

    @property
    def on_shakespeare(self) -> bool:
        """Whether the open run is trained on Shakespeare; also if it does not say on what."""
        corpus = self._stored.get("corpus")
        name = corpus.get("name") if isinstance(corpus, dict) else None
        return name in (None, TINYSHAKESPEARE, SUBSTITUTE)

    @property
    def corpus_text(self) -> TextSource:
        """The text that the open run is trained on."""
        stored = self._stored
        place = probable_place(self.run, stored) if self.run and stored else "auto"
        return self._source(stored, place, self._shares(stored))

    @property
    def validation_text(self) -> TextSource:
        """The text that has the validation split of the open run."""
        stored = self._stored
        if (place := validation_source(stored)) is None:
            return self.corpus_text
        return self._source(stored, place, Shares(1.0, 0.0))

    @property
    def _stored(self) -> Mapping[str, Any]:
        """run.toml of the open run; empty if it cannot be read."""
        try:
            return read_config(self.run) if self.run else {}
        except (TinyGPTError, OSError):
            return {}

    def _source(self, stored: Mapping[str, Any], place: str, shares: Shares) -> TextSource:
        field, tokenizer = stored.get("data_field"), str(self.run / TOKENIZER) if self.run else ""
        return TextSource(place, shares, field if isinstance(field, str) else FIELD, tokenizer)

    @staticmethod
    def _shares(stored: Mapping[str, Any]) -> Shares:
        validation, test = stored.get("val_share"), stored.get("test_share")
        return Shares(
            validation if _is_share(validation) and validation else WITHOUT_TEST.validation,
            test if _is_share(test) else WITHOUT_TEST.test,
        )

    def load_vocabulary(self) -> None:
        """Read `vocabulary`, unless that was done or the tokenizer is not written yet."""
        if self.run is None or self._vocabulary_read:
            return
        try:
            known = known_characters(self.run / TOKENIZER)
        except TinyGPTError:
            return
        self.vocabulary, self._vocabulary_read = known or frozenset(), True

    def unknown(self, text: str) -> set[str]:
        """The characters outside the vocabulary; none until it is known."""
        return {c for c in text if c not in self.vocabulary} if self.vocabulary else set()

    def without_unknown(self, text: str) -> str:
        """The text without the characters outside the vocabulary."""
        unknown = self.unknown(text)
        return "".join(c for c in text if c not in unknown)

    def ask_corpus_line(self, which: CorpusText = "random") -> int:
        """Request a line of the run's corpus; returns the job number."""
        job = self._new_job()
        text = self.corpus_text if which == "random" else self.validation_text
        self._ask(CorpusLineRequest(job, text, which))
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


def _is_share(value: object) -> TypeGuard[float]:
    return isinstance(value, float) and 0 <= value <= LARGEST_SHARE
