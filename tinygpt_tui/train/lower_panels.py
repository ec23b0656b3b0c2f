"""Below the table: expert load on the left, the latest samples on the right."""

from __future__ import annotations

from functools import lru_cache

from tinygpt_tui.monitor.history import VariantHistory
from tinygpt_tui.render import panel
from tinygpt_tui.render.bars import load_bars, load_title
from tinygpt_tui.render.cells import Row, Span, fit, row
from tinygpt_tui.render.wrap import Flow
from tinygpt_tui.train.state import TrainState
from tinygpt_tui.train.texts import title

STEP = 3
"""The height grows by so many rows, so that samples of similar length do not move the charts."""
MIN_LINES = 5


def has_content(state: TrainState) -> bool:
    """Whether there is anything to show: not before the first evaluation."""
    return any(v.routing or v.sample for v in state.history.variants.values())


def lower_lines(state: TrainState, columns: int) -> int:
    """The rows that the panels take to show all they have, titles included; 0 for nothing."""
    if not has_content(state):
        return 0
    loads, _, size = _sizes(state, columns)
    rows = [1 + len(load) for load in loads]
    rows += [1 + len(_wrapped(v, size)) for v in state.history.variants.values() if v.sample]
    return max(MIN_LINES, -(-max(rows) // STEP) * STEP)


def lower_rows(state: TrainState, columns: int, lines: int) -> list[Row]:
    """Exactly `lines` rows."""
    loads, left, size = _sizes(state, columns)
    panels: list[tuple[int, list[Row]]] = []
    if loads:
        heading = panel.titled(load_title(loads[0], left), style="muted")
        panels.append((left, [panel.rule(heading, left), *load_bars(loads[0], left)]))
    for name, variant in state.history.variants.items():
        if variant.sample:
            panels.append((size, sample_block(name, variant, size, lines)))
    if not panels:
        return [()] * lines
    blocks = [[*block, *[()] * lines][:lines] for _, block in panels]
    return panel.side_by_side(blocks, [columns for columns, _ in panels])


def _sizes(state: TrainState, columns: int) -> tuple[list[list[list[float]]], int, int]:
    """The expert loads, the columns of theirs, and the columns of each sample."""
    variants = state.history.variants.values()
    loads = [v.routing.load for v in variants if v.routing]
    left = min(60, max(24, columns * 3 // 10)) if loads else 0
    samples = sum(v.sample is not None for v in variants)
    gaps = panel.GAP * (bool(loads) + samples - 1)
    return loads, left, max(1, (columns - left - gaps) // max(samples, 1))


def sample_block(name: str, variant: VariantHistory, columns: int, lines: int) -> list[Row]:
    """The latest sample of one variant, wrapped, below its title."""
    assert variant.sample is not None
    heading = panel.titled(f"{title(name)} sample @ step {variant.sample.step:,}", style=name)
    texts = _wrapped(variant, columns)[: max(lines - 1, 0)]
    rows = (fit(row(" ", Span(text, "text")), columns) for text in texts)
    return [panel.rule(heading, columns), *rows][:lines]


def _wrapped(variant: VariantHistory, columns: int) -> tuple[str, ...]:
    assert variant.sample is not None
    return _lines(variant.sample.prompt + variant.sample.text, max(columns - 1, 1))


@lru_cache(maxsize=16)
def _lines(text: str, columns: int) -> tuple[str, ...]:
    """The wrapped lines of a sample, which stays the same for many frames."""
    flow = Flow(columns)
    flow.add(text.strip("\n"), -1)
    return tuple("".join(cell.text for cell in flow.line(n)) for n in range(flow.height))
