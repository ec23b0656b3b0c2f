"""The results of a training: the final table, and the object of ``--json``."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table

from tinygpt.data.tokenizer import tokenizer_facts
from tinygpt.formatting import duration

if TYPE_CHECKING:
    from tinygpt.training import Outcome, Session

ROWS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("validation loss", "val_loss", lambda x: f"{x:.4f}"),
    ("best validation loss", "best_val_loss", lambda x: f"{x:.4f}"),
    ("overfitting since step", "overfitting_since", lambda x: f"{x:,}"),
    ("test loss", "test_loss", lambda x: f"{x:.4f}"),
    ("test loss of the best", "best_test_loss", lambda x: f"{x:.4f}"),
    ("bits per byte", "bits_per_byte", lambda x: f"{x:.4f}"),
    ("perplexity", "perplexity", lambda x: f"{x:.3f}"),
    ("validation over", "val_loss_over", str),
    ("steps", "step", lambda x: f"{x:,}"),
    ("tokens", "tokens", lambda x: f"{x:,}"),
    ("parameters", "params_total", lambda x: f"{x:,}"),
    ("active parameters", "params_active", lambda x: f"{x:,}"),
    ("training time", "train_seconds", duration),
    ("tokens/s", "tokens_per_second", lambda x: f"{x:,.0f}"),
)
_IF_KNOWN = ("val_loss_over", "overfitting_since", "test_loss", "best_test_loss")
"""Rows that are left out if no variant has a value."""
_COMPARABLE = ("loss", "perplexity", "bits_per_byte")
"""How the names of results end whose difference says something."""
_WIDEST = 10_000
"""Columns of what the tables are laid out for: no row is ever wrapped or cut."""


def table(models: Mapping[str, Mapping[str, Any]], file: TextIO) -> str:
    """The results as lines of text, one column per variant; bold headings if `file` shows them."""
    return aligned(comparison(models), file)


def aligned(rows: Sequence[Sequence[str]], file: TextIO, left: int = 1) -> str:
    """Rows of text, headings first, as lines; all columns but the first `left` to the right."""
    heading, *others = rows
    grid = Table(box=None, pad_edge=False, padding=(0, 2))
    for column, title in enumerate(heading):
        grid.add_column(title, justify="left" if column < left else "right", no_wrap=True)
    for row in others:
        grid.add_row(*row)
    text = io.StringIO()
    Console(file=text, force_terminal=file.isatty(), width=_WIDEST).print(grid)
    return text.getvalue()


def comparison(models: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The table as rows of text, headings first; with both variants, also their difference, as in
    the app: positive where MoE is better."""
    both = len(models) > 1
    rows = [["", *models, *(["dense - moe"] if both else [])]]
    for title, key, form in ROWS:
        values = [model.get(key) for model in models.values()]
        if key in _IF_KNOWN and values.count(None) == len(values):
            continue
        row = [title, *("-" if value is None else form(value) for value in values)]
        if both:
            comparable = key.endswith(_COMPARABLE) and None not in values
            row.append(f"{values[0] - values[1]:+z.4f}" if comparable else "")  # type: ignore[operator]
        rows.append(row)
    return rows


def report(session: Session, outcome: Outcome) -> dict[str, Any]:
    """The object of ``--json``."""
    corpus = session.corpus
    return {
        "run": str(session.path),
        "tokenizer": tokenizer_facts(session.tokenizer),
        "corpus": {"name": corpus.name, "sha256": corpus.sha256, "chars": corpus.characters},
        "models": outcome.models,
    }
