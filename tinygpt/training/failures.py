"""What torch raises, as one sentence for the user."""

from __future__ import annotations

from collections.abc import Collection

from tinygpt.config import RunConfig
from tinygpt.device import is_out_of_memory, memory_in_use
from tinygpt.errors import TinyGPTError, first_line


def one_sentence(error: Exception, step: int, config: RunConfig, devices: Collection[str]) -> str:
    """What ended a training on `devices`; `step` is the last step taken before it."""
    if isinstance(error, TinyGPTError):
        return str(error)
    if is_out_of_memory(error):
        used = "; ".join(memory_in_use(device) for device in sorted(set(devices)))
        return f"out of memory after step {step} ({used}): {_lower(config)}"
    return f"{type(error).__name__} after step {step}: {first_line(error)}"


def not_compiled(error: Exception) -> str:
    """Why a model is trained without torch.compile."""
    return f"torch.compile does not work here, so training is slower: {_compiler_problem(error)}"


def _lower(config: RunConfig) -> str:
    """What needs less memory. Half the sequences in twice as many micro-batches learn the same."""
    train = config.train
    if train.batch == 1:
        return "start a run with a smaller --gpt.context or --gpt.width"
    same = f"--train.batch {train.batch // 2} --train.accumulate {2 * train.accumulate}"
    return f"start a run with {same}, or with a smaller --gpt.context or --gpt.width"


def _compiler_problem(error: Exception) -> str:
    text = str(error)
    if "C compiler" in text or "C++ compiler" in text:
        return "there is no C compiler; install gcc, or name one in the variables CC and CXX"
    if "working triton installation" in text:
        return "Triton is not installed; install the package triton"
    if "CalledProcessError" in text:
        return (
            "the C compiler failed, perhaps for lack of Python's headers (python3-dev); "
            "its output is in train.log"
        )
    return first_line(error)
