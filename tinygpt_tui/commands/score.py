"""``--score FILE``: the loss of a text per token and per byte, for scripts.

Computed as the evaluation during training is, by the same function and in the same precision: the
text of the validation split has the run's recorded validation loss.
"""

from __future__ import annotations

import argparse
import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygpt.command.options import path as path_type
from tinygpt.command.results import print_json, print_text
from tinygpt.errors import ConfigError, RunError, TinyGPTError
from tinygpt.escape import printable
from tinygpt.fields import whole_number
from tinygpt_tui.commands.common import (
    about_checkpoint,
    checkpoint_path,
    chosen_step,
    load_checkpoint,
    read_input,
    reject_other_options,
    status_of,
)

if TYPE_CHECKING:
    from tinygpt.checkpoint import Checkpoint

OPTIONS = {"run", "out", "score", "stride", "json", "model", "step", "device"}
ROWS = (
    ("checkpoint step", "step", "{:,}"),
    ("nats per token", "loss", "{:.4f}"),
    ("perplexity", "perplexity", "{:.3f}"),
    ("nats per byte", "loss_per_byte", "{:.4f}"),
    ("bits per byte", "bits_per_byte", "{:.4f}"),
    ("validation loss", "val_loss", "{:.4f}"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --score and --stride."""
    group = parser.add_argument_group("score a text, instead of opening the interface")
    group.add_argument(
        "--score",
        metavar="FILE",
        type=path_type,
        help="print the loss per token and per byte of the text in FILE (- is stdin), of each "
        "variant; as in training, the first token is not predicted and does not count, and each "
        "window of the context length starts without what precedes it",
    )
    group.add_argument(
        "--stride",
        metavar="N",
        help="start a window every N tokens, and count its last N only: all but the first have at "
        "least context - N tokens before them (default: the context, as in training)",
    )


def command(options: argparse.Namespace) -> int:
    """Score a text according to the parsed options; returns the exit status."""
    return status_of(lambda: _score(vars(options)))


def _score(given: dict[str, Any]) -> None:
    reject_other_options(given, OPTIONS, "--score")
    if given.get("model") == "both":
        given = {name: value for name, value in given.items() if name != "model"}
    path = checkpoint_path(given, "--score")
    step = chosen_step(given, path)
    file = given["score"]
    text = read_input(file, "--score")
    scores = {}
    for folder in _variants(path):
        checkpoint = load_checkpoint(folder, given.get("device", "auto"), step)
        stride = _stride(given.get("stride"), checkpoint.model.config.context)
        scores[checkpoint.variant] = score(checkpoint, text, stride, file)
    found = report(file, text, scores)
    if "json" in given:
        print_json(found)
    else:
        print_text("\n".join(table(found)) + "\n")


def _variants(path: Path) -> list[Path]:
    """The variants of a run that have a checkpoint; `path` itself if it is no run, or has none."""
    from tinygpt.run import VARIANTS, list_steps  # noqa: PLC0415 - not for --help

    return [path / variant for variant in VARIANTS if list_steps(path, variant)] or [path]


def _stride(text: str | None, context: int) -> int:
    if text is None:
        return context
    return whole_number(text, "--stride", context, "the context")


def score(checkpoint: Checkpoint, text: str, stride: int, file: str) -> dict[str, Any]:
    """The loss of `text` by one model, which starts a window of its context every `stride` tokens.

    In nats and bits; `scored_tokens` and `scored_bytes` are without the first token. `file` is
    where the text is from, for errors.

    Raises:
        ConfigError: the text has less than two tokens, or a character that the model does not know.
    """
    import torch  # noqa: PLC0415 - not for --help

    from tinygpt.device import autocast_context, matmul_dtype, on_device  # noqa: PLC0415
    from tinygpt.training.evaluation import evaluate_text, perplexity  # noqa: PLC0415

    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    try:
        ids = tokenizer.encode_array(text)
    except TinyGPTError as error:
        raise ConfigError(f"--score {file}: {error}") from error
    if len(ids) < 2:
        raise ConfigError(f"--score {file} has fewer than 2 tokens: nothing can be predicted")
    device = str(model.device)
    dtype = matmul_dtype(device, _precision(checkpoint.path))
    with on_device(device), autocast_context(device, dtype):
        loss = evaluate_text(model, torch.from_numpy(ids).to(device), stride)
    scored_bytes = len(text.encode()) - len(tokenizer.token_bytes(int(ids[0])))
    per_byte = loss * (len(ids) - 1) / scored_bytes
    return {
        **about_checkpoint(checkpoint),
        "context": model.config.context,
        "stride": stride,
        "precision": "bf16" if dtype == torch.bfloat16 else "fp32",
        "tokens": len(ids),
        "scored_tokens": len(ids) - 1,
        "scored_bytes": scored_bytes,
        "loss": loss,
        "perplexity": perplexity(loss),
        "loss_per_byte": per_byte,
        "bits_per_byte": per_byte / math.log(2),
    }


def _precision(checkpoint: Path) -> str:
    """The setting ``train.precision`` of the run that a checkpoint is from, if that is known."""
    from tinygpt.run import read_config  # noqa: PLC0415 - not for --help

    with suppress(RunError):
        train = read_config(checkpoint.parent.parent).get("train")
        precision = train.get("precision") if isinstance(train, dict) else None
        if precision in ("bf16", "fp32"):
            return str(precision)
    return "auto"


def report(file: str, text: str, scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The object of ``--json``."""
    return {"file": file, "chars": len(text), "bytes": len(text.encode()), "models": scores}


def table(found: dict[str, Any]) -> list[str]:
    """The scores as lines of text, one column per variant."""
    models = found["models"].values()
    first = next(iter(models))
    title = (
        f"{printable(found['file'])}: {first['tokens']:,} tokens, {found['bytes']:,} bytes; "
        f"context {first['context']}, stride {first['stride']}"
    )
    lines = [title, "", " " * 17 + "".join(f"{model['variant']:>12}" for model in models)]
    for name, key, form in ROWS:
        values = [model[key] for model in models]
        cells = ["-" if value is None else form.format(value) for value in values]
        lines.append(f"{name:<17}" + "".join(f"{cell:>12}" for cell in cells))
    return lines
