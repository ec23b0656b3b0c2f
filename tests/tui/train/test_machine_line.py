"""The load of the machine in one line."""

import dataclasses

import psutil  # type: ignore[import-untyped,unused-ignore]

from tests.helpers.train_states import MACHINE, make_state
from tinygpt.gpus import Gpu, GpuProcess
from tinygpt_tui.render.cells import plain
from tinygpt_tui.train.machine_line import machine_line


def shown(*gpus: Gpu) -> list[str]:
    machine = dataclasses.replace(MACHINE, gpus=gpus)
    (line,) = plain([machine_line(make_state(machine=machine))])
    return line.strip().split("   ")[2:]


def test_the_only_gpu_is_described() -> None:
    assert shown(MACHINE.gpus[0]) == ["NVIDIA H100 83% 11.0/80 GiB 61 C 412 W"]
    assert shown() == []


def test_of_several_gpus_each_tells_its_load_by_its_number() -> None:
    first = MACHINE.gpus[0]
    hot = dataclasses.replace(first, percent=7.4, celsius=73.0, memory_used=13 << 30)
    silent = dataclasses.replace(first, percent=None, celsius=None, watts=None)
    other = dataclasses.replace(silent, name="NVIDIA T4", percent=0.0)
    assert shown(first, other, hot, silent) == [
        "GPU 0:83% 2:7% 3:?, 3 x NVIDIA H100, up to 13.0/80 GiB, 73 C, 824 W",
        "GPU 1:0%, NVIDIA T4, 11.0/80 GiB",
    ]


def test_eight_gpus_are_seen_in_80_columns() -> None:
    loads = (100, 98, None, 100, 100, 99, 0, 97)
    gpus = [dataclasses.replace(MACHINE.gpus[0], percent=load) for load in loads]
    (line,) = shown(*gpus)
    assert line.startswith("GPU 100 98 ? 100 100 99 0 97%, 8 x NVIDIA H100, up to ")
    machine = dataclasses.replace(MACHINE, gpus=tuple(gpus), memory_total=2000 << 30, cpus=224)
    (whole,) = plain([machine_line(make_state(machine=machine))])
    assert whole.index("97%,") < 80
    one = dataclasses.replace(MACHINE.gpus[0], name="NVIDIA T4", percent=3.0)
    assert shown(one, *gpus)[1].startswith("GPU 1:100% 2:98% 3:? ")


def test_other_users_are_named() -> None:
    alice = GpuProcess(pid=4711, user="alice\x1b")
    first, own = MACHINE.gpus[0], GpuProcess(pid=7, user=psutil.Process().username())
    second = dataclasses.replace(first, processes=(alice, own))
    (line,) = shown(first, second)
    assert ", 824 W, 1 shared with alice" in line
    assert not {"\x1b", str(own.user)} & {*line.split(), *line}
