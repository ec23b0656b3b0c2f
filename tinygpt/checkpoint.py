"""Checkpoints: save, restore, load. Each is a folder that appears complete or not at all.

``<run>/<variant>/step-00000500/`` holds ``model.safetensors`` (the weights),
``training.safetensors`` (the optimizer state, only in the newest few) and ``meta.json``, which
has the size and sha256 of both files, and everything else that a resume needs. None of them can
contain code. The snapshots of a large model, which are for looking at and not for resuming, are
its weights alone, in bf16; loaded, they are in fp32 again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from tinygpt import tensor_file
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.data.tokenizer_file import load_tokenizer
from tinygpt.errors import CheckpointError, TinyGPTWarning
from tinygpt.fields import SettingError
from tinygpt.files import atomic, safe_open
from tinygpt.files.paths import access_problem
from tinygpt.model.gpt import GPT
from tinygpt.model_config import ModelConfig, MoEConfig
from tinygpt.run.checkpoints import NAMES, CheckpointList, Name, Which, list_variant
from tinygpt.run.layout import (
    TOKENIZER,
    VARIANTS,
    StrPath,
    checkpoint_dir,
    list_steps,
    parse_step,
)
from tinygpt.run.meta import (
    BEFORE,
    EARLIER_MODEL,
    EARLIER_MOE,
    FORMAT,
    META,
    TRAINING,
    WEIGHTS,
    check_size,
    read_meta,
    recorded,
)
from tinygpt.run.status import read_state

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model to use, as it was at one step of a run."""

    model: GPT
    tokenizer: Tokenizer
    variant: str
    step: int
    val_loss: float | None
    """Over the validation split or its sample, in nats per token; None if not evaluated at this
    step."""
    path: Path
    chosen_as: Name | None = None
    """"best" or "newest"; None if the step was named."""


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


def save(run: StrPath, snapshot: Snapshot, *, weights_only: bool = False) -> Path:
    """Write a checkpoint atomically, flushed to disk; returns its folder.

    With `weights_only`, it has no training state, and its weights are in bf16.

    Raises:
        CheckpointError: it could not be written; no part of it is left.
    """
    target = checkpoint_dir(run, snapshot.variant, snapshot.step)
    try:
        with atomic.directory(target) as folder:
            files = {}
            parts = {WEIGHTS: snapshot.weights, TRAINING: snapshot.training}
            if weights_only:
                parts = {WEIGHTS: in_bf16(snapshot.weights)}
            for name, tensors in parts.items():
                files[name] = tensor_file.write(folder / name, tensors)
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
            (folder / META).write_text(_described(meta))
    except OSError as error:
        raise CheckpointError(f"cannot write the checkpoint {target}: {error.strerror}") from error
    return target


def reduce_to_weights(folder: Path) -> None:
    """Replace the weights of a checkpoint by the same in bf16, once its training state is deleted.

    It is whole at every moment, also if the process is killed: until the file is replaced, its
    description fits both. Does nothing to a checkpoint that was saved or reduced to its weights.

    Raises:
        CheckpointError: it is damaged.
        OSError: it cannot be written; it is as good as before.
    """
    meta = read_meta(folder)
    if TRAINING not in meta["files"]:
        return
    atomic.remove_leftovers(folder)
    weights = _tensors(folder, WEIGHTS, meta)
    size = os.stat(folder / WEIGHTS).st_size
    before = next(entry for entry in recorded(meta, WEIGHTS) if entry.get("bytes") == size)
    with atomic.replacement(folder / WEIGHTS) as written:
        entry = tensor_file.write(written, in_bf16(weights))
        meta["files"][WEIGHTS] = {**entry, BEFORE: {k: before[k] for k in ("bytes", "sha256")}}
        atomic.write_text(folder / META, _described(meta))
    meta["files"] = {WEIGHTS: entry}
    atomic.write_text(folder / META, _described(meta))


def restore(path: StrPath) -> Snapshot:
    """Read a checkpoint with its training state, to resume from it.

    Raises:
        CheckpointError: it is damaged, of a newer version, or its training state was pruned.
    """
    folder, meta = Path(path), read_meta(Path(path))
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


def load(path: StrPath, device: str = "cpu", step: Which | None = None) -> Checkpoint:
    """Load a model from a run, variant or step directory.

    Args:
        path: the directory. Of a run, the variant with the lower validation loss is loaded.
        device: where to compute.
        step: which checkpoint of a run or variant: "best" by validation loss, "newest", or that of
            a step. By default the newest while the run is being trained, else the best. If the best
            or the newest is damaged, the next one is loaded, with a `TinyGPTWarning`.

    Raises:
        CheckpointError: there is none, or it is damaged or of a newer version.
    """
    if step is not None and not isinstance(step, int) and step not in NAMES:
        raise CheckpointError(f"step={step!r} is not valid: it must be 'best', 'newest' or a step")
    folder = Path(path).absolute()
    if not _is_checkpoint(folder):
        return _load_from(*_find(folder, step), step, device)
    if step is not None:
        raise CheckpointError(f"{path} is a single checkpoint: leave out step={step!r}")
    return _load(folder, device)


def _load_from(
    run: Path, variant: str, listed: CheckpointList, which: Which | None, device: str
) -> Checkpoint:
    """The first of the checkpoints that may stand for `which` that is intact."""
    problems: dict[int, str] = {}
    for step in listed.ranked(which):
        try:
            found = _load(checkpoint_dir(run, variant, step), device)
        except CheckpointError as error:
            problems[step] = str(error)
            continue
        listed = listed.without(problems)
        if note := listed.note(which):
            warnings.warn(f"{variant}: {note}", TinyGPTWarning, stacklevel=3)
        return dataclasses.replace(found, chosen_as=listed.name(which))
    raise CheckpointError(next(iter(problems.values())))


def _load(folder: Path, device: str) -> Checkpoint:
    meta = read_meta(folder)
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

    With a sentence per newer one that is damaged, or for which `use` raised a CheckpointError; none
    for those that were saved without training state.

    Raises:
        CheckpointError: there is none; says what is wrong with each.
    """
    problems: list[str] = []
    for step in reversed(list_steps(run, variant)):
        folder = checkpoint_dir(run, variant, step)
        try:
            if TRAINING not in read_meta(folder)["files"]:
                continue
            snapshot = restore(folder)
            if use:
                use(snapshot)
        except CheckpointError as error:
            problems.append(str(error))
        else:
            return snapshot, problems
    why = f": {'; '.join(problems)}" if problems else ""
    raise CheckpointError(f"{Path(run, variant)} has no checkpoint to resume from{why}")


def _is_checkpoint(path: Path) -> bool:
    return os.path.isfile(path / META) or parse_step(path.name) is not None


def _find(path: Path, which: Which | None) -> tuple[Path, str, CheckpointList]:
    """The run and variant to load from a run or variant directory, and its checkpoints."""
    is_variant = bool(list_steps(path.parent, path.name))
    run, variants = (path.parent, [path.name]) if is_variant else (path, [*VARIANTS])
    live = read_state(run).active
    lists = {v: found for v in variants if (found := list_variant(run, v, live=live)).steps}
    if not lists:
        raise CheckpointError(_no_checkpoint(path))
    chosen = {v: step for v, found in lists.items() if (step := found.step(which)) is not None}
    if not chosen:
        steps = sorted({step for found in lists.values() for step in found.steps})
        raise CheckpointError(_no_such_step(path, which, steps))
    variant = next(iter(chosen))
    if len(chosen) > 1:
        variant = min(chosen, key=lambda v: _last_loss(checkpoint_dir(run, v, chosen[v])))
    return run, variant, lists[variant]


def _no_such_step(path: Path, which: object, steps: Sequence[int]) -> str:
    assert isinstance(which, int)
    nearest = min(steps, key=lambda step: abs(step - which))
    return f"{path} has no checkpoint of step {which:,}: the nearest is that of step {nearest:,}"


def _no_checkpoint(path: Path) -> str:
    for folder in (path, *(path / variant for variant in VARIANTS)):
        if why := access_problem(folder):
            return f"cannot look into {folder}: {why}"
    what = "has no checkpoint yet" if os.path.isdir(path) else "does not exist"
    return f"{path} {what}: name a run, one of its variants, or a checkpoint"


def _last_loss(folder: Path) -> float:
    """Validation loss of the last evaluation before this checkpoint; infinite without one."""
    loss = read_meta(folder)["progress"].get("val_loss")
    return loss if isinstance(loss, float) else math.inf


def _model_config(values: Mapping[str, Any], folder: Path) -> ModelConfig:
    moe = values.get("moe")
    if not isinstance(moe, dict | None):
        raise CheckpointError(f"{folder / META} has no valid 'model.moe'")
    for group, kind, given in (("gpt.", ModelConfig, values), ("moe.", MoEConfig, moe or {})):
        if unknown := sorted(given.keys() - {field.name for field in dataclasses.fields(kind)}):
            key = _key_in_meta(group + unknown[0])
            raise CheckpointError(f"{folder / META} has an unknown key {key}")
    try:
        experts = MoEConfig(**{**EARLIER_MOE, **moe}) if moe else None
        values = {**EARLIER_MODEL, **values, "moe": experts}
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
    file, entries = folder / name, recorded(meta, name)
    try:
        with safe_open.open_regular(file) as opened:
            size = os.fstat(opened.fileno()).st_size
            known = next((e for e in entries if e.get("bytes") == size), entries[0])
            check_size(file, size, known.get("bytes"))
            data = opened.read()
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}") from error
    except MemoryError as error:
        raise CheckpointError(f"{file} does not fit into memory") from error
    if known.get("sha256") != hashlib.sha256(data).hexdigest():
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


def _described(meta: Mapping[str, Any]) -> str:
    return json.dumps(meta, indent=1, allow_nan=False) + "\n"


def in_bf16(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rounded to the nearest: half the bytes, and more precision than a picture or a text shows."""
    return {name: tensor.detach().bfloat16() for name, tensor in tensors.items()}


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()
