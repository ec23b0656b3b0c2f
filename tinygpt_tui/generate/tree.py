"""Texts and how they came from one another: nothing is lost by branching."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tinygpt.generation.params import SamplingParams
from tinygpt_tui.engine.protocol import Opened, Token
from tinygpt_tui.generate.settings import as_dict


@dataclass
class Text:
    """A prompt and what a model made of it."""

    id: int
    prompt: str
    params: SamplingParams
    """With the seed that was used."""
    path: str
    """The checkpoint that was asked for; once it is opened, its step directory."""
    parent: int | None = None
    at: int = 0
    """Tokens that are the parent's."""
    tokens: list[Token] = field(default_factory=list)
    opened: Opened | None = None
    job: int | None = None
    """While it is being written."""
    over: str = ""
    """Why it ended: "length", "stop", "stopped", or a sentence if it failed."""
    failed: bool = False
    made: int = 0
    """Tokens of the last stretch, and the seconds that they took."""
    seconds: float = 0.0
    stepping: bool = False
    """The stretch that is being written was asked for token by token."""
    owed: int = 0
    """Tokens that were asked for, one a key, while others were being written."""
    name: str = ""
    forced: set[int] = field(default_factory=set)
    """Places of tokens that a person chose."""

    @property
    def writing(self) -> bool:
        """Whether more is to come."""
        return self.job is not None

    @property
    def text(self) -> str:
        """What was made, without the prompt."""
        return "".join(token.text for token in self.tokens)

    @property
    def mean_surprisal(self) -> float:
        """Nats a token; NaN without any."""
        if not self.tokens:
            return math.nan
        return sum(token.surprisal for token in self.tokens) / len(self.tokens)

    @property
    def experts(self) -> int:
        """A layer of the model that wrote it; 0 for Dense, and until that is known."""
        return self.opened.experts if self.opened else 0

    @property
    def speed(self) -> float:
        """Tokens a second of the last stretch; NaN before it is known."""
        return self.made / self.seconds if self.seconds else math.nan


class Tree:
    """All texts of a session."""

    def __init__(self) -> None:
        self.texts: dict[int, Text] = {}
        self._numbers = 0

    def add(
        self,
        prompt: str,
        params: SamplingParams,
        path: str,
        *,
        parent: Text | None = None,
        at: int = 0,
    ) -> Text:
        """A new text; with a parent, its first `at` tokens are the parent's."""
        self._numbers += 1
        text = Text(self._numbers, prompt, params, path)
        if parent is not None:
            text.parent, text.at, text.opened = parent.id, at, parent.opened
            text.tokens = parent.tokens[:at]
            text.forced = {place for place in parent.forced if place < at}
        self.texts[text.id] = text
        return text

    def branch(self, parent: Text, at: int, chosen: int, params: SamplingParams) -> Text:
        """A text that goes another way at token `at`: the one at place `chosen` of its choices."""
        path = parent.opened.path if parent.opened else parent.path
        text = self.add(parent.prompt, params, path, parent=parent, at=at)
        text.tokens.append(other_choice(parent.tokens[at], chosen))
        text.forced.add(at)
        return text

    def of_job(self, job: int) -> Text | None:
        """Whose job this is."""
        return next((text for text in self.texts.values() if text.job == job), None)

    def walk(self) -> Iterator[tuple[int, Text]]:
        """Depth and text, each before those that came from it."""
        children: dict[int | None, list[Text]] = {}
        for text in self.texts.values():
            children.setdefault(text.parent, []).append(text)
        waiting = [(0, text) for text in reversed(children.get(None, []))]
        while waiting:
            depth, text = waiting.pop()
            yield depth, text
            waiting += [(depth + 1, child) for child in reversed(children.get(text.id, []))]

    def prune(self, text: Text) -> list[Text]:
        """Remove a text and all that came from it."""
        gone = {text.id}
        for _, other in self.walk():
            if other.parent in gone:
                gone.add(other.id)
        return [self.texts.pop(number) for number in sorted(gone)]


def other_choice(token: Token, chosen: int) -> Token:
    """The same choice, taken otherwise: the token at a place of its distribution."""
    raw = token.raw[chosen]
    return replace_token(
        token,
        id=token.ids[chosen],
        text=token.texts[chosen],
        rank=1 + sum(p > raw for p in token.raw),
        surprisal=-math.log(raw) if raw > 0 else math.inf,
    )


def replace_token(token: Token, **changes: Any) -> Token:
    """A token with some fields changed."""
    fields = {name: getattr(token, name) for name in token.__struct_fields__}
    return Token(**{**fields, **changes})


def reproducible(text: Text) -> dict[str, Any]:
    """A text with all that is needed to make it again; surprisal and entropy in nats."""
    opened = text.opened
    return {
        "prompt": text.prompt,
        "text": text.text,
        "checkpoint": opened.path if opened else text.path,
        "variant": opened.variant if opened else None,
        "step": opened.step if opened else None,
        "val_loss": opened.val_loss if opened else None,
        "sampling": as_dict(replace(text.params, max_new_tokens=len(text.tokens))),
        "chosen_by_hand": [[place, text.tokens[place].id] for place in sorted(text.forced)],
        "mean_surprisal": text.mean_surprisal if text.tokens else None,
        "tokens_per_second": None if math.isnan(text.speed) else text.speed,
        "tokens": [
            {
                "id": token.id,
                "text": token.text,
                "rank": token.rank,
                "surprisal": token.surprisal if math.isfinite(token.surprisal) else None,
                "entropy": token.entropy,
            }
            for token in text.tokens
        ],
    }
