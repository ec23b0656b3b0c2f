"""What `baby` takes on one GPU, beside nanoGPT's GPU configuration on the same card.

    python benchmarks/gpu.py path/to/tinyshakespeare.txt --nanogpt path/to/nanoGPT

Measures, in this order: the steady optimizer step of both variants, compiled, and replayed as a
CUDA graph (time, utilisation, launches, time in kernels, host syncs, graph breaks, recompilations);
decoding, eager and captured; the default run (best and final loss); Dense until a validation loss
of 1.4697, with an empty compile cache and with a full one; nanoGPT's
config/train_shakespeare_char.py until the same loss. Takes about ten minutes; `--no-runs` leaves
out the trainings, and without a checkout nanoGPT is left out.

Prints one table, each line with its target and whether it is met, and last one JSON line. Without
CUDA it says "not measured". nanoGPT's training seconds begin after its first iteration; ours are
those of the optimizer steps, with an average of the weights and with compiling.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import machine
import torch
from learning import prepare
from torch._dynamo.utils import counters
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tinygpt.config import RunConfig, build
from tinygpt.data.batches import Batches
from tinygpt.generation.cuda_graph_decoder import CudaGraphDecoder
from tinygpt.model.gpt import GPT
from tinygpt.model.kv_cache import Cache
from tinygpt.training.learner import Learner
from tinygpt.training.recipe import with_recipe

TARGET = 1.4697
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bf16 operations per second by the data sheets; of two boards, the SXM."""
WARM = 30
"""Steps that compile, tune and fill caches before the measurement."""
PROFILED = 10
"""Steps in a profile."""
LAUNCHES = (
    "cudaLaunchKernel",
    "cuLaunchKernel",
    "cudaGraphLaunch",
    "cudaMemcpyAsync",
    "cudaMemset",
)
"""Calls that start work on the device begin with one of these names."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
"""Calls that make the host wait for the device."""
SHOWN_ERROR = 2000
"""Characters of the end of a failed command's output."""

Result = dict[str, float]


class Row(NamedTuple):
    """One line of the table."""

    claim: str
    target: str
    measured: str
    met: bool | None
    """None where there is no target, or no measurement."""


def steady(config: RunConfig, variant: str, repeats: int) -> Result:
    """A warm optimizer step of one variant."""
    torch._dynamo.reset()
    counters.clear()
    config, _ = with_recipe(config, 1_000_000, 65, "cuda")
    learner = Learner(variant, config, 65, "cuda")
    generator = torch.Generator().manual_seed(1)
    tokens = (torch.randint(1, 4, (1_000_000,), generator=generator).cumsum(0) % 65).cuda()
    batches = Batches(tokens, config.train.batch, config.gpt.context, config.train.accumulate, 1)

    def steps(count: int) -> float:
        """The loss of the last one."""
        results = [learner.train(batches(learner.progress.step), 0.0) for _ in range(count)]
        return results[-1].loss.item()

    loss = steps(WARM)
    graphs = counters["stats"]["unique_graphs"]
    took = statistics.median(seconds_of(lambda: steps(20)) / 20 for _ in range(repeats))
    seen = profiled(lambda: [learner.train(batches(i), 0.0) for i in range(PROFILED)])
    peak = next((p for name, p in PEAKS.items() if name in torch.cuda.get_device_name()), math.nan)
    return {
        "ms": took * 1000,
        "mfu": operations(learner) / took / peak,
        "kernel_share": seen["kernel_ms"] / (took * 1000),
        "loss": loss,
        "graph_breaks": sum(counters["graph_break"].values()),
        "recompiled": counters["stats"]["unique_graphs"] - graphs,
        **seen,
    }


def seconds_of(run: Callable[[], object]) -> float:
    """Seconds that `run` takes, which ends by waiting for the device."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def profiled(run: Callable[[], object]) -> Result:
    """Per step: kernels, their milliseconds, and the calls that launch or wait."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        run()
    events = seen.events() or []
    kernels = [e for e in events if e.device_type == DeviceType.CUDA]
    names = [e.name for e in events if e.device_type == DeviceType.CPU]
    waits = sum(name in WAITS for name in names)
    return {
        "kernels": len(kernels) / PROFILED,
        "kernel_ms": sum(e.time_range.elapsed_us() for e in kernels) / 1000 / PROFILED,
        "launches": sum(name.startswith(LAUNCHES) for name in names) / PROFILED,
        "waits": max(0, waits - 1) / PROFILED,  # the profiler itself waits once at its end
    }


def operations(learner: Learner) -> float:
    """Operations of one optimizer step, forward and backward.

    Per token, 6 per active parameter, and 12 per layer, channel and position of the context (PaLM,
    arXiv:2204.02311, appendix B).
    """
    config = learner.model.config
    _, active = config.parameters()
    inner = active - config.looked_up
    attention = 12 * config.layers * config.width * config.context
    return float(learner.config.batch_tokens * (6 * inner + attention))


def decoding(config: RunConfig, variant: str, tokens: int) -> Result:
    """Milliseconds per token until its logits are on the host: eager, and with a CUDA graph."""
    torch.manual_seed(1)
    model = GPT(config.model_config(variant, 65)).cuda().eval()
    decoder, own, other = CudaGraphDecoder(model), Cache(model.config), Cache(model.config)

    def eager() -> None:
        model.run(torch.tensor([[7]], device="cuda"), own).logits.cpu()

    def captured() -> None:
        decoder.step(7, other)

    times = {}
    for next_token in (eager, captured):
        with torch.inference_mode():
            for _ in range(config.gpt.context + WARM):
                next_token()
            began = time.perf_counter()
            for _ in range(tokens):
                next_token()
        times[f"token_{next_token.__name__}_ms"] = (time.perf_counter() - began) / tokens * 1000
    return times


def train(
    data: Path, folder: Path, name: str, *ends: str, cache: Path | None = None
) -> tuple[float, dict[str, Any]]:
    """Seconds that a whole training of `baby` takes, and the results of its variants.

    Args:
        data: the text.
        folder: where runs go.
        name: of the run.
        ends: further options.
        cache: of compiled kernels; the user's own if None.
    """
    command = [sys.executable, "-m", "tinygpt_tui", "--train-only", "--preset", "baby", "--json"]
    command += ["--device", "cuda", "--data", str(data), "--out", str(folder), "--name", name]
    environment = dict(os.environ)
    if cache:
        environment |= {
            "TORCHINDUCTOR_CACHE_DIR": str(cache),
            "TRITON_CACHE_DIR": f"{cache}/triton",
        }
    began = time.perf_counter()
    done = subprocess.run(
        [*command, *ends], check=False, capture_output=True, text=True, env=environment
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(done.args)} failed:\n{done.stderr[-SHOWN_ERROR:]}")
    models: dict[str, Any] = json.loads(done.stdout)["models"]
    return took, models


def our_runs(data: Path, folder: Path) -> Result:
    """The default run, and Dense to the target without and with a cache of compiled kernels."""
    whole, models = train(data, folder, "default")
    result = {"default_s": whole}
    for variant, found in models.items():
        result |= {f"{variant}_best": found["best_val_loss"], f"{variant}_final": found["val_loss"]}
    ends = ("--model", "dense", "--target-loss", str(TARGET))
    for name in ("cold", "warm"):
        took, models = train(data, folder, name, *ends, cache=folder / "cache")
        reached = models["dense"]["seconds_to_target"]
        result |= {f"target_{name}_s": took, f"target_{name}_train_s": reached or math.nan}
    return result


def their_run(copy: Path) -> Result:
    """nanoGPT: seconds to the target, of the process and of training; the whole; its best loss."""
    began = time.perf_counter()
    first, best = math.nan, math.inf
    result: Result = {}
    command = [sys.executable, "-u", "train.py", "config/train_shakespeare_char.py"]
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            now = time.perf_counter()
            if line.startswith("iter 0:"):
                first = now
            if match := re.search(r"val loss ([\d.]+)", line):
                best = min(best, float(match[1]))
                if best <= TARGET and not result:
                    result = {"nanogpt_target_s": now - began, "nanogpt_train_s": now - first}
    if process.returncode:
        raise SystemExit("nanoGPT's train.py failed: its output is above")
    return {**result, "nanogpt_s": time.perf_counter() - began, "nanogpt_best": best}


def rows(result: Mapping[str, float]) -> list[Row]:
    """The table: what of it was measured, and what of that is as good as wanted."""
    r: Mapping[str, float] = {**result, **_derived(result)}

    def row(claim: str, key: str, form: str = "{:.4f}", most: float | None = None) -> Row:
        value = r.get(key, math.nan)
        target = "" if most is None else "<= " + form.format(most)
        if math.isnan(value):
            return Row(claim, target, "not measured", None)
        return Row(claim, target, form.format(value), None if most is None else value <= most)

    table = []
    for variant, title in (("dense", "Dense"), ("moe", "MoE")):
        for mode, suffix in (("", ""), ("graph_", ", CUDA graph")):
            key, name = f"{variant}_{mode}", f"a step, {title}{suffix}"
            limit = 6.0 if variant == "dense" and not mode else None
            table += [
                row(f"{name}, ms", key + "ms", "{:.2f}", limit),
                row(f"{name}, MFU", key + "mfu", "{:.3f}"),
                row(f"{name}, share of the time in kernels", key + "kernel_share", "{:.2f}"),
                row(f"{name}, kernels", key + "kernels", "{:.0f}"),
                row(f"{name}, launches", key + "launches", "{:.0f}"),
                row(f"{name}, host syncs", key + "waits", "{:.1f}", 0.0),
            ]
        table += [
            row(f"{title}, graph breaks", f"{variant}_graph_breaks", "{:.0f}", 0.0),
            row(f"{title}, compiled again", f"{variant}_recompiled", "{:.0f}", 0.0),
            row(f"{title}, CUDA graph, loss over plain", f"{variant}_graph_gap", "{:.4f}", 0.05),
        ]
    table += [
        row("a step, MoE over Dense", "ratio", "{:.2f}", 1.2),
        row("a step, MoE over Dense, CUDA graph", "graph_ratio", "{:.2f}"),
    ]
    for variant, title in (("dense", "Dense"), ("moe", "MoE")):
        for how in ("eager", "captured"):
            table.append(row(f"a token, {title}, {how}, ms", f"{variant}_token_{how}_ms", "{:.3f}"))
    return [
        *table,
        row("default run, Dense, best", "dense_best", most=1.40),
        row("default run, Dense, final over best", "dense_gap", most=0.01),
        row("default run, MoE, best over Dense's", "moe_behind", most=0.0),
        row("default run, MoE, final over best", "moe_gap", most=0.01),
        row("default run, both variants, whole process, s", "default_s", "{:.1f}"),
        row("to 1.4697, share of nanoGPT's training seconds", "share", "{:.3f}", 0.1),
        row("to 1.4697, our training seconds, warm", "target_warm_train_s", "{:.1f}"),
        row("to 1.4697, whole process, warm, s", "target_warm_s", "{:.1f}"),
        row("to 1.4697, whole process, cold, s", "target_cold_s", "{:.1f}"),
        row("to 1.4697, nanoGPT's training seconds", "nanogpt_train_s", "{:.1f}"),
        row("to 1.4697, nanoGPT, whole process, s", "nanogpt_target_s", "{:.1f}"),
        row("nanoGPT, whole run, s", "nanogpt_s", "{:.1f}"),
        row("nanoGPT, best", "nanogpt_best"),
    ]


def _derived(result: Mapping[str, float]) -> Result:
    """What is computed from two measurements, NaN where one of them is missing."""

    def get(key: str) -> float:
        return result.get(key, math.nan)

    return {
        "ratio": get("moe_ms") / get("dense_ms"),
        "graph_ratio": get("moe_graph_ms") / get("dense_graph_ms"),
        "dense_graph_gap": abs(get("dense_graph_loss") - get("dense_loss")),
        "moe_graph_gap": abs(get("moe_graph_loss") - get("moe_loss")),
        "dense_gap": get("dense_final") - get("dense_best"),
        "moe_gap": get("moe_final") - get("moe_best"),
        "moe_behind": get("moe_best") - get("dense_best"),
        "share": get("target_warm_train_s") / get("nanogpt_train_s"),
    }


def print_table(table: list[Row]) -> None:
    """Columns of a fixed width."""
    words = {None: "", True: "yes", False: "NO"}
    print(f"{'claim':52} {'target':>10} {'measured':>12}  met")
    for claim, target, measured, met in table:
        print(f"{claim:52} {target:>10} {measured:>12}  {words[met]}")


def measure(result: Result, data: Path | None, nanogpt: Path | None, repeats: int) -> None:
    """Add to `result` everything that can be measured with what there is."""
    for variant in ("dense", "moe"):
        for mode, changes in (("", {}), ("graph_", {"train.cuda_graph": True})):
            config = build({"preset": "baby", "device": "cuda", **changes})
            print(f"a step: {variant} {mode}", file=sys.stderr)
            found = steady(config, variant, repeats)
            result.update({f"{variant}_{mode}{name}": value for name, value in found.items()})
        print(f"decoding: {variant}", file=sys.stderr)
        found = decoding(build({"preset": "baby", "device": "cuda"}), variant, 500)
        result.update({f"{variant}_{name}": value for name, value in found.items()})
    torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory() as name:
        if data:
            print("whole trainings", file=sys.stderr)
            result.update(our_runs(data, Path(name)))
        if data and nanogpt:
            print("nanoGPT", file=sys.stderr)
            result.update(their_run(prepare(nanogpt, data, Path(name))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="tinyshakespeare.txt")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--no-runs", action="store_true", help="no whole trainings")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    head: dict[str, object] = {"benchmark": "gpu", "measured": torch.cuda.is_available()}
    if not torch.cuda.is_available():
        print("not measured (no CUDA device)")
        print(json.dumps({**head, **machine.describe()}))
        return
    data = options.data.resolve() if options.data and not options.no_runs else None
    nanogpt = options.nanogpt.resolve() if options.nanogpt else None
    result: Result = {}
    try:
        measure(result, data, nanogpt, options.repeats)
    finally:  # one part that fails leaves what was measured before it
        print_table(rows(result))
        found = {**result, **_derived(result)}
        rounded = {key: round(value, 4) for key, value in found.items() if not math.isnan(value)}
        print(json.dumps({**head, **rounded, **machine.describe()}))


if __name__ == "__main__":
    main()
