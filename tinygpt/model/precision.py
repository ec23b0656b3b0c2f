"""The precision of what must not be computed in bf16: attention weights and routing."""

import torch
from torch import Tensor


def at_least_fp32(x: Tensor) -> Tensor:
    """`x` in fp32, where it may be in a lower precision; fp64 stays fp64."""
    return x if x.dtype == torch.float64 else x.float()
