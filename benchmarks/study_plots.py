"""The plots of the study: learning curves, and the differences of the variants to MoE."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

import matplotlib as mpl
import numpy as np
from study_cells import DENSE, DENSE_TOTAL, FROZEN, MOE
from study_numbers import COMPARISONS, Results, difference, test_loss

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COLOURS = (
    (DENSE, "tab:blue"),
    (MOE, "tab:orange"),
    (DENSE_TOTAL, "tab:cyan"),
    (FROZEN, "tab:red"),
)


def draw(scale: str, results: Results, speed: Mapping[str, float]) -> str:
    """The picture of a scale as SVG, which is the same for the same numbers; `speed` in seconds per
    step."""
    image = StringIO()
    with mpl.rc_context({"svg.hashsalt": "study", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = plt.subplots(1, 3, figsize=(14, 4), width_ratios=(3, 3, 2))
        _curves(axes[0], results, dict.fromkeys(speed, 1.0))
        axes[0].set(xlabel="step", ylabel="validation loss, nats per character", title=scale)
        axes[0].legend()
        _curves(axes[1], results, speed)
        axes[1].set(xlabel="training time, seconds")
        _differences(axes[2], results)
        figure.tight_layout()
        figure.savefig(image, format="svg", metadata={"Date": None})
        plt.close(figure)
    return image.getvalue()


def _curves(axes: Axes, results: Results, per_step: Mapping[str, float]) -> None:
    """The validation loss of four variants: the mean over seeds, and a standard deviation."""
    lowest = []
    for variant, colour in COLOURS:
        if cells := results.get(variant.name):
            steps = np.array([row[0] for row in next(iter(cells.values()))["curve"]])
            losses = np.array([[row[2] for row in cell["curve"]] for cell in cells.values()])
            mean, std = losses.mean(0), losses.std(0, ddof=1) if len(losses) > 1 else 0.0
            x = steps * per_step[variant.name]
            axes.plot(x, mean, color=colour, label=variant.title)
            axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.25, lw=0)
            lowest.append(float(losses.min()))
    axes.set_ylim(min(lowest) - 0.02, min(lowest) + 0.35)


def _differences(axes: Axes, results: Results) -> None:
    """The test loss of each variant minus that of MoE, with its interval."""
    labels: list[str] = []
    for _, variant in COMPARISONS:
        found = difference(results, variant, MOE, test_loss)
        if found is not None:
            axes.errorbar(
                found.mean, -len(labels), xerr=found.half_width, fmt="o", color="tab:gray"
            )
            labels.append(variant.title)
    axes.axvline(0, color="tab:orange", lw=1)
    axes.set_yticks([-i for i in range(len(labels))], labels)
    axes.set(xlabel="test loss minus that of MoE (right of 0: MoE is better)")
