"""Where the time of an optimizer step goes, and the lower bound of its matmuls.

    python benchmarks/step.py

Profiles the steady step of `nano`, Dense and MoE, and groups its operations. The lower bound is the
time of the model's matmuls at the rate of the machine's fastest matmul of this size. Prints a table
and, last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict

import machine
import torch
from random_text import learner_and_batches
from torch.profiler import ProfilerActivity, profile

from tinygpt.config import build
from tinygpt.training.learner import Learner
from tinygpt.training.malloc import keep_freed_memory

GROUPS = {
    "the model's matmuls": ("aten::mm", "aten::addmm"),
    "matmuls of Muon, and of attention in bf16": ("aten::bmm", "aten::baddbmm"),
    "attention in one kernel, fp32": ("aten::_scaled_dot_product",),
    "optimizers, elementwise": (
        "aten::_foreach",
        "aten::lerp",
        "aten::_fused_adamw_",
        "aten::linalg_vector_norm",
        "aten::stack",
        "aten::diagonal",
    ),
    "GELU, norms, softmax, RoPE": (
        "aten::gelu",
        "aten::native_layer_norm",
        "aten::_softmax",
        "aten::_log_softmax",
        "aten::mul",
        "aten::add",
        "aten::sum",
        "aten::native_dropout",
        "aten::embedding",
        "aten::nll_loss",
    ),
    "moving and sorting rows": (
        "aten::index_select",
        "aten::sort",
        "aten::scatter",
        "aten::gather",
        "aten::index_copy_",
        "aten::cumsum",
        "aten::copy_",
        "aten::topk",
        "aten::cat",
    ),
}
OTHER = "everything else, including the interpreter"


def group_of(operation: str) -> str:
    """The first group with a prefix of this operation's name."""
    for group, names in GROUPS.items():
        if operation.startswith(names):
            return group
    return OTHER


def lower_bound(learner: Learner) -> float:
    """Seconds of the model's matmuls at the best rate: 6 operations per parameter and token."""
    config = learner.model.config
    a, b = (torch.randn(rows, 512).to(learner.matmul_dtype) for rows in (768, 512))
    best = min(_seconds(a, b) for _ in range(200))
    rate = 2 * 768 * 512 * 512 / best
    _, active = config.parameters()
    inner = active - config.looked_up
    return learner.config.batch_tokens * 6 * inner / rate


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    began = time.perf_counter()
    a @ b
    return time.perf_counter() - began


def measure(variant: str, steps: int, precision: str) -> dict[str, float]:
    """Milliseconds per step of each group, in total, and the lower bound of the matmuls."""
    config = build({"preset": "nano", "device": "cpu", "train.precision": precision})
    learner, batches = learner_and_batches(config, variant)

    def run() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            learner.train(batches(learner.progress.step), 0.0)
        return (time.perf_counter() - began) / steps * 1000

    for _ in range(4):  # until oneDNN has kernels for most shapes
        run()
    whole = min(run() for _ in range(3))
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        profiled = run()
    ms: dict[str, float] = defaultdict(float)
    for event in seen.key_averages():
        ms[group_of(event.key)] += event.self_cpu_time_total / 1000 / steps
    named = sum(spent for group, spent in ms.items() if group != OTHER)
    scale = whole / profiled  # spreads the profiler's own cost over all groups
    result = {group: ms[group] * scale for group in GROUPS}
    result[OTHER] = (profiled - named) * scale
    return {**result, "total": whole, "lower bound of the matmuls": lower_bound(learner) * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    options = parser.parse_args()
    keep_freed_memory()  # as the trainer does
    measured = {
        variant: measure(variant, options.steps, options.precision) for variant in ("dense", "moe")
    }
    print(f"{'ms per step':44} {'Dense':>8} {'MoE':>8}")
    for group, ms in measured["dense"].items():
        print(f"{group:44} {ms:8.1f} {measured['moe'][group]:8.1f}")
    result = {
        variant: {group: round(ms, 2) for group, ms in groups.items()}
        for variant, groups in measured.items()
    }
    print(json.dumps({"benchmark": "step", **result, **machine.describe()}))


if __name__ == "__main__":
    main()
