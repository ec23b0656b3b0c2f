"""Where and when a benchmark ran: part of every result."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import torch


def describe() -> dict[str, str | int]:
    """Date, processor, cores, threads and versions."""
    return {
        "date": time.strftime("%Y-%m-%d", time.localtime()),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
