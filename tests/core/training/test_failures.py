"""What torch raises is one sentence that says what to do."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.helpers.training import make_session, train_session
from tinygpt.config import build
from tinygpt.errors import RunError
from tinygpt.run import read_state
from tinygpt.training.failures import not_compiled, one_sentence

SLOWER = "torch.compile does not work here, so training is slower: "


@pytest.mark.parametrize(
    ("batch", "lower"),
    [
        (
            7,
            "--train.batch 3 --train.accumulate 10, or with a smaller --gpt.context or --gpt.width",
        ),
        (1, "a smaller --gpt.context or --gpt.width"),
    ],
)
def test_out_of_memory_names_what_to_lower(batch: int, lower: str) -> None:
    config = build({"train.batch": batch, "train.accumulate": 5})
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")
    said = one_sentence(error, 11, config, ["cpu", "cpu"])
    used, remedy = said.split(": ")
    memory = r"this process uses \d+\.\d GiB of the \d+\.\d GiB of memory"
    assert re.fullmatch(rf"out of memory after step 11 \({memory}\)", used)
    assert remedy.endswith(lower)


@pytest.fixture
def little_gpu_memory() -> Iterator[None]:
    """Of the GPU's memory, 256 MiB for this process."""
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(2**28 / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.gpu
@pytest.mark.usefixtures("little_gpu_memory")
def test_a_gpu_whose_memory_is_full_ends_a_training_with_one_sentence(tmp_path: Path) -> None:
    large = {"train__batch": 300_007, "train__accumulate": 1, "train__compile": False}
    outcome = train_session(make_session(tmp_path, device="cuda", **large))
    assert outcome.state == "failed"
    assert outcome.error
    used, remedy = outcome.error.split(": ", 1)
    memory = r"this process uses \d+\.\d GiB of the \d+\.\d GiB of cuda"
    assert re.match(rf"out of memory after step 0 \({memory}", used)
    assert remedy.startswith("start a run with --train.batch 150003 --train.accumulate 2, or ")
    assert read_state(tmp_path / "run").state == "failed"


def test_other_exceptions_keep_their_first_line() -> None:
    config = build({})
    assert one_sentence(RunError("run.toml: no"), 3, config, ["cpu"]) == "run.toml: no"
    error = RuntimeError("CUDA error: an illegal memory access\nCompile with ...")
    said = "RuntimeError after step 3: CUDA error: an illegal memory access"
    assert one_sentence(error, 3, config, ["cuda"]) == said
    assert one_sentence(KeyError(), 3, config, ["cpu"]) == "KeyError after step 3: KeyError"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("RuntimeError: Failed to find C compiler. Please specify via CC", "no C compiler;"),
        ("TritonMissing: Cannot find a working triton installation. ", "Triton is not installed"),
        ("CalledProcessError: Command '['/usr/bin/gcc', ...]' returned", "the C compiler failed"),
        ("TypeError: no\n\nSet TORCHDYNAMO_VERBOSE=1", "TypeError: no"),
    ],
)
def test_why_nothing_is_compiled(text: str, why: str) -> None:
    said = not_compiled(RuntimeError(text))
    assert said.startswith(SLOWER)
    assert why in said
    assert "\n" not in said
