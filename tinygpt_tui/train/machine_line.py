"""The load of this machine in one line."""

from __future__ import annotations

from tinygpt.escape import printable
from tinygpt_tui.render.cells import Row, Span, row
from tinygpt_tui.train.state import TrainState


def machine_line(state: TrainState) -> Row:
    """CPU, memory and GPUs of this machine."""
    machine = state.machine
    if machine is None:
        return ()
    parts = []
    if machine.cpu_percent is not None:
        parts.append(f"CPU {machine.cpu_percent:.0f}% ({machine.cpus} cores)")
    parts.append(_memory("memory", machine.memory_used, machine.memory_total))
    several = len(machine.gpus) > 1
    for number, gpu in enumerate(machine.gpus):
        others = gpu.other_users
        words = (
            f"GPU {number}" if several else "",  # as nvidia-smi numbers them
            printable(gpu.name),
            "" if gpu.percent is None else f"{gpu.percent:.0f}%",
            _memory("", gpu.memory_used, gpu.memory_total),
            "" if gpu.celsius is None else f"{gpu.celsius:.0f} C",
            "" if gpu.watts is None else f"{gpu.watts:.0f} W",
            printable(f"shared with {', '.join(others)}") if others else "",
        )
        parts.append(" ".join(word for word in words if word))
    return row(Span(" " + "   ".join(part for part in parts if part), "faint"))


def _memory(name: str, used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return ""
    return f"{name} {used / 2**30:.1f}/{total / 2**30:.0f} GiB".strip()
