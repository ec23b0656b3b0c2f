"""Capturing: what a failed one leaves behind. The graph itself needs a card."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch

from tinygpt import cuda_graphs


class Card:
    """Streams and graphs as torch has them, without kernels."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.stream, self.fails_at_end = "before", False
        for name in ("CUDAGraph", "device", "graph", "set_stream", "current_stream"):
            patch.setattr(torch.cuda, name, getattr(self, name))

    class CUDAGraph:
        def replay(self) -> None:
            """Nothing was captured."""

    def device(self, _: torch.device) -> nullcontext[None]:
        return nullcontext()

    def current_stream(self) -> str:
        return self.stream

    def set_stream(self, stream: str) -> None:
        self.stream = stream

    @contextmanager
    def graph(self, _: object) -> Iterator[None]:
        """torch's own: ends the capture first, and if that fails stays on its stream."""
        self.stream = "captured"
        try:
            yield
        finally:
            if self.fails_at_end:
                raise RuntimeError("the capture was invalidated")
            self.stream = "before"


def test_a_capture_runs_once_and_gives_its_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    card, streams = Card(monkeypatch), []
    replay = cuda_graphs.capture(lambda: streams.append(card.stream), torch.device("cuda"))
    replay()
    assert streams == ["captured"]
    assert card.stream == "before"


@pytest.mark.parametrize("fails_inside", [False, True])
def test_a_failed_capture_says_why_and_leaves_the_stream_of_before(
    monkeypatch: pytest.MonkeyPatch,
    fails_inside: bool,  # noqa: FBT001
) -> None:
    card = Card(monkeypatch)
    card.fails_at_end = True

    def wait() -> None:
        if fails_inside:
            raise RuntimeError("it waited for the device")

    why = "it waited" if fails_inside else "invalidated"
    with pytest.raises(RuntimeError, match=why):
        cuda_graphs.capture(wait, torch.device("cuda"))
    assert card.stream == "before"
