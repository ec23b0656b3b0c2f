"""Checkpoints: save, restore, load. Each is a folder that appears complete or not at all.

``<run>/<variant>/step-00000500/`` holds ``model.safetensors`` (the weights),
``training.safetensors`` (the optimizer state, only in the newest few) and ``meta.json``, which
has the size and sha256 of both files, and everything else that a resume needs. None of them can
contain code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tinygpt.config import ModelConfig, MoEConfig
from tinygpt.data.tokenizer import CharTokenizer, load_tokenizer
from tinygpt.errors import CheckpointError
from tinygpt.fields import SettingError
from tinygpt.files import atomic, safe_open
from tinygpt.files.paths import access_problem
from tinygpt.model.gpt import GPT
from tinygpt.run.layout import (
    TOKENIZER,
    VARIANTS,
    StrPath,
    checkpoint_dir,
    list_steps,
    parse_step,
)
from tinygpt.run.lines import LARGEST

FORMAT = 1
META = "meta.json"
WEIGHTS = "model.safetensors"
TRAINING = "training.safetensors"
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LARGEST_META = 1 << 20
"""Bytes of the largest ``meta.json`` that is read."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model to use, as it was at one step of a run."""

    model: GPT
    tokenizer: CharTokenizer
    variant: str
    step: int
    val_loss: float | None
    """Over the validation split or its sample, in nats per token; None if not evaluated at this
    step."""
    path: Path


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state of one variant at one step: what a checkpoint stores."""

    variant: str
    step: int
    tokens: int
    val_loss: float | None
    config: ModelConfig
    weights: Mapping[str, Tensor]
    training: Mapping[str, Tensor]
    progress: Mapping[str, Any]
    """JSON values of `training.learner.Progress`: best loss, seconds, and so on."""
    pending: Literal["probe", "evaluation"] | None = None
    """What was to follow the last step, if it was saved in the middle of that."""


def save(run: StrPath, snapshot: Snapshot) -> Path:
    """Write a checkpoint atomically, flushed to disk; returns its folder.

    Raises:
        CheckpointError: it could not be written; no part of it is left.
    """
    target = checkpoint_dir(run, snapshot.variant, snapshot.step)
    try:
        with atomic.directory(target) as folder:
            files = {}
            for name, tensors in ((WEIGHTS, snapshot.weights), (TRAINING, snapshot.training)):
                data = safetensors.torch.save({k: _to_cpu(t) for k, t in tensors.items()})
                (folder / name).write_bytes(data)
                files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            meta = {
                "format": FORMAT,
                "variant": snapshot.variant,
                "step": snapshot.step,
                "tokens": snapshot.tokens,
                "val_loss": snapshot.val_loss,
                "model": dataclasses.asdict(snapshot.config),
                "progress": dict(snapshot.progress),
                "pending": snapshot.pending,
                "files": files,
            }
            (folder / META).write_text(json.dumps(meta, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise CheckpointError(f"cannot write the checkpoint {target}: {error.strerror}") from error
    return target


def restore(path: StrPath) -> Snapshot:
    """Read a checkpoint with its training state, to resume from it.

    Raises:
        CheckpointError: it is damaged, of a newer version, or its training state was pruned.
    """
    folder, meta = Path(path), _meta(Path(path))
    return Snapshot(
        variant=meta["variant"],
        step=meta["step"],
        tokens=meta["tokens"],
        val_loss=meta["val_loss"],
        config=_model_config(meta["model"], folder),
        weights=_tensors(folder, WEIGHTS, meta),
        training=_tensors(folder, TRAINING, meta),
        progress=meta["progress"],
        pending=meta["pending"],
    )


def load(path: StrPath, device: str = "cpu") -> Checkpoint:
    """Load a model from a run, variant or step directory.

    For a variant, that is its newest checkpoint; for a run, the newest of the variant with the
    lower validation loss.

    Raises:
        CheckpointError: there is none, or it is damaged or of a newer version.
    """
    folder = _choose(Path(path).absolute())
    meta = _meta(folder)
    config = _model_config(meta["model"], folder)
    weights = _tensors(folder, WEIGHTS, meta)
    # Compared before the model is created: a forged size could ask for any amount of memory.
    stored, expected = sum(t.numel() for t in weights.values()), config.stored_numbers()
    if stored != expected:
        raise CheckpointError(
            f"{folder / WEIGHTS} does not fit the model in {META}: "
            f"it has {stored:,} numbers, but the model has {expected:,}"
        )
    model = GPT(config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder / WEIGHTS} does not fit the model in {META}: {_last_line(error)}"
        ) from error
    tokenizer = load_tokenizer(folder.parent.parent / TOKENIZER)
    if tokenizer.vocab_size != config.vocab_size:
        raise CheckpointError(
            f"{folder} has {config.vocab_size} tokens, "
            f"but the run's {TOKENIZER} has {tokenizer.vocab_size}"
        )
    model.to(device).eval()
    return Checkpoint(model, tokenizer, meta["variant"], meta["step"], meta["val_loss"], folder)


def newest_resumable(
    run: StrPath, variant: str, use: Callable[[Snapshot], None] | None = None
) -> tuple[Snapshot, list[str]]:
    """The newest checkpoint of a variant that is intact and that `use` takes.

    With a sentence per newer one that is damaged, or for which `use` raised a CheckpointError.

    Raises:
        CheckpointError: there is none; says what is wrong with each.
    """
    problems: list[str] = []
    for step in reversed(list_steps(run, variant)):
        try:
            snapshot = restore(checkpoint_dir(run, variant, step))
            if use:
                use(snapshot)
        except CheckpointError as error:
            problems.append(str(error))
        else:
            return snapshot, problems
    why = f": {'; '.join(problems)}" if problems else ""
    raise CheckpointError(f"{Path(run, variant)} has no checkpoint to resume from{why}")


def _choose(path: Path) -> Path:
    """The step directory to load for a run, variant or step directory."""
    if os.path.isfile(path / META) or parse_step(path.name) is not None:
        return path
    if steps := list_steps(path.parent, path.name):
        return checkpoint_dir(path.parent, path.name, steps[-1])
    newest = [
        checkpoint_dir(path, variant, steps[-1])
        for variant in VARIANTS
        if (steps := list_steps(path, variant))
    ]
    if not newest:
        raise CheckpointError(_no_checkpoint(path))
    return min(newest, key=_last_loss) if len(newest) > 1 else newest[0]


def _no_checkpoint(path: Path) -> str:
    for folder in (path, *(path / variant for variant in VARIANTS)):
        if why := access_problem(folder):
            return f"cannot look into {folder}: {why}"
    what = "has no checkpoint yet" if os.path.isdir(path) else "does not exist"
    return f"{path} {what}: name a run, one of its variants, or a checkpoint"


def _last_loss(folder: Path) -> float:
    """Validation loss of the last evaluation before this checkpoint; infinite without one."""
    loss = _meta(folder)["progress"].get("val_loss")
    return loss if isinstance(loss, float) else math.inf


_REQUIRED = {
    "variant": str,
    "step": int,
    "tokens": int,
    "model": dict,
    "progress": dict,
    "files": dict,
}


def _meta(folder: Path) -> dict[str, Any]:
    file = folder / META
    try:
        text = safe_open.read_text(file, LARGEST_META)
        meta = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not strict JSON in UTF-8: {error}") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("format"), int):
        raise CheckpointError(f"{file} does not describe a checkpoint")
    if meta["format"] > FORMAT:
        raise CheckpointError(
            f"{file} was written by a newer version: upgrade tinygpt-tui to read it"
        )
    _check(meta, file)
    return meta


def _finite(text: str) -> float:
    """A number in JSON, where Python also reads NaN, Infinity and 1e999."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _check(meta: dict[str, Any], file: Path) -> None:
    """Raises CheckpointError if a value is not valid."""
    for key, kind in _REQUIRED.items():
        if not isinstance(meta.get(key), kind) or isinstance(meta[key], bool):
            raise CheckpointError(f"{file} has no valid {key!r}")
    for key in ("step", "tokens"):
        if not 0 <= meta[key] < LARGEST:
            raise CheckpointError(f"{file} has no valid {key!r}")
    if meta["variant"] not in VARIANTS:
        raise CheckpointError(f"{file} has an unknown variant {meta['variant']!r}")
    if not isinstance(meta.setdefault("val_loss", None), float | None):
        raise CheckpointError(f"{file} has no valid 'val_loss'")
    if meta.setdefault("pending", None) not in (None, "probe", "evaluation"):
        raise CheckpointError(f"{file} has no valid 'pending'")


def _model_config(values: Mapping[str, Any], folder: Path) -> ModelConfig:
    moe = values.get("moe")
    if not isinstance(moe, dict | None):
        raise CheckpointError(f"{folder / META} has no valid 'model.moe'")
    for group, kind, given in (("gpt.", ModelConfig, values), ("moe.", MoEConfig, moe or {})):
        if unknown := sorted(given.keys() - {field.name for field in dataclasses.fields(kind)}):
            key = _key_in_meta(group + unknown[0])
            raise CheckpointError(f"{folder / META} has an unknown key {key}")
    try:
        # The first models had no convolution and did not store its size.
        values = {"conv_size": 1, **values, "moe": MoEConfig(**moe) if moe else None}
        return ModelConfig(**values)
    except SettingError as error:
        why = error.naming(_key_in_meta)
        raise CheckpointError(f"{folder / META} has no valid model: {why}") from error


def _key_in_meta(setting: str) -> str:
    """The key of a setting in meta.json: "gpt.width" is the "width" of its "model"."""
    group, _, name = setting.partition(".")
    return f"model.moe.{name}" if group == "moe" else f"model.{name}"


def _tensors(folder: Path, name: str, meta: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of one file, verified: its size and sha256, and that all numbers are finite.

    A training saves nothing else, so other tensors are not what this program wrote, whatever their
    sha256.
    """
    file, recorded = folder / name, meta["files"].get(name)
    try:
        with safe_open.open_regular(file) as opened:
            size = os.fstat(opened.fileno()).st_size
            if not isinstance(recorded, dict) or recorded.get("bytes") != size:
                raise CheckpointError(
                    f"{file} is not the file that was saved: it has {size:,} bytes"
                )
            data = opened.read()
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}") from error
    except MemoryError as error:
        raise CheckpointError(f"{file} does not fit into memory") from error
    if recorded.get("sha256") != hashlib.sha256(data).hexdigest():
        raise CheckpointError(
            f"{file} is not the file that was saved: its sha256 differs from {META}"
        )
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{file} is not a safetensors file: {error}") from error
    for key, tensor in tensors.items():
        if tensor.dtype not in _FLOATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(f"{file} is damaged: {key} is {kind}, not floating-point numbers")
        if tensor.numel() and not _is_finite(tensor):
            raise CheckpointError(f"{file} is damaged: {key} has a number that is not finite")
    return dict(tensors)


def _is_finite(tensor: Tensor) -> bool:
    """In one pass, where `isfinite` would make a copy. In fp32, in which it will be used."""
    low, high = tensor.float().aminmax()
    return math.isfinite(low) and math.isfinite(high)


def _to_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
