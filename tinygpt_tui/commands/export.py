"""``--export hf|csv DIR``: a model for Hugging Face's transformers, or the metrics as CSV."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from tinygpt.command.results import print_json, print_text
from tinygpt.command.streams import say
from tinygpt.errors import ConfigError
from tinygpt.escape import printable
from tinygpt.fields import nearest
from tinygpt_tui.commands.common import (
    about_checkpoint,
    checkpoint_path,
    chosen_step,
    load_checkpoint,
    reject_other_options,
    status_of,
)

FORMATS = ("hf", "csv")
OPTIONS = {"run", "out", "export", "json"}
OF_MODELS = {"model", "step"}
"""Options that only the export of a model has."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --export."""
    group = parser.add_argument_group("export, instead of opening the interface")
    group.add_argument(
        "--export",
        nargs=2,
        metavar=("hf|csv", "DIR"),
        help="hf: write a model to DIR for Hugging Face's transformers, of a run the variant with "
        "the lower loss unless --model names one; csv: write the metrics of both, a file per kind",
    )


def command(options: argparse.Namespace) -> int:
    """Export according to the parsed options; returns the exit status."""
    return status_of(lambda: _export(vars(options)))


def _export(given: dict[str, Any]) -> None:
    kind, folder = given["export"]
    if kind not in FORMATS:
        raise ConfigError(
            f"--export {kind!r} is not valid: it takes hf or csv, then a folder"
            f"{nearest(kind, FORMATS)}"
        )
    if not folder.strip():
        raise ConfigError(f"--export {kind} {folder!r} is no folder: name a new one")
    own = OPTIONS | OF_MODELS if kind == "hf" else OPTIONS
    reject_other_options(given, own, f"--export {kind}")
    path = checkpoint_path(given, "--export")
    written = _hf(given, path, folder) if kind == "hf" else _csv(path, folder)
    if "json" in given:
        print_json(written)
    else:
        print_text("".join(f"{printable(os.path.abspath(f))}\n" for f in written["files"]))


def _hf(given: dict[str, Any], path: Path, folder: str) -> dict[str, Any]:
    checkpoint = load_checkpoint(path, "cpu", chosen_step(given, path))
    from tinygpt.export.huggingface import export_hf  # noqa: PLC0415 - torch

    target = export_hf(checkpoint, folder)
    about = about_checkpoint(checkpoint)
    chosen = f" ({checkpoint.chosen_as})" if checkpoint.chosen_as else ""
    loss = "" if checkpoint.val_loss is None else f", validation loss {checkpoint.val_loss:.4f}"
    say(f"exported {checkpoint.variant} step {checkpoint.step:,}{chosen}{loss}")
    return {**about, "files": [str(target / name) for name in sorted(os.listdir(target))]}


def _csv(path: Path, folder: str) -> dict[str, Any]:
    from tinygpt.export.metrics_csv import export_csv  # noqa: PLC0415 - numpy
    from tinygpt.run.lookup import run_of  # noqa: PLC0415 - not for --help

    files = export_csv(run_of(path) or path, folder)
    return {"run": os.path.abspath(run_of(path) or path), "files": [str(file) for file in files]}
