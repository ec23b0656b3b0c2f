"""A snapshot of a tiny model, to save as a checkpoint."""

import torch

from tests.helpers.models import tiny
from tinygpt.checkpoint import Snapshot
from tinygpt.config import MoEConfig
from tinygpt.data.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer.train("\n abcdefghijk")


def snapshot(variant: str = "dense", step: int = 7, loss: float | None = 1.5) -> Snapshot:
    model = tiny(moe=MoEConfig() if variant == "moe" else None, seed=step)
    return Snapshot(
        variant=variant,
        step=step,
        tokens=step * 11,
        val_loss=loss,
        config=model.config,
        weights=model.state_dict(),
        training={"muon.0.momentum": torch.randn(3, 5), "adamw.1.step": torch.tensor(7.0)},
        progress={"step": step, "val_loss": loss},
    )
