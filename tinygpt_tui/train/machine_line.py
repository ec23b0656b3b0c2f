"""The load of this machine in one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinygpt.escape import printable
from tinygpt.gpus import Gpu
from tinygpt_tui.render.cells import Row, Span, row
from tinygpt_tui.train.state import TrainState

MANY = 4
"""GPUs of a kind; of more than these only the loads are shown."""


def machine_line(state: TrainState) -> Row:
    """CPU, memory and GPUs of this machine."""
    machine = state.machine
    if machine is None:
        return ()
    parts = []
    if machine.cpu_percent is not None:
        parts.append(f"CPU {machine.cpu_percent:.0f}% ({machine.cpus} cores)")
    parts.append(_memory("memory", machine.memory_used, machine.memory_total))
    parts += [_gpu(gpu) for gpu in machine.gpus] if len(machine.gpus) == 1 else _gpus(machine.gpus)
    return row(Span(" " + "   ".join(part for part in parts if part), "faint"))


def _gpu(gpu: Gpu) -> str:
    """All about the only GPU."""
    words = (
        printable(gpu.name),
        "" if gpu.percent is None else f"{gpu.percent:.0f}%",
        _memory("", gpu.memory_used, gpu.memory_total),
        "" if gpu.celsius is None else f"{gpu.celsius:.0f} C",
        "" if gpu.watts is None else f"{gpu.watts:.0f} W",
        _shared(gpu),
    )
    return " ".join(word for word in words if word)


def _gpus(gpus: Sequence[Gpu]) -> Iterator[str]:
    """How busy each of several GPUs is, by the number that nvidia-smi gives it; of those with the
    same name, the fullest, the hottest, and the power of all."""
    for name in dict.fromkeys(gpu.name for gpu in gpus):
        same = [(number, gpu) for number, gpu in enumerate(gpus) if gpu.name == name]
        fullest = max((gpu for _, gpu in same), key=lambda gpu: gpu.memory_used or 0)
        heat = [gpu.celsius for _, gpu in same if gpu.celsius is not None]
        power = [gpu.watts for _, gpu in same if gpu.watts is not None]
        words = (
            f"GPU {_loads(same)}",
            f"{len(same)} x {printable(name)}" if len(same) > 1 else printable(name),
            _memory("up to" if len(same) > 1 else "", fullest.memory_used, fullest.memory_total),
            f"{max(heat):.0f} C" if heat else "",
            f"{sum(power):.0f} W" if power else "",
            *(f"{number} {shared}" for number, gpu in same if (shared := _shared(gpu))),
        )
        yield ", ".join(word for word in words if word)


def _loads(same: Sequence[tuple[int, Gpu]]) -> str:
    """The load of each; of many, the place tells the number, so that 8 are seen in 80 columns."""
    loads = ["?" if gpu.percent is None else f"{gpu.percent:.0f}" for _, gpu in same]
    numbers = [number for number, _ in same]
    if len(same) > MANY and numbers == list(range(len(same))):
        return f"{' '.join(loads)}%"
    return " ".join(
        f"{number}:{load}{'%' * (load != '?')}" for number, load in zip(numbers, loads, strict=True)
    )


def _shared(gpu: Gpu) -> str:
    others = gpu.other_users
    return printable(f"shared with {', '.join(others)}") if others else ""


def _memory(name: str, used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return ""
    return f"{name} {used / 2**30:.1f}/{total / 2**30:.0f} GiB".strip()
