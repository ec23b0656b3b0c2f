"""Claims: what one GPU does, beside nanoGPT's configuration for one.

    python benchmarks/gpu.py path/to/nanoGPT path/to/tinyshakespeare.txt

In turns: nanoGPT's config/train_shakespeare_char.py until it first prints a validation loss of
1.4697 or all its steps are taken, and `baby`, Dense, until the same loss; then `baby` whole, for
the best it reaches. Of the steady optimizer step of both variants: its time, the share of the
processor's peak that the model's own products use, and whether the host ever waits for the device
in it. Of one continuation, past the context: a token by a captured graph, and by the model's own
pass. Prints a table and, last, one JSON line. Without CUDA it says "not measured".
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
"""Dense bf16 operations a second, by their makers' data sheets; of two boards, the SXM."""
WARM = 30
"""Steps that compile, tune and fill caches before any is measured."""


def theirs(copy: Path) -> dict[str, float]:
    """nanoGPT whole: seconds until it first prints the target, of all, and its best loss."""
    began, reached, best = time.perf_counter(), math.nan, math.inf
    command = [sys.executable, "-u", "train.py", "config/train_shakespeare_char.py"]
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if found := re.search(r"val loss ([\d.]+)", line):
                best = min(best, float(found[1]))
                if math.isnan(reached) and best <= TARGET:
                    reached = time.perf_counter() - began
    if process.returncode:
        raise SystemExit("nanoGPT's train.py failed: what it says stands above")
    return {"target_s": reached, "whole_s": time.perf_counter() - began, "best": best}


def ours(data: Path, folder: Path, name: str, *ends: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a whole training of `baby`, and what it reports of Dense."""
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
    """Of one optimizer step, forward and backward: 6 a parameter that a token passes through, and
    12 a layer, channel and position that it attends to (PaLM, arXiv:2204.02311, appendix B)."""
    config = learner.model.config
    _, active = config.parameters()
    inner = active - config.vocab_size * config.width  # looking an embedding up multiplies nothing
    attention = 12 * config.layers * config.width * config.context
    return float(learner.config.batch_tokens * (6 * inner + attention))


def steady(config: RunConfig, variant: str, repeats: int) -> dict[str, float]:
    """The step once all is warm: its seconds, utilisation, and how often the host waits."""
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
        "waits": float(waits(lambda: steps_without_end(learner, batches))),
    }


def decoding(config: RunConfig, variant: str, tokens: int) -> dict[str, float]:
    """Milliseconds a token, with its logits on the host: eager, and by a captured graph."""
    torch.manual_seed(1)
    model = GPT(config.model_config(variant, 65)).cuda().eval()
    reader, own, other = CudaGraphDecoder(model), Cache(model.config), Cache(model.config)

    def eager() -> None:
        model.run(torch.tensor([[7]], device="cuda"), own).logits.cpu()

    def captured() -> None:
        reader.step(7, other)

    found = {}
    for read in (eager, captured):
        with torch.inference_mode():
            for _ in range(config.gpt.context + WARM):
                read()
            began = time.perf_counter()
            for _ in range(tokens):
                read()
        found[f"token_{read.__name__}_ms"] = (time.perf_counter() - began) / tokens * 1000
    return found


def steps_without_end(learner: Learner, batches: Batches) -> None:
    """Ten steps that nobody waits for."""
    for _ in range(10):
        learner.train(batches(learner.progress.step), 0.0)


def waits(run: Any) -> int:
    """How many calls of a profile make the host wait for the device."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=activities) as profile:
        run()
    # The profiler itself waits once as it ends.
    waiting = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
    return max(0, sum(event.count for event in profile.key_averages() if event.key in waiting) - 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nanogpt", type=Path, nargs="?", help="a checkout of nanoGPT")
    parser.add_argument("data", type=Path, nargs="?", help="tinyshakespeare.txt")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    result: dict[str, object] = {"benchmark": "gpu", "measured": torch.cuda.is_available()}
    if not torch.cuda.is_available():
        print("not measured: there is no CUDA device here")
        print(json.dumps({**result, **machine.describe()}))
        return
    config = build({"preset": "baby", "device": "cuda"})
    print(f"{'step':8} {'ms':>9} {'MFU':>7} {'waits':>6}")
    for variant in ("dense", "moe"):
        found = steady(config, variant, options.repeats)
        print(f"{variant:8} {found['ms']:9.2f} {found['mfu']:7.3f} {found['waits']:6.0f}")
        result |= {f"{variant}_{name}": round(value, 4) for name, value in found.items()}
    print(f"\n{'a token':8} {'eager, ms':>10} {'graph, ms':>10}")
    for variant in ("dense", "moe"):
        found = decoding(config, variant, 500)
        print(f"{variant:8} {found['token_eager_ms']:10.3f} {found['token_captured_ms']:10.3f}")
        result |= {f"{variant}_{name}": round(value, 4) for name, value in found.items()}
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
