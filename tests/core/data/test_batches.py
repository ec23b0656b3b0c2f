"""Batches depend on seed and step alone, and reach all of a text."""

import torch

from tinygpt.data.batches import Batches


def test_batches_depend_on_seed_and_step_alone() -> None:
    tokens = torch.arange(101)
    batches = Batches(tokens, 5, 7, 3, seed=11)
    first = batches(4)
    batches(5)
    assert all(torch.equal(a, b) for a, b in zip(first, batches(4), strict=True))
    assert [b.shape for b in first] == [(5, 8)] * 3
    assert all(torch.equal(b[:, 1:], b[:, :-1] + 1) for b in first)
    other = Batches(tokens, 5, 7, 3, seed=12)(4)
    assert not torch.equal(first[0], other[0])


def test_batches_reach_every_place() -> None:
    tokens = torch.arange(11)
    seen = torch.cat([Batches(tokens, 13, 7, 1, seed=1)(s)[0][:, 0] for s in range(20)])
    assert set(seen.tolist()) == {0, 1, 2, 3}
