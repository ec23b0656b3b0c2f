"""The messages between the app and the engine, and how they are sent.

Each message is four bytes of length (big-endian), then msgpack; an array is sent as dtype, shape
and bytes. A request carries a job number, and so does every reply to it.
"""

from __future__ import annotations

from typing import IO, Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from tinygpt.data.excerpts import TextSource

MAX_CANDIDATES = 128
"""How many tokens of a distribution are sent, the most probable first: enough for all characters
of a character vocabulary."""

EndReason: TypeAlias = Literal["length", "end", "stopped"]


class GenerateRequest(msgspec.Struct, tag=True, frozen=True):
    """Continue a prompt and the tokens generated from it so far."""

    job: int
    path: str
    """A step directory."""
    prompt: str
    params: dict[str, Any]
    generated: tuple[int, ...] = ()


class StopRequest(msgspec.Struct, tag=True, frozen=True):
    """End a job after its next token."""

    job: int


CorpusText: TypeAlias = Literal["random", "opening", "line"]
"""A random line; the first words of the validation split; its first line that is long enough."""


class CorpusLineRequest(msgspec.Struct, tag=True, frozen=True):
    """Pick a line of the corpus; answered by `CorpusLine` or `Failed`."""

    job: int
    source: TextSource
    which: CorpusText = "random"


class InspectRequest(msgspec.Struct, tag=True, frozen=True):
    """Run one forward pass, for attention and routing; answered by `InspectResult` or `Failed`."""

    job: int
    path: str
    """A step directory."""
    text: str
    start: int | None = None
    """First token of the window, if the text exceeds the context; None for the last window."""
    character: int | None = None
    """Instead of `start`: the window is around the token of this character, if that is needed."""


class SurveyRequest(msgspec.Struct, tag=True, frozen=True):
    """Measure heads and experts over a sample of the validation split.

    Answered by `SurveyResult` or `Failed`.
    """

    job: int
    path: str
    source: TextSource
    final: str = ""
    """A checkpoint to compare the routing with; empty for none."""


class AblationRequest(msgspec.Struct, tag=True, frozen=True):
    """Measure the loss over a sample of the validation split without each head and each expert.

    Answered by `AblationResult` or `Failed`.
    """

    job: int
    path: str
    source: TextSource


Request: TypeAlias = (
    GenerateRequest
    | StopRequest
    | CorpusLineRequest
    | InspectRequest
    | SurveyRequest
    | AblationRequest
)


class Opened(msgspec.Struct, tag=True, frozen=True):
    """The checkpoint that a `GenerateRequest` uses; sent before its first tokens."""

    job: int
    path: str
    variant: str
    step: int
    val_loss: float | None
    layers: int
    experts: int
    """0 for Dense."""
    texts: tuple[str, ...] = ()
    """What each of the tokens generated before adds to the text: after one was swapped by hand,
    bytes around it may make other characters."""


class Token(msgspec.Struct, array_like=True, frozen=True):
    """A generated token and its candidates, the most probable first."""

    id: int
    text: str
    rank: int
    surprisal: float
    """nats"""
    entropy: float
    """nats"""
    experts: tuple[int, ...]
    """Per layer, the expert that the preceding token was routed to; empty for Dense."""
    ids: tuple[int, ...]
    texts: tuple[str, ...]
    raw: tuple[float, ...]
    """Probabilities before the filters."""
    filtered: tuple[float, ...]
    """Probabilities after the filters."""
    removed: tuple[str, ...]
    """The filter that removed each candidate; an empty string if it remains."""


class Tokens(msgspec.Struct, tag=True, frozen=True):
    """The next tokens of a job."""

    job: int
    tokens: tuple[Token, ...]


class Ended(msgspec.Struct, tag=True, frozen=True):
    """The job has finished."""

    job: int
    why: EndReason
    seconds: float
    """Time spent generating the tokens."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """The job failed."""

    job: int
    why: str
    unusable: str = ""
    """The step directory that cannot be loaded, if that is why."""


class CorpusLine(msgspec.Struct, tag=True, frozen=True):
    """The answer to `CorpusLineRequest`."""

    job: int
    text: str


class InspectResult(msgspec.Struct, tag=True, frozen=True, eq=False):
    """The answer to `InspectRequest`.

    Letters: L layers, H heads, T tokens of the window, E experts.
    """

    job: int
    path: str
    variant: str
    step: int
    val_loss: float | None
    context: int
    total: int
    """Tokens of the whole text, of which the window may be a part."""
    start: int
    """Position of the window's first token in the text."""
    at: int | None
    """Position of the token of the character that was asked for."""
    texts: tuple[str, ...]
    """The T tokens of the window."""
    attention: NDArray[np.float32]
    """(L, H, T, T) weights: row q is query q; each row sums to 1 and is 0 for keys after q."""
    router: NDArray[np.float32] | None
    """(L, T, E) probabilities; None for Dense."""
    choice: NDArray[np.int32] | None
    """(L, T) the most probable of the selected experts; None for Dense."""
    statistics: dict[str, NDArray[np.float32]]
    """(L, H) each, by name: see `tinygpt.analysis.heads`."""


class Example(msgspec.Struct, array_like=True, frozen=True):
    """A token that was routed to an expert, with the text around it."""

    before: str
    token: str
    after: str


class SurveyResult(msgspec.Struct, tag=True, frozen=True, eq=False):
    """The answer to `SurveyRequest`. Letters: as in `InspectResult`; V vocabulary."""

    job: int
    path: str
    step: int
    tokens: int
    """In the sample."""
    corpus: str
    """Its name."""
    statistics: dict[str, NDArray[np.float32]]
    """(L, H) each, by name: those of `InspectResult`, and `duplicate` and `induction`."""
    uniform_baseline: dict[str, float]
    """The values for uniform attention, where they are defined."""
    vocabulary: tuple[str, ...]
    """The V tokens."""
    expert_counts: NDArray[np.int64] | None
    """(L, E, V): how often each token was routed to each expert; None for Dense."""
    top1_probability: tuple[float, ...]
    """(L,) mean probability of the selected expert."""
    agreement: tuple[float, ...]
    """(L,) share of tokens routed as in the `final` checkpoint; empty without one."""
    examples: dict[tuple[int, int, int], tuple[Example, ...]]
    """By layer, expert and token id: up to eight examples of each of the tokens that are most
    over-represented in an expert."""


class AblationResult(msgspec.Struct, tag=True, frozen=True, eq=False):
    """The answer to `AblationRequest`. Letters: as in `InspectResult`."""

    job: int
    path: str
    step: int
    tokens: int
    """In the sample."""
    loss: float
    """Of the whole model, in nats per token."""
    heads: NDArray[np.float64]
    """(L, H): by how much the loss rises without each head."""
    experts: NDArray[np.float64] | None
    """(L, E): by how much it rises without each expert; None for Dense."""


Reply: TypeAlias = (
    Opened | Tokens | Ended | Failed | CorpusLine | InspectResult | SurveyResult | AblationResult
)


def _encode_array(array: NDArray[Any]) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def _decode_array(_: type, encoded: tuple[str, tuple[int, ...], bytes]) -> NDArray[Any]:
    dtype, shape, data = encoded
    return np.frombuffer(data, dtype).reshape(shape)


_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply, dec_hook=_decode_array)
_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_array)


def send(pipe: IO[bytes], message: Request | Reply) -> None:
    """Write one message and flush."""
    data = _encoder.encode(message)
    pipe.write(len(data).to_bytes(4, "big") + data)
    pipe.flush()


def next_request(pipe: IO[bytes]) -> Request | None:
    """The next request; None at the end of the pipe."""
    data = _frame(pipe)
    return None if data is None else _requests.decode(data)


def next_reply(pipe: IO[bytes]) -> Reply | None:
    """The next reply, its arrays read-only; None at the end of the pipe."""
    data = _frame(pipe)
    return None if data is None else _replies.decode(data)


def _frame(pipe: IO[bytes]) -> bytes | None:
    head = pipe.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "big")
    data = pipe.read(size)
    return data if len(data) == size else None
