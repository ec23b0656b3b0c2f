"""``--init-from RUN``: what the settings of a new run take from the run that it starts from.

The shape of the model and the tokenizer are those of that run; all else is as for any new run.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinygpt.config import dotted_fields
from tinygpt.errors import CheckpointError, ConfigError, RunError
from tinygpt.fields import as_text, convert, flag
from tinygpt.model_config import ModelConfig

_NOT_SHAPE = ("gpt.dropout",)
_MOE_SHAPE = ("experts", "top_k")


def with_initial_run(requested: dict[str, object], out: str) -> dict[str, object]:
    """The settings of a new run, with those of the run that its weights are from.

    Args:
        requested: settings by dotted name; without ``init_from``, they are returned as they are.
        out: where runs live.

    Raises:
        ConfigError: there is no such run or checkpoint, or a setting contradicts it.
    """
    name = requested.get("init_from")
    if not isinstance(name, str):
        return requested
    from tinygpt.run import TOKENIZER, read_config  # noqa: PLC0415 - not for --help
    from tinygpt.run.initial import find_initial  # noqa: PLC0415
    from tinygpt.run.lookup import find_run  # noqa: PLC0415
    from tinygpt.run.meta import read_meta  # noqa: PLC0415

    try:
        path = find_run(name, out)
        initial = find_initial(path)
        model = _model(requested, name, [*initial.steps])
        variants = [*initial.steps] if model == "both" else [model]
        metas = [read_meta(initial.checkpoint(variant)) for variant in variants]
        config = read_config(initial.run) if os.path.isfile(initial.run / "run.toml") else {}
    except (RunError, CheckpointError) as error:
        raise ConfigError(f"--init-from {name!r}: {error}") from error
    tokenizer = str(initial.run / TOKENIZER)
    given = {"preset": config.get("preset"), "tokenizer": tokenizer}
    shape = {key: value for meta in metas for key, value in _shape(meta["model"])}
    _refuse_others(requested, name, {**given, **shape})
    preset = requested.get("preset", "auto")
    preset = config.get("preset", "nano") if preset == "auto" else preset
    return {
        **requested,
        **shape,
        "preset": preset,
        "model": model,
        "tokenizer": tokenizer,
        "init_from": os.path.abspath(path),
    }


def _model(requested: Mapping[str, object], name: str, variants: list[str]) -> str:
    """Which variants to train: those asked for, else those that there are weights of."""
    if not variants:
        raise ConfigError(f"--init-from {name!r} has no checkpoint yet")
    there = variants[0] if len(variants) == 1 else "both"
    model = str(requested.get("model", there))
    if model in ("both", "dense", "moe") and there not in ("both", model):
        raise ConfigError(
            f"--model {model} contradicts --init-from {name}, which has the weights of {there} "
            f"only: omit --model"
        )
    return model


def _shape(model: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The settings of the shape, by dotted name, as a checkpoint describes its model."""
    from tinygpt.run.meta import EARLIER_MODEL  # noqa: PLC0415 - not for --help

    values = {**EARLIER_MODEL, **model}
    for field in dataclasses.fields(ModelConfig):
        name = f"gpt.{field.name}"
        if "help" in field.metadata and name not in _NOT_SHAPE and field.name in values:
            yield name, values[field.name]
    moe = values.get("moe")
    if isinstance(moe, Mapping):
        yield from ((f"moe.{name}", moe[name]) for name in _MOE_SHAPE if name in moe)


def _refuse_others(requested: Mapping[str, object], name: str, given: Mapping[str, object]) -> None:
    """Raises ConfigError for a setting that is not as it is in the run to start from."""
    fields = dict(dotted_fields())
    if requested.get("vocab_size") is not None:
        raise ConfigError(
            f"--vocab-size contradicts --init-from {name}, whose tokenizer is taken: omit "
            "--vocab-size"
        )
    for key in requested.keys() & given.keys():
        wanted, own = requested[key], given[key]
        if own is None or (key, wanted) == ("preset", "auto"):
            continue
        if key == "tokenizer" and Path(str(wanted)).absolute() in _places(Path(str(own))):
            continue
        if convert(fields[key], wanted, key) != own:
            what = "whose tokenizer is taken" if key == "tokenizer" else f"which has {as_text(own)}"
            raise ConfigError(
                f"{flag(key)} {as_text(wanted)} contradicts --init-from {name}, {what}: omit "
                f"{flag(key)}"
            )


def _places(tokenizer: Path) -> tuple[Path, Path]:
    """How a setting may name a tokenizer: by its file, or by its run."""
    return tokenizer, tokenizer.parent
