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


class GenerateRequest(msgspec.Struct, tag=True, frozen=True):
    """Continue a prompt, behind the tokens that were made."""

    job: int
    path: str
    """A step or variant directory; of a variant, the newest checkpoint."""
    prompt: str
    params: dict[str, Any]
    made: tuple[int, ...] = ()


class StopRequest(msgspec.Struct, tag=True, frozen=True):
    """End a job after its next token."""

    job: int


class CorpusLineRequest(msgspec.Struct, tag=True, frozen=True):
    """A random line of the run's corpus that the checkpoint knows, as a prompt."""

    job: int
    data: str
    """As ``--data`` takes it."""


class InspectRequest(msgspec.Struct, tag=True, frozen=True):
    """Look inside one pass over a text; answered by `InspectResult` or `Failed`."""

    job: int
    path: str
    """A step or variant directory; of a variant, the newest checkpoint."""
    text: str
    start: int | None = None
    """The first token of the window, where the text is longer than the context; None: the last."""


class SurveyRequest(msgspec.Struct, tag=True, frozen=True):
    """What heads and experts do over a sample of the validation split.

    Answered by `SurveyResult` or `Failed`.
    """

    job: int
    path: str
    data: str
    """As ``--data`` takes it."""
    final: str = ""
    """The checkpoint that the routing is compared with; empty for none."""


Request: TypeAlias = (
    GenerateRequest | StopRequest | CorpusLineRequest | InspectRequest | SurveyRequest
)


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
    experts: tuple[int, ...]
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


class CorpusLine(msgspec.Struct, tag=True, frozen=True):
    """The answer to `CorpusLineRequest`."""

    job: int
    text: str


class InspectResult(msgspec.Struct, tag=True, frozen=True):
    """The answer to `InspectRequest`. Arrays are the bytes of C-ordered numbers, fp32 or int32.

    Letters: L layers, H heads, T tokens of the window, E experts.
    """

    job: int
    path: str
    variant: str
    step: int
    val_loss: float | None
    context: int
    layers: int
    heads: int
    experts: int
    """0 for Dense."""
    total: int
    """Tokens of the whole text; the window may be shorter."""
    start: int
    """Where the window begins in it."""
    texts: tuple[str, ...]
    """The T tokens of the window."""
    attention: bytes
    """(L, H, T, T) fp32: row q, column k; rows sum to 1, what lies after q is 0."""
    router: bytes
    """(L, T, E) fp32 probabilities; empty for Dense."""
    choice: bytes
    """(L, T) int32, the likeliest selected expert; empty for Dense."""
    surprisal: bytes
    """(T,) fp32 nats of each token given those before; that of the first is nan."""
    statistics: dict[str, bytes]
    """(L, H) fp32 each, by name: see `tinygpt.analysis.heads`."""


class Example(msgspec.Struct, array_like=True, frozen=True):
    """A place where an expert read a token."""

    before: str
    token: str
    after: str


class SurveyResult(msgspec.Struct, tag=True, frozen=True):
    """The answer to `SurveyRequest`. Arrays as in `InspectResult`; V vocabulary, N tokens."""

    job: int
    path: str
    variant: str
    step: int
    val_loss: float | None
    tokens: int
    """N, that were read."""
    corpus: str
    """Its name."""
    layers: int
    heads: int
    experts: int
    statistics: dict[str, bytes]
    """(L, H) fp32 each, by name: those of a text, `duplicate` and `induction`."""
    uniform_baseline: dict[str, float]
    """What a head that looks everywhere alike would have, for the statistics that have it."""
    vocabulary: tuple[str, ...]
    """The V tokens."""
    expert_counts: bytes
    """(L, E, V) int64: how often each expert read each token; empty for Dense."""
    pairs: bytes
    """(L - 1, E, E) int64: tokens that expert a of a layer and b of the next read."""
    top1_probability: tuple[float, ...]
    """(L,) mean probability of the selected expert."""
    agreement: tuple[float, ...]
    """(L,) share of tokens whose expert is that of the `final` checkpoint; empty without."""
    examples: dict[str, tuple[Example, ...]]
    """By "layer expert token id": up to eight places, for the tokens each expert reads most
    beyond their share."""


Reply: TypeAlias = Opened | Tokens | Ended | Failed | CorpusLine | InspectResult | SurveyResult

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
