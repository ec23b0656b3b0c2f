"""Inspected texts for tests of the Attention tab: heads whose attention is easy to recognise."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tests.helpers.listed import listed
from tinygpt_tui.attention import layout, state
from tinygpt_tui.attention.state import STATISTICS, AttentionState, Choice, Pin
from tinygpt_tui.engine.protocol import InspectResult
from tinygpt_tui.engine.results import InspectedText
from tinygpt_tui.engine.session import Timeline

TEXT = "ROMEO:\nBut, soft! what light through yonder window breaks?\nIt is the east.\n" * 3
LAYERS, HEADS = 3, 2


def weights(size: int) -> NDArray[np.float32]:
    """(L, H, T, T): head h of layer l attends 2l + h tokens back, and to the first token."""
    found = np.tril(np.full((LAYERS, HEADS, size, size), 0.02))
    for layer, head in np.ndindex(LAYERS, HEADS):
        for query in range(size):
            found[layer, head, query, max(0, query - 2 * layer - head)] += 1
            found[layer, head, query, 0] += 0.2 * layer
    found /= found.sum(-1, keepdims=True)
    return found.astype(np.float32)


def statistics() -> dict[str, NDArray[np.float32]]:
    """(L, H) each, all different."""
    first = np.arange(LAYERS * HEADS, dtype=np.float32).reshape(LAYERS, HEADS)
    return {
        name: (first + np.float32(place)) / np.float32(11) for place, name in enumerate(STATISTICS)
    }


def inspected(
    size: int = 29, *, variant: str = "dense", start: int = 0, total: int = 0
) -> InspectedText:
    return InspectedText(
        path=f"run/{variant}/step-00000700",
        variant=variant,
        step=700,
        val_loss=1.875,
        context=64,
        total=total or start + size,
        start=start,
        at=None,
        texts=tuple(TEXT[start : start + size]),
        attention=weights(size),
        statistics=dict(statistics()),
    )


def inspect_result(
    job: int,
    path: str,
    text: str,
    *,
    start: int = 0,
    context: int = 11,
    character: int | None = None,
) -> InspectResult:
    """An engine's reply to an inspection; tokens are characters."""
    if character is not None:
        start = max(0, min(character - context // 2, len(text) - context))
    texts = tuple(text[start : start + context])
    return InspectResult(
        job=job,
        path=path,
        variant="moe" if "moe" in path else "dense",
        step=int(path[-8:]),
        val_loss=1.5,
        context=context,
        total=len(text),
        start=start,
        at=character,
        texts=texts,
        attention=weights(len(texts)),
        router=None,
        choice=None,
        statistics=statistics(),
    )


STEPS = (0, 8, 64, 700)


def attention_state(
    shown: InspectedText, size: tuple[int, int], pin: Pin | None = None, **how: object
) -> AttentionState:
    choice = Choice(**{"layer": 1, "head": 1, "query": 23, "key": 20, **how})  # type: ignore[arg-type]
    made = AttentionState(
        choice=state.fitted(choice, shown),
        shown=shown,
        statistics=shown.statistics,
        pin=pin,
        timeline=Timeline(listed(*STEPS, best=64), chosen="newest"),
        source="corpus",
    )
    return replace(made, choice=layout.with_cursor_visible(made, *size))
