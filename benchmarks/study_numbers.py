"""The results of all cells, and their differences over seeds with intervals.

A difference is that of the same seed, and positive where the second of the two is better; its
interval is Student's, of the mean over seeds.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from study_cells import (
    BY_NAME,
    DENSE,
    DENSE_TIME,
    DENSE_TOTAL,
    FROZEN,
    MOE,
    VARIANTS,
    Study,
    Variant,
)

from tinygpt.run import read_config
from tinygpt_tui.monitor.seed_spread import learning_settings

STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""97.5 % quantiles of Student's t for 1, 2, … degrees of freedom."""
Results = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""By variant and seed."""


class Interval(NamedTuple):
    """A mean over seeds, the standard deviation, and half the width of its 95 % interval."""

    mean: float
    std: float
    half_width: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:+z.4f} ± {self.half_width:.4f}"

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside the interval."""
        return abs(self.mean) > self.half_width


def interval(values: Sequence[float]) -> Interval:
    """The mean of values of two or more independent seeds, and its uncertainty."""
    n, std = len(values), statistics.stdev(values)
    return Interval(statistics.fmean(values), std, student(n) * std / math.sqrt(n), n)


def student(n: int) -> float:
    """The 97.5 % quantile of Student's t for the mean of `n` values; of 31 for more."""
    return STUDENT[min(n - 2, len(STUDENT) - 1)]


def read_results(study: Study, scale: str) -> Results:
    """The results of all cells of a scale that are measured, of the seeds that all of its variants
    have."""
    found: dict[str, dict[int, Any]] = {}
    for variant in VARIANTS:
        for path in sorted(study.folder(scale).glob(f"{variant.name}-s*.json")):
            seed = path.stem.removeprefix(f"{variant.name}-s")
            if seed.isdigit():
                found.setdefault(variant.name, {})[int(seed)] = json.loads(path.read_text())
    common = set.intersection(*map(set, found.values())) if found else set()
    return {name: {s: cells[s] for s in sorted(common)} for name, cells in found.items()}


def difference(
    results: Results, one: Variant, other: Variant, of: Callable[[Mapping[str, Any]], float]
) -> Interval | None:
    """Of a number of two variants, one minus other, over the seeds that both have; None without
    two of them."""
    a, b = results.get(one.name, {}), results.get(other.name, {})
    seeds = sorted(a.keys() & b.keys())
    return interval([of(a[s]) - of(b[s]) for s in seeds]) if len(seeds) > 1 else None


def mean(cells: Mapping[int, Mapping[str, Any]], of: Callable[[Any], float | None]) -> float | None:
    """Of a number over seeds; None if one of them lacks it."""
    values = [of(cell) for cell in cells.values()]
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def test_loss(cell: Mapping[str, Any]) -> float:
    """Of the model at the end, in nats per character."""
    return float(cell["test_loss"])


def best_test_loss(cell: Mapping[str, Any]) -> float:
    """Of the checkpoint with the lowest validation loss; nan if it could not be read."""
    loss = cell["best_test_loss"]
    return math.nan if loss is None else float(loss)


def val_loss(cell: Mapping[str, Any]) -> float:
    """Of the model at the end, in nats per character."""
    return float(cell["val_loss"])


COMPARISONS = (
    ("at equal steps and active parameters", DENSE),
    ("at equal training time", DENSE_TIME),
    ("at equal total parameters", DENSE_TOTAL),
    ("if only the router is frozen", FROZEN),
    ("without a balance loss", BY_NAME["moe-unbalanced"]),
    ("with a selection bias instead", BY_NAME["moe-bias"]),
    ("with 8 experts", BY_NAME["moe-8"]),
    ("with two half-width experts per token", BY_NAME["moe-top2"]),
)
"""Each variant that is compared with the default MoE, and how it differs."""


def read_cross(study: Study, scale: str) -> list[dict[str, dict[str, float]]]:
    """The losses of each model on the texts of the others, by seed."""
    paths = sorted(study.folder(scale).glob("cross-s*.json"))
    return [json.loads(path.read_text()) for path in paths]


def seed_spreads(study: Study, results: Mapping[str, Results]) -> list[dict[str, Any]]:
    """The rows of the table that the app has: how much the difference of Dense and MoE depends on
    the seed, and for which runs (`tinygpt_tui.monitor.seed_spread`)."""
    rows = []
    for scale, cells in results.items():
        found = difference(cells, DENSE, MOE, val_loss)
        if found is None:
            continue
        tables = read_config(study.run(scale, MOE, min(cells[MOE.name])))
        rows.append(
            {
                "corpus": tables["corpus"]["sha256"],
                "settings": learning_settings(tables),
                "seeds": found.n,
                "mean": round(found.mean, 5),
                "std": round(found.std, 5),
                "noise": round(student(found.n) * found.std, 5),
            }
        )
    return rows
