"""The average of the weights: what it follows, and that what is saved is what was evaluated."""

from pathlib import Path

import torch

from tests.helpers.models import tiny
from tinygpt.training.weight_average import EVERY, WeightAverage


def test_is_the_mean_of_the_last_share_of_the_steps(tmp_path: Path) -> None:
    model = tiny()
    average = WeightAverage(model, 1.0)
    weights = []
    for step in range(1, 5 * EVERY + 1):
        with torch.no_grad():
            model.head_weight.fill_(step)
        average.update(model, step)
        if step % EVERY == 0:
            weights.append(float(step))
            # With a window of all steps each new weight counts as much as all before it together
            # with the one it began with: the recurrence m += (w - m) / (n + 1).
            mean = tiny().head_weight.detach()
            for n, weight in enumerate(weights, start=1):
                mean = mean + (weight - mean) / (n + 1)
            torch.testing.assert_close(average.model.head_weight, mean)


def test_a_short_window_is_near_the_newest(tmp_path: Path) -> None:
    model = tiny()
    long, short = WeightAverage(model, 0.5), WeightAverage(model, 0.01)
    for step in range(1, 101):
        with torch.no_grad():
            model.head_weight.fill_(step)
        for average in (long, short):
            average.update(model, step)
    distances = [float((100 - a.model.head_weight).mean()) for a in (short, long)]
    assert 0 < distances[0] < 2 < distances[1] < 50


def test_learns_nothing_itself() -> None:
    average = WeightAverage(tiny(), 0.1)
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
