"""The load of the machine in one line."""

import dataclasses

import psutil  # type: ignore[import-untyped,unused-ignore]

from tests.helpers.train_states import MACHINE, make_state
from tinygpt.gpus import GpuProcess
from tinygpt_tui.render.cells import plain
from tinygpt_tui.train.machine_line import machine_line


def test_several_gpus_are_numbered_and_their_other_users_named() -> None:
    alice = GpuProcess(pid=4711, user="alice\x1b")
    first, own = MACHINE.gpus[0], GpuProcess(pid=7, user=psutil.Process().username())
    second = dataclasses.replace(first, processes=(alice, own))
    machine = dataclasses.replace(MACHINE, gpus=(first, second))
    (line,) = plain([machine_line(make_state(machine=machine))])
    _, gpus = line.split("   GPU 0 ")
    first_words, second_words = gpus.split("   GPU 1 ")
    assert first_words == "NVIDIA H100 83% 11.0/80 GiB 61 C 412 W"
    assert second_words.startswith(f"{first_words} shared with alice")
    assert not {"\x1b", str(own.user)} & {*second_words.split(), *second_words}
