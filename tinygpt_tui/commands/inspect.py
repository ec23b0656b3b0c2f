"""``--inspect TEXT``: attention and routing of a text as a table, JSON or files, for scripts."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygpt.command.options import path
from tinygpt.command.results import print_json, print_text
from tinygpt.errors import ConfigError
from tinygpt.escape import printable
from tinygpt_tui.commands.common import (
    about_checkpoint,
    checkpoint_path,
    chosen_step,
    load_checkpoint,
    reject_other_options,
    status_of,
    text_or_stdin,
)

if TYPE_CHECKING:
    from torch import Tensor

    from tinygpt.analysis.inspection import Inspection
    from tinygpt.checkpoint import Checkpoint

OPTIONS = {"run", "out", "inspect", "inspect_out", "json", "model", "step", "device"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --inspect and --inspect-out."""
    group = parser.add_argument_group("inspect a text, instead of opening the interface")
    group.add_argument(
        "--inspect",
        metavar="TEXT",
        help="print statistics of each attention head on TEXT and exit; - reads TEXT from stdin",
    )
    group.add_argument(
        "--inspect-out",
        metavar="DIR",
        type=path,
        help="write attention.npz, heads.csv and routing.csv to DIR",
    )


def command(options: argparse.Namespace) -> int:
    """Inspect a text according to the parsed options; returns the exit status."""
    return status_of(lambda: _inspect(vars(options)))


def _inspect(given: dict[str, Any]) -> None:
    reject_other_options(given, OPTIONS, "--inspect")
    found = checkpoint_path(given, "--inspect")
    step = chosen_step(given, found)
    text = text_or_stdin(given["inspect"])
    inspected = InspectedText(load_checkpoint(found, given.get("device", "auto"), step), text)
    files = []
    if "inspect_out" in given:
        files = write_files(inspected, Path(given["inspect_out"]))
    if "json" in given:
        print_json(report(inspected))
    else:
        lines = [printable(os.path.abspath(file)) for file in files] or table(inspected)
        print_text("\n".join(lines) + "\n")


class InspectedText:
    """A text and one forward pass over it, or over its last window if it exceeds the context.

    The statistics `duplicate` and `induction` do not depend on the text: they are measured on
    random tokens, half a context of them (at most 512) repeated once.

    Raises:
        TinyGPTError: the text is empty or has a character outside the model's vocabulary.
    """

    def __init__(self, checkpoint: Checkpoint, text: str) -> None:
        from tinygpt.analysis import attention_maps, heads  # noqa: PLC0415 - torch
        from tinygpt.analysis.inspection import inspect_tokens, surprisal, window_start  # noqa: PLC0415

        context = checkpoint.model.config.context
        ids = checkpoint.tokenizer.encode(text)
        self.checkpoint, self.text, self.total = checkpoint, text, len(ids)
        self.start = window_start(len(ids), context, None)
        self.ids = ids[self.start :]
        self.tokens = [checkpoint.tokenizer.token_text(token) for token in self.ids]
        self.inspection: Inspection = inspect_tokens(checkpoint.model, self.ids)
        self.surprisal: Tensor = surprisal(self.inspection.logits, self.ids)
        self.statistics = heads.statistics(self.inspection.attention)
        self.uniform_baseline = attention_maps.uniform_baseline(len(self.ids))
        if (half := heads.repeated_length(checkpoint.model.config)) > 1:
            self.statistics |= heads.repeated(checkpoint.model, half)
            self.uniform_baseline |= attention_maps.repeated_baseline(half)

    @property
    def loss(self) -> float:
        """Mean nats per token without the first one; NaN for a single token."""
        return float(self.surprisal[1:].mean())


def write_files(inspected: InspectedText, folder: Path) -> list[Path]:
    """Write attention.npz, heads.csv and routing.csv to `folder`, each atomically.

    Raises:
        ConfigError: a file cannot be written.
    """
    import numpy as np  # noqa: PLC0415 - not for --help

    from tinygpt.analysis import export  # noqa: PLC0415 - numpy

    inspection = inspected.inspection
    router = None if inspection.router is None else inspection.router.numpy()
    choice = None if inspection.choice is None else inspection.choice.numpy()
    arrays = {
        "attention": inspection.attention.numpy(),
        "tokens": np.array(inspected.tokens),
        "ids": np.array(inspected.ids),
    }
    if router is not None and choice is not None:
        arrays |= {"router": router, "choice": choice}
    names = ("attention.npz", "heads.csv", "routing.csv")
    archive, by_head, routing = (folder / name for name in names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        export.write_npz(archive, **arrays)
        export.write_heads_csv(by_head, {k: v.numpy() for k, v in inspected.statistics.items()})
        export.write_routing_csv(routing, inspected.tokens, router, choice)
    except OSError as error:
        raise ConfigError(f"--inspect-out {folder} cannot be written: {error.strerror}") from error
    return [archive, by_head, routing]


def report(inspected: InspectedText) -> dict[str, Any]:
    """All but the attention weights, for JSON: lists by layer, head and token; loss in nats."""
    inspection, checkpoint = inspected.inspection, inspected.checkpoint
    return {
        **about_checkpoint(checkpoint),
        "text": inspected.text,
        "total": inspected.total,
        "start": inspected.start,
        "tokens": inspected.tokens,
        "loss": inspected.loss,
        "surprisal": inspected.surprisal.tolist(),
        "statistics": {name: table.tolist() for name, table in inspected.statistics.items()},
        "chance": inspected.uniform_baseline,
        "router": None if inspection.router is None else inspection.router.tolist(),
        "choice": None if inspection.choice is None else inspection.choice.tolist(),
    }


def table(inspected: InspectedText) -> list[str]:
    """The statistics of each head and the load of each expert, as lines of text."""
    last = inspected.start + len(inspected.ids) - 1
    checkpoint = inspected.checkpoint
    title = f"{checkpoint.variant} step {checkpoint.step}"
    if checkpoint.chosen_as:
        val = "" if checkpoint.val_loss is None else f", val {checkpoint.val_loss:.4f}"
        title += f" ({checkpoint.chosen_as}{val})"
    loss = "" if math.isnan(inspected.loss) else f", loss {inspected.loss:.4f} nats/token"
    lines = [
        f"{title}: tokens {inspected.start} to {last} of {inspected.total}{loss}",
        "",
        "layer head" + "".join(f"{name:>10}" for name in inspected.statistics),
    ]
    for layer, head in _each_head(inspected):
        numbers = [float(values[layer, head]) for values in inspected.statistics.values()]
        lines.append(f"{layer:5}{head:5}" + "".join(f"{number:10.3f}" for number in numbers))
    uniform = "".join(f"{number:10.3f}" for number in inspected.uniform_baseline.values())
    return [*lines, f"{'uniform':>10}{uniform}", *_experts(inspected)]


def _each_head(inspected: InspectedText) -> list[tuple[int, int]]:
    layers, heads = inspected.inspection.attention.shape[:2]
    return [(layer, head) for layer in range(layers) for head in range(heads)]


def _experts(inspected: InspectedText) -> list[str]:
    """The share of the tokens routed to each expert, one row per layer; empty for Dense."""
    inspection = inspected.inspection
    if inspection.router is None or inspection.choice is None:
        return []
    from tinygpt.analysis import routing  # noqa: PLC0415 - numpy

    config = inspected.checkpoint.model.config
    experts = inspection.router.shape[-1]
    load = routing.load(
        routing.expert_counts(inspection.choice.numpy(), inspected.ids, experts, config.vocab_size)
    )
    names = "".join(f"{f'expert {expert}':>10}" for expert in range(experts))
    rows = ["".join(f"{share:10.1%}" for share in row) for row in load]
    return ["", f"layer{names}", *(f"{layer:5}{row}" for layer, row in enumerate(rows))]
