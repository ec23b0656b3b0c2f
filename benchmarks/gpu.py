"""Training and decoding speed on one GPU, compared with nanoGPT's GPU configuration.

    python benchmarks/gpu.py path/to/nanoGPT path/to/tinyshakespeare.txt

Runs nanoGPT's config/train_shakespeare_char.py and notes when it first prints a validation loss of
1.4697; then `baby`, Dense, until the same loss; then all of `baby`, for its best loss. For the
steady optimizer step of both variants it measures the time, the model FLOPs utilisation (MFU), and
host syncs; for one continuation past the context, the time per token with a CUDA graph and without.
Prints a table and, last, one JSON line. Without CUDA it says "not measured".
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import torch
from learning import prepare

from tinygpt.config import RunConfig, build
from tinygpt.data.batches import Batches
from tinygpt.generation.cuda_graph_decoder import CudaGraphDecoder
from tinygpt.model.gpt import GPT
from tinygpt.model.kv_cache import Cache
from tinygpt.training.learner import Learner

TARGET = 1.4697
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bf16 operations per second by the data sheets; of two boards, the SXM."""
WARM = 30
"""Steps that compile, tune and fill caches before the measurement."""


def theirs(copy: Path) -> dict[str, float]:
    """A whole run of nanoGPT: seconds to the target and in total, and its best loss."""
    began, reached, best = time.perf_counter(), math.nan, math.inf
    command = [sys.executable, "-u", "train.py", "config/train_shakespeare_char.py"]
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if match := re.search(r"val loss ([\d.]+)", line):
                best = min(best, float(match[1]))
                if math.isnan(reached) and best <= TARGET:
                    reached = time.perf_counter() - began
    if process.returncode:
        raise SystemExit("nanoGPT's train.py failed: its output is above")
    return {"target_s": reached, "whole_s": time.perf_counter() - began, "best": best}


def ours(data: Path, folder: Path, name: str, *ends: str) -> tuple[float, dict[str, Any]]:
    """Seconds that a training of `baby` takes, and its result for Dense."""
    command = [sys.executable, "-m", "tinygpt_tui", "--train-only", "--model", "dense", "--json"]
    command += ["--preset", "baby", "--device", "cuda", "--data", str(data)]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(folder), "--name", name, *ends],
        check=True,
        capture_output=True,
        text=True,
    )
    return time.perf_counter() - began, json.loads(done.stdout)["models"]["dense"]


def operations(learner: Learner) -> float:
    """Operations of one optimizer step, forward and backward.

    Per token, 6 per active parameter, and 12 per layer, channel and position of the context (PaLM,
    arXiv:2204.02311, appendix B).
    """
    config = learner.model.config
    _, active = config.parameters()
    inner = active - config.vocab_size * config.width  # an embedding is a look-up
    attention = 12 * config.layers * config.width * config.context
    return float(learner.config.batch_tokens * (6 * inner + attention))


def steady(config: RunConfig, variant: str, repeats: int) -> dict[str, float]:
    """Time, utilisation and host syncs of a warm step."""
    learner = Learner(variant, config, 65, "cuda")
    tokens = torch.randint(65, (1_000_000,), generator=torch.Generator().manual_seed(1)).cuda()
    batches = Batches(tokens, config.train.batch, config.gpt.context, 1, 1)

    def steps(count: int) -> float:
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(count):
            learner.train(batches(learner.progress.step), 0.0)
        torch.cuda.synchronize()
        return (time.perf_counter() - began) / count

    steps(WARM)
    took = statistics.median(steps(20) for _ in range(repeats))
    peak = next((p for name, p in PEAKS.items() if name in torch.cuda.get_device_name()), math.nan)
    return {
        "ms": took * 1000,
        "mfu": operations(learner) / took / peak,
        "waits": float(waits(lambda: ten_steps(learner, batches))),
    }


def decoding(config: RunConfig, variant: str, tokens: int) -> dict[str, float]:
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


def ten_steps(learner: Learner, batches: Batches) -> None:
    """Ten steps without a sync at the end."""
    for _ in range(10):
        learner.train(batches(learner.progress.step), 0.0)


def waits(run: Any) -> int:
    """Calls in a profile that make the host wait for the device."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=activities) as profile:
        run()
    # The profiler itself waits once at its end.
    waiting = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
    return max(0, sum(event.count for event in profile.key_averages() if event.key in waiting) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nanogpt", type=Path, nargs="?", help="a checkout of nanoGPT")
    parser.add_argument("data", type=Path, nargs="?", help="tinyshakespeare.txt")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    result: dict[str, object] = {"benchmark": "gpu", "measured": torch.cuda.is_available()}
    if not torch.cuda.is_available():
        print("not measured: no CUDA device")
        print(json.dumps({**result, **machine.describe()}))
        return
    config = build({"preset": "baby", "device": "cuda"})
    print(f"{'step':8} {'ms':>9} {'MFU':>7} {'waits':>6}")
    for variant in ("dense", "moe"):
        step = steady(config, variant, options.repeats)
        print(f"{variant:8} {step['ms']:9.2f} {step['mfu']:7.3f} {step['waits']:6.0f}")
        result |= {f"{variant}_{name}": round(value, 4) for name, value in step.items()}
    print(f"\n{'per token':9} {'eager, ms':>10} {'graph, ms':>10}")
    for variant in ("dense", "moe"):
        times = decoding(config, variant, 500)
        print(f"{variant:9} {times['token_eager_ms']:10.3f} {times['token_captured_ms']:10.3f}")
        result |= {f"{variant}_{name}": round(value, 4) for name, value in times.items()}
    if options.nanogpt and options.data:
        data = options.data.resolve()
        print(f"\n{'':10} {'to 1.4697, s':>13} {'whole, s':>9} {'best':>7}")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            other = theirs(prepare(options.nanogpt.resolve(), data, folder))
            print(
                f"{'nanoGPT':10} {other['target_s']:13.1f} {other['whole_s']:9.1f} "
                f"{other['best']:7.4f}"
            )
            reached, _ = ours(data, folder, "target", "--target-loss", str(TARGET))
            whole, at = ours(data, folder, "whole")
            print(f"{'ours':10} {reached:13.1f} {whole:9.1f} {at['best_val_loss']:7.4f}")
        result |= {f"nanogpt_{key}": round(value, 4) for key, value in other.items()}
        result |= {"target_s": round(reached, 1), "share": round(reached / other["target_s"], 4)}
        result |= {"whole_s": round(whole, 1), "best": at["best_val_loss"]}
    print(json.dumps({**result, **machine.describe()}))


if __name__ == "__main__":
    main()
