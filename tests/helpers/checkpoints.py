"""A snapshot of a tiny model, to save as a checkpoint; and checkpoints that were altered."""

import hashlib
import json
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from tests.helpers.models import tiny
from tinygpt.checkpoint import Snapshot
from tinygpt.data.characters import CharTokenizer
from tinygpt.model_config import MoEConfig
from tinygpt.run.meta import META, WEIGHTS

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


def is_in_bf16(folder: Path) -> bool:
    """Whether the weights of a checkpoint are stored in bf16, all or none of them."""
    (kind,) = {t.dtype for t in safetensors.torch.load_file(folder / WEIGHTS).values()}
    return kind == torch.bfloat16


def alter_tensor(folder: Path, file: str, name: str, tensor: Tensor) -> None:
    """Replace a tensor of a checkpoint, and the sha256 of its file, which then agrees."""
    path, meta = folder / file, json.loads((folder / META).read_text())
    data = safetensors.torch.save({**safetensors.torch.load_file(path), name: tensor})
    path.write_bytes(data)
    meta["files"][file] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / META).write_text(json.dumps(meta))


def alter_progress(folder: Path, name: str, value: object) -> None:
    """Replace a number of a checkpoint's progress, also by what is not strict JSON."""
    meta = json.loads((folder / META).read_text())
    meta["progress"][name] = value
    (folder / META).write_text(json.dumps(meta))
