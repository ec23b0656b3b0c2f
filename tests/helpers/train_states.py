"""States of the Train tab."""

import dataclasses

from tests.helpers.scenes import history
from tinygpt.gpus import Gpu
from tinygpt.run import RunState
from tinygpt_tui.monitor.machine import Machine
from tinygpt_tui.train.state import TrainState

MACHINE = Machine(
    cpu_percent=97.0,
    cpus=2,
    memory_used=3 * 2**30,
    memory_total=24 * 2**30,
    gpus=(
        Gpu(
            name="NVIDIA H100",
            percent=83.0,
            memory_used=11 * 2**30,
            memory_total=80 * 2**30,
            celsius=61.0,
            watts=412.0,
        ),
    ),
)
LIVE = RunState(state="live", reason="process 7 on box is running")


def make_state(**changes: object) -> TrainState:
    known = TrainState(history(70), run_state=LIVE, machine=MACHINE)
    return dataclasses.replace(known, **changes)  # type: ignore[arg-type]
