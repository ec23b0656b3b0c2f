"""``--inspect TEXT``: attention and routing of a text, without the interface, for scripts."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygpt.errors import ConfigError
from tinygpt_tui.commands.common import checkpoint_path, refuse_others, status_of, text_given

if TYPE_CHECKING:
    from torch import Tensor

    from tinygpt.analysis.inspection import Inspection
    from tinygpt.checkpoint import Checkpoint

OWN = {"run", "out", "inspect", "inspect_out", "json", "model", "device"}
"""Options of the command that mean something here."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """--inspect and what says how."""
    group = parser.add_argument_group("a look inside, instead of the interface")
    group.add_argument(
        "--inspect",
        metavar="TEXT",
        help="say what each head does with TEXT, then exit; - reads TEXT from stdin",
    )
    group.add_argument(
        "--inspect-out",
        metavar="DIR",
        help="write attention.npz, heads.csv and routing.csv into DIR",
    )


def command(options: argparse.Namespace) -> int:
    """Look at a text as the parsed options say; the exit status."""
    return status_of(lambda: _inspect(vars(options)))


def _inspect(given: dict[str, Any]) -> None:
    from tinygpt import load  # noqa: PLC0415 - torch
    from tinygpt.config import build  # noqa: PLC0415
    from tinygpt.device import choose_device  # noqa: PLC0415

    refuse_others(given, OWN, "--inspect")
    path = checkpoint_path(given, "--inspect")
    text = text_given(given["inspect"])
    device = choose_device(build({"device": given.get("device", "auto")}))
    seen = Seen(load(path, device), text)
    lines = []
    if "inspect_out" in given:
        lines = [str(file) for file in write_files(seen, Path(given["inspect_out"]))]
    if "json" in given:
        lines = [json.dumps(report(seen), ensure_ascii=False, allow_nan=False)]
    sys.stdout.write("\n".join(lines or table(seen)) + "\n")
    sys.stdout.flush()


class Seen:
    """A text, and what a model did with it; of a text longer than the context, with its end.

    The scores of repetition are of the model alone: of half a context of random tokens, twice.

    Raises:
        TinyGPTError: the text is empty, or has a character that the model does not know.
    """

    def __init__(self, checkpoint: Checkpoint, text: str) -> None:
        from tinygpt.analysis import attention_maps, heads  # noqa: PLC0415 - torch
        from tinygpt.analysis.inspection import inspect_tokens, surprisal, window_start  # noqa: PLC0415

        context = checkpoint.model.config.context
        ids = checkpoint.tokenizer.encode(text)
        self.checkpoint, self.text, self.total = checkpoint, text, len(ids)
        self.start = window_start(len(ids), context, None)
        self.ids = ids[self.start :]
        self.tokens = [checkpoint.tokenizer.decode([token]) for token in self.ids]
        self.found: Inspection = inspect_tokens(checkpoint.model, self.ids)
        self.surprisal: Tensor = surprisal(self.found.logits, self.ids)
        statistics = heads.statistics(self.found.attention)
        # What is sure has an entropy of minus nothing, which reads as a mistake.
        self.statistics = {name: table + 0.0 for name, table in statistics.items()}
        self.uniform_baseline = attention_maps.uniform_baseline(len(self.ids))
        if (half := context // 2) > 1:
            self.statistics |= heads.repeated(checkpoint.model, half)
            self.uniform_baseline |= attention_maps.repeated_baseline(half)

    @property
    def loss(self) -> float:
        """Mean nats of the tokens after the first; nan where there is none."""
        return float(self.surprisal[1:].mean())


def write_files(seen: Seen, folder: Path) -> list[Path]:
    """attention.npz, heads.csv and routing.csv in `folder`, each whole or not at all.

    Raises:
        ConfigError: the disk refused.
    """
    import numpy as np  # noqa: PLC0415 - not for --help

    from tinygpt.analysis import export  # noqa: PLC0415 - numpy

    found = seen.found
    router = None if found.router is None else found.router.numpy()
    choice = None if found.choice is None else found.choice.numpy()
    arrays = {
        "attention": found.attention.numpy(),
        "tokens": np.array(seen.tokens),
        "ids": np.array(seen.ids),
    }
    if router is not None and choice is not None:
        arrays |= {"router": router, "choice": choice}
    names = ("attention.npz", "heads.csv", "routing.csv")
    archive, by_head, routing = (folder / name for name in names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        export.write_npz(archive, **arrays)
        export.write_heads_csv(by_head, {k: v.numpy() for k, v in seen.statistics.items()})
        export.write_routing_csv(routing, seen.tokens, router, choice)
    except OSError as error:
        raise ConfigError(f"--inspect-out {folder} cannot be written: {error.strerror}") from error
    return [archive, by_head, routing]


def report(seen: Seen) -> dict[str, Any]:
    """All but the maps as JSON: lists by layer, head and token; nan is null; loss in nats."""
    found, checkpoint = seen.found, seen.checkpoint
    values = {
        "checkpoint": str(checkpoint.path),
        "variant": checkpoint.variant,
        "step": checkpoint.step,
        "val_loss": checkpoint.val_loss,
        "text": seen.text,
        "total": seen.total,
        "start": seen.start,
        "tokens": seen.tokens,
        "loss": seen.loss,
        "surprisal": seen.surprisal.tolist(),
        "statistics": {name: table.tolist() for name, table in seen.statistics.items()},
        "chance": seen.uniform_baseline,
        "router": None if found.router is None else found.router.tolist(),
        "choice": None if found.choice is None else found.choice.tolist(),
    }
    return {name: _strict(value) for name, value in values.items()}


def table(seen: Seen) -> list[str]:
    """What each head does, and what each expert read, to be read by a person."""
    last = seen.start + len(seen.ids) - 1
    title = f"{seen.checkpoint.variant} step {seen.checkpoint.step}"
    loss = "" if math.isnan(seen.loss) else f", loss {seen.loss:.4f} nats a token"
    lines = [
        f"{title}: tokens {seen.start} to {last} of {seen.total}{loss}",
        "",
        "layer head" + "".join(f"{name:>10}" for name in seen.statistics),
    ]
    for layer, head in _each_head(seen):
        numbers = [float(values[layer, head]) for values in seen.statistics.values()]
        lines.append(f"{layer:5}{head:5}" + "".join(f"{number:10.3f}" for number in numbers))
    alike = "".join(f"{number:10.3f}" for number in seen.uniform_baseline.values())
    return [*lines, f"{'all alike':>10}{alike}", *_experts(seen)]


def _each_head(seen: Seen) -> list[tuple[int, int]]:
    layers, heads = seen.found.attention.shape[:2]
    return [(layer, head) for layer in range(layers) for head in range(heads)]


def _experts(seen: Seen) -> list[str]:
    """The share of the tokens that each expert read, a row a layer; nothing for Dense."""
    found = seen.found
    if found.router is None or found.choice is None:
        return []
    from tinygpt.analysis import routing  # noqa: PLC0415 - numpy

    config = seen.checkpoint.model.config
    experts = found.router.shape[-1]
    load = routing.load(
        routing.expert_counts(found.choice.numpy(), seen.ids, experts, config.vocab_size)
    )
    names = "".join(f"{f'expert {expert}':>10}" for expert in range(experts))
    rows = ["".join(f"{share:10.1%}" for share in row) for row in load]
    return ["", f"layer{names}", *(f"{layer:5}{row}" for layer, row in enumerate(rows))]


def _strict(value: Any) -> Any:
    """JSON knows no nan."""
    if isinstance(value, dict):
        return {name: _strict(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_strict(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
