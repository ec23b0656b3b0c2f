"""What passes between the interface and the process that holds the models.

Each message is four bytes of length, then msgpack. Requests carry the number of a job, and so does
every answer to them.
"""

from __future__ import annotations

from typing import IO, Any, Literal, TypeAlias

import msgspec

SHOWN = 128
"""Tokens of a distribution that are sent, the likeliest: all of a character vocabulary."""

Over: TypeAlias = Literal["length", "stop", "stopped"]


class Write(msgspec.Struct, tag=True, frozen=True):
    """Continue a prompt, behind the tokens that were made."""

    job: int
    path: str
    """A step or variant directory; of a variant, the newest checkpoint."""
    prompt: str
    params: dict[str, Any]
    made: tuple[int, ...] = ()


class Stop(msgspec.Struct, tag=True, frozen=True):
    """End a job after its next token."""

    job: int


class Pick(msgspec.Struct, tag=True, frozen=True):
    """A random line of the run's corpus that the checkpoint knows, as a prompt."""

    job: int
    data: str
    """As ``--data`` takes it."""


Request: TypeAlias = Write | Stop | Pick


class Opened(msgspec.Struct, tag=True, frozen=True):
    """The checkpoint that answers."""

    job: int
    path: str
    variant: str
    step: int
    val_loss: float | None
    layers: int
    experts: int
    """0 for Dense."""


class Token(msgspec.Struct, array_like=True, frozen=True):
    """A token that was made, and what it was chosen from, the likeliest first."""

    id: int
    text: str
    rank: int
    surprisal: float
    """nats"""
    entropy: float
    """nats"""
    readers: tuple[int, ...]
    """Layer by layer, the expert that read the token before it; empty for Dense."""
    ids: tuple[int, ...]
    texts: tuple[str, ...]
    raw: tuple[float, ...]
    filtered: tuple[float, ...]
    removed: tuple[str, ...]
    """The filter that took each away; empty for those that stayed."""


class Tokens(msgspec.Struct, tag=True, frozen=True):
    """The next tokens of a job."""

    job: int
    tokens: tuple[Token, ...]


class Ended(msgspec.Struct, tag=True, frozen=True):
    """A job is over."""

    job: int
    why: Over
    seconds: float
    """Of making the tokens."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """A job cannot be done."""

    job: int
    why: str


class Line(msgspec.Struct, tag=True, frozen=True):
    """The answer to `Pick`."""

    job: int
    text: str


Reply: TypeAlias = Opened | Tokens | Ended | Failed | Line

_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)
_encoder = msgspec.msgpack.Encoder()


def send(pipe: IO[bytes], message: Request | Reply) -> None:
    """Write one message, whole."""
    data = _encoder.encode(message)
    pipe.write(len(data).to_bytes(4, "big") + data)
    pipe.flush()


def next_request(pipe: IO[bytes]) -> Request | None:
    """None at the end of the pipe."""
    data = _frame(pipe)
    return None if data is None else _requests.decode(data)


def next_reply(pipe: IO[bytes]) -> Reply | None:
    """None at the end of the pipe."""
    data = _frame(pipe)
    return None if data is None else _replies.decode(data)


def _frame(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "big")
    data = pipe.read(size)
    return data if len(data) == size else None
