"""Cost of the experts: MoE over Dense, and our MoE layer against common implementations.

    python benchmarks/experts.py

Measures, alternating, a whole optimizer step of MoE over one of Dense, for `nano` and `baby`; and
one MoE layer, forward and backward, against a masked loop over the experts, and against Hugging
Face's block run eagerly where transformers is installed. All run under our training's autocast;
where that is bf16, the others also run in fp32, their default. Every pass has its own text, as in
training: the numbers of tokens per expert always differ. Prints a table and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import machine
import torch
import torch.nn.functional as F
from random_text import learner_and_batches
from torch import Tensor

from tinygpt.config import RunConfig, build
from tinygpt.device import autocast_context, matmul_dtype
from tinygpt.model.moe import MoE
from tinygpt.training.malloc import keep_freed_memory


@dataclass(frozen=True)
class Size:
    """A preset with changes, and how often it runs."""

    preset: str
    changes: dict[str, int]
    warm: int
    """Steps before the measurement, until oneDNN has kernels for most numbers of rows."""
    most: int
    """The most repeats."""


SIZES = {
    "nano": Size("nano", {}, warm=60, most=25),
    "baby": Size("baby", {}, warm=3, most=5),
    # The optimizer's share of the step is sixteen times as large as in the preset.
    "baby, batch 4": Size("baby", {"train.batch": 4}, warm=10, most=15),
}


def seconds(run: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def alternate(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each run, round-robin; the first round is dropped."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(repeats + 1):
        for name, run in runs.items():
            took = seconds(run)
            if round_:
                times[name].append(took)
    return times


def step_of(config: RunConfig, variant: str) -> Callable[[], object]:
    """One optimizer step on random text."""
    learner, batches = learner_and_batches(config, variant)
    return lambda: learner.train(batches(learner.progress.step), 0.0)


class MaskedLoop(torch.nn.Module):
    """The usual loop over experts with masks, sharing our layer's weights."""

    def __init__(self, layer: MoE) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        tokens = x.reshape(-1, x.shape[-1])
        routing = self.layer.router(tokens)
        y = torch.zeros_like(tokens)
        for expert in range(len(self.layer.up)):
            mask = routing.choice[:, 0] == expert
            if mask.any():
                h = F.gelu(F.linear(tokens[mask], self.layer.up[expert]))
                h = F.linear(h, self.layer.down[expert]) * routing.weight[mask]
                y[mask] = h.to(y.dtype)
        return y.view_as(x)


def hugging_face(layer: MoE, config: RunConfig) -> torch.nn.Module | None:
    """Mixtral's block at this shape, run eagerly; None without transformers."""
    try:
        from transformers import MixtralConfig  # noqa: PLC0415
        from transformers.models.mixtral.modeling_mixtral import (  # noqa: PLC0415
            MixtralSparseMoeBlock,
        )
    except ImportError:
        return None
    experts, hidden, width = layer.up.shape
    # A gated block has three matrices: two thirds of the channels give the same parameter count.
    shape = MixtralConfig(
        hidden_size=width,
        intermediate_size=hidden * 2 // 3,
        num_local_experts=experts,
        num_experts_per_tok=1,
    )
    shape._experts_implementation = "eager"
    del config
    block: torch.nn.Module = MixtralSparseMoeBlock(shape)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return block


def pass_through(
    block: torch.nn.Module, config: RunConfig, dtype: torch.dtype, count: int
) -> Callable[[], object]:
    """Forward and backward pass of the next of `count` texts, with matmuls in `dtype`."""
    generator = torch.Generator().manual_seed(1)
    shape = (config.train.batch, config.gpt.context, config.gpt.width)
    texts = iter([torch.randn(shape, generator=generator) for _ in range(count)])

    def run() -> None:
        x = next(texts).requires_grad_()
        with autocast_context("cpu", dtype):
            y = block(x)
        (y[0] if isinstance(y, tuple) else y).float().square().mean().backward()
        x.grad = None  # otherwise each pass allocates new memory

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=25)
    options = parser.parse_args()
    keep_freed_memory()  # as the trainer does
    result: dict[str, object] = {"benchmark": "experts"}
    print(f"{'':40} {'ms':>9} {'min':>9} {'max':>9} {'ratio':>7}")
    for title, size in SIZES.items():
        config = build({"preset": size.preset, "device": "cpu", **size.changes})
        repeats = min(options.repeats, size.most)
        torch.manual_seed(1)
        layer = MoE(config.model_config("moe", 65))
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        blocks = {"layer": layer, "masked loop": MaskedLoop(layer)}
        if other := hugging_face(layer, config):
            blocks["Hugging Face, eager"] = other
        steps = {name: step_of(config, name) for name in ("dense", "moe")}
        dtype = matmul_dtype("cpu", config.train.precision)
        count = repeats + 1
        passes = {name: pass_through(b, config, dtype, count) for name, b in blocks.items()}
        if dtype != torch.float32:
            passes |= {
                f"{name}, fp32": pass_through(b, config, torch.float32, count)
                for name, b in blocks.items()
                if b is not layer
            }
        for run in steps.values():
            for _ in range(size.warm):
                run()
        for runs in (steps, passes):
            measured = alternate(runs, repeats)
            first = statistics.median(measured[next(iter(runs))])
            for name, times in measured.items():
                ms = statistics.median(times) * 1000
                print(
                    f"{title + ' ' + name:40} {ms:9.2f} {min(times) * 1000:9.2f} "
                    f"{max(times) * 1000:9.2f} {ms / first / 1000:7.2f}"
                )
                result[f"{title} {name} ms"] = round(ms, 3)
                result[f"{title} {name} ratio"] = round(ms / first / 1000, 3)
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
