"""Where to compute, in what precision, and how both are named."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest
import torch

from tinygpt import cgroup, device
from tinygpt.device import (
    another_idle_gpu,
    autocast_context,
    choose_device,
    cuda_problem,
    device_name,
    find_device_type,
    is_out_of_memory,
    matmul_dtype,
    memory_in_use,
    remarks,
    total_memory,
)
from tinygpt.errors import ConfigError
from tinygpt.gpus import Gpu, GpuProcess


@pytest.fixture
def only_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("only_cpu")
def test_a_device_that_is_not_there_is_refused() -> None:
    assert choose_device() == choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="--device mps is not available here: use --device cpu"):
        choose_device("mps")


@pytest.mark.usefixtures("only_cpu")
def test_the_fastest_device_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device() == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device() == "cuda"


@dataclass
class Cuda:
    """A torch with these GPUs, named by their uuid, and a driver that lists them as `listed`."""

    monkeypatch: pytest.MonkeyPatch
    current: list[str] = field(default_factory=list)
    """What was made torch's current device."""

    def show(self, uuids: str, listed: Sequence[Gpu], visible: str | None = None) -> None:
        properties = [SimpleNamespace(uuid=uuid, total_memory=80 << 30) for uuid in uuids]
        functions = {
            "is_available": lambda: bool(uuids),
            "device_count": lambda: len(uuids),
            "get_device_properties": lambda i: properties[int(str(i).removeprefix("cuda:"))],
            "set_device": self.current.append,
            "get_device_name": lambda name: f"H100 {name}",
        }
        for name, function in functions.items():
            self.monkeypatch.setattr(torch.cuda, name, function)
        self.monkeypatch.setattr(device, "read_gpus", lambda: tuple(listed))
        if visible is not None:
            self.monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(device, "_cuda_warnings", [])
    return Cuda(monkeypatch)


def gpu(uuid: str, percent: float = 0, *processes: GpuProcess) -> Gpu:
    return Gpu(
        name="H100",
        uuid=uuid,
        percent=percent,
        memory_used=1 << 30,
        memory_total=80 << 30,
        processes=processes,
    )


ALICE = GpuProcess(pid=4711, user="alice", command="python", memory=5 << 30)


def test_of_several_gpus_the_idlest_is_taken(cuda: Cuda) -> None:
    """The driver numbers them otherwise, and lists one that CUDA_VISIBLE_DEVICES hides."""
    cuda.show("abc", [gpu("x"), gpu("c", 90), gpu("a", 80, ALICE), gpu("b", 70)])
    assert choose_device() == choose_device("cuda") == "cuda:1"
    assert cuda.current == ["cuda:1"] * 2
    assert choose_device("cuda:2") == "cuda:2"
    assert choose_device(left_to=[7]) == "cuda:1"
    cuda.show("ab", [gpu("b"), gpu("a")])
    assert [choose_device(), choose_device(last=True)] == ["cuda:0", "cuda:1"]


def test_the_only_gpu_has_no_number(cuda: Cuda) -> None:
    cuda.show("a", [gpu("a", 90, ALICE)])
    assert choose_device() == choose_device("cuda") == "cuda"
    assert cuda.current == []
    assert choose_device("cuda:0") == "cuda:0"


def test_a_number_that_is_not_there_is_refused(cuda: Cuda) -> None:
    cuda.show("ab", [], "2,3")
    assert find_device_type("cuda:1") == "cuda"
    with pytest.raises(ConfigError) as refused:
        choose_device("cuda:2")
    assert str(refused.value) == (
        "--device cuda:2 is not available here (there are 2 GPUs, cuda:0 to cuda:1, with "
        "CUDA_VISIBLE_DEVICES=2,3): use --device cuda or cpu"
    )


def test_a_second_gpu_only_if_nobody_uses_it(cuda: Cuda) -> None:
    cuda.show("abc", [gpu("a"), gpu("b", 0, ALICE), gpu("c")])
    assert another_idle_gpu("cuda:0") == "cuda:2"
    assert another_idle_gpu("cuda:2") == "cuda:0"
    cuda.show("ab", [gpu("a"), gpu("b", 0, ALICE)])
    assert another_idle_gpu("cuda:0") is None
    cuda.show("ab", [])
    assert another_idle_gpu("cuda:0") is another_idle_gpu("cpu") is None


def test_remarks_on_the_choice(cuda: Cuda) -> None:
    cuda.show("ab", [gpu("b", 0, ALICE), gpu("a")])
    shared = "cuda:1 is shared with alice (python, pid 4711, 5.0 GiB)"
    assert remarks(["cuda:0"], "auto") == ["of 2 GPUs, the least used: cuda:0"]
    assert remarks(["cuda:0", "cuda:1"], "cuda") == [
        "of 2 GPUs, the least used: cuda:0 and cuda:1",
        shared,
    ]
    assert remarks(["cuda:1"], "cuda:1") == [shared]
    cuda.show("b", [gpu("b", 0, ALICE), gpu("a")])
    assert remarks(["cuda"], "auto") == ["cuda is shared" + shared.removeprefix("cuda:1 is shared")]


OLD_DRIVER = (
    "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). "
    "Please update your GPU driver by downloading and installing a new version from the URL: ... "
    "(Triggered internally at /pytorch/c10/cuda/CUDAFunctions.cpp:109.)"
)


def test_an_old_driver_is_told_once(cuda: Cuda) -> None:
    """torch warns only at the first call of its process."""
    left = [OLD_DRIVER]

    def unavailable() -> bool:
        if left:
            warnings.warn(left.pop(), stacklevel=2)
        return False

    cuda.show("", [gpu("a")])
    cuda.monkeypatch.setattr(torch.cuda, "is_available", unavailable)
    cuda.monkeypatch.setattr(torch, "__version__", "2.11.0+cu130")
    cuda.monkeypatch.setattr(torch.version, "cuda", "13.0")
    why = (
        "the NVIDIA driver supports CUDA 11.4, but PyTorch 2.11.0+cu130 needs CUDA 13.0: update "
        "the driver, or install a PyTorch for the driver's version of CUDA from pytorch.org"
    )
    assert choose_device() == "cpu"
    assert remarks(["cpu"], "auto") == [f"the GPU is not used: {why}"]
    assert remarks(["cpu"], "cpu") == []
    with pytest.raises(ConfigError) as refused:
        choose_device("cuda")
    assert str(refused.value) == f"--device cuda is not available here ({why}): use --device cpu"


@pytest.mark.parametrize(
    ("version", "visible", "says"),
    [
        (None, None, "is built without CUDA, and there is an H100: install a build with CUDA"),
        ("13.0", "-1", "CUDA_VISIBLE_DEVICES='-1' hides it"),
        ("13.0", None, None),
    ],
)
def test_why_a_gpu_is_not_used(
    cuda: Cuda, version: str | None, visible: str | None, says: str | None
) -> None:
    cuda.show("", [gpu("a")], visible)
    cuda.monkeypatch.setattr(torch.version, "cuda", version)
    problem = cuda_problem()
    assert (says is None and problem is None) or (says is not None and says in str(problem))
    cuda.show("", [])
    assert cuda_problem() is None


def test_other_warnings_of_cuda_are_shortened(cuda: Cuda) -> None:
    cuda.show("", [])
    said = "CUDA initialization: CUDA unknown error - this may be due to x. Setting the available"
    cuda.monkeypatch.setattr(device, "_cuda_warnings", [said])
    assert cuda_problem() == "CUDA unknown error - this may be due to x"


def test_a_number_changes_neither_precision_nor_memory(cuda: Cuda) -> None:
    cuda.show("ab", [], "2,3")
    assert matmul_dtype("cuda:1", "bf16") == torch.bfloat16
    name = device_name("cuda:1", torch.bfloat16)
    assert name == "cuda:1 (H100 cuda:1, bf16, CUDA_VISIBLE_DEVICES=2,3)"
    assert total_memory("cuda:1") == 80 << 30
    cuda.show("", [])
    with pytest.warns(UserWarning, match="CUDA is not available"):
        context = autocast_context("cuda:1", torch.bfloat16)
    assert isinstance(context, torch.autocast)
    assert context.device == "cuda"


def test_the_memory_in_use_is_told(cuda: Cuda) -> None:
    cuda.show("a", [])
    cuda.monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 70 << 30)
    for free, others in ((9.5, ""), (3, ", others 7.0 GiB")):
        left = int(free * 2**30)
        cuda.monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, left=left: (left, 0))
        told = memory_in_use("cuda:0")
        assert told == f"this process uses 70.0 GiB of the 80.0 GiB of cuda:0{others}"
    own = re.fullmatch(
        r"this process uses (.*) GiB of the (.*) GiB of memory", memory_in_use("cpu")
    )
    assert own is not None
    assert 0 < float(own[1]) < float(own[2])


def test_out_of_memory_on_any_device() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


def test_threads_are_set_if_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", named.append)
    monkeypatch.setattr(device, "thread_limit", lambda threads: 0)
    choose_device("cpu")
    choose_device("cpu", threads=3)
    assert named == [3]


def test_threads_follow_the_quota_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", named.append)
    monkeypatch.setattr(device, "thread_limit", lambda threads: 2)
    choose_device("cpu")
    assert named == [2]


def test_precision() -> None:
    assert matmul_dtype("cpu", "bf16") == torch.bfloat16
    assert matmul_dtype("cpu", "fp32") == matmul_dtype("mps", "auto") == torch.float32
    with pytest.raises(ConfigError, match="bf16 is for cpu and cuda, not for mps"):
        matmul_dtype("mps", "bf16")


def test_the_name_says_what_is_not_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert device_name("cpu", torch.bfloat16) == "cpu (2 threads, bf16)"
    assert device_name("cpu", torch.float32) == "cpu (2 threads)"


def test_memory_is_what_the_container_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = psutil.virtual_memory().total
    for limited, expected in (
        (None, machine),
        (cgroup.Memory(limit=7 << 20, used=3), 7 << 20),
        (cgroup.Memory(limit=machine + 1, used=3), machine),
    ):
        monkeypatch.setattr(cgroup, "memory", lambda limited=limited: limited)
        assert total_memory("cpu") == expected
