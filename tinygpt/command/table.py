"""The results of a training: the final table, and the object of ``--json``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from tinygpt.command.streams import safe
from tinygpt.formatting import duration
from tinygpt.training import Outcome, Session

ROWS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("validation loss", "val_loss", lambda x: f"{x:.4f}"),
    ("best validation loss", "best_val_loss", lambda x: f"{x:.4f}"),
    ("perplexity", "perplexity", lambda x: f"{x:.3f}"),
    ("validation over", "val_loss_over", str),
    ("steps", "step", lambda x: f"{x:,}"),
    ("tokens", "tokens", lambda x: f"{x:,}"),
    ("parameters", "params_total", lambda x: f"{x:,}"),
    ("active parameters", "params_active", lambda x: f"{x:,}"),
    ("training time", "train_seconds", duration),
    ("tokens/s", "tokens_per_second", lambda x: f"{x:,.0f}"),
)


def print_table(models: Mapping[str, Mapping[str, Any]], file: TextIO) -> None:
    """Print the results, one column per variant."""
    heading, *rows = comparison(models)
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column(heading[0])
    for title in heading[1:]:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(file=safe(file)).print(table)


def comparison(models: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The table as rows of text, headings first; with both variants, also their difference."""
    both = len(models) > 1
    rows = [["", *models, *(["moe - dense"] if both else [])]]
    for title, key, form in ROWS:
        if key == "val_loss_over" and not any(key in model for model in models.values()):
            continue  # no sample was needed
        values = [model.get(key) for model in models.values()]
        row = [title, *("-" if value is None else form(value) for value in values)]
        if both:
            comparable = key.endswith(("loss", "perplexity")) and None not in values
            row.append(f"{values[1] - values[0]:+z.4f}" if comparable else "")  # type: ignore[operator]
        rows.append(row)
    return rows


def print_json(session: Session, outcome: Outcome, file: TextIO) -> None:
    """Print one line of JSON; infinities and NaN of a loss that diverged become null."""
    corpus = session.corpus
    result = {
        "run": str(session.path),
        "corpus": {"name": corpus.name, "sha256": corpus.sha256, "chars": len(corpus.text)},
        "models": _finite(outcome.models),
    }
    stream = safe(file)
    stream.write(json.dumps(result, allow_nan=False) + "\n")
    stream.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
