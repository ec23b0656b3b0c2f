"""Where to compute, in what precision, and how both are named."""

import psutil  # type: ignore[import-untyped,unused-ignore]
import pytest
import torch

from tinygpt import cgroup, device
from tinygpt.device import choose_device, device_name, matmul_dtype, total_memory
from tinygpt.errors import ConfigError


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
