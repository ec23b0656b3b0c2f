"""What ``--init-from`` names: the checkpoints whose weights a new run starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinygpt.run.checkpoints import list_variant
from tinygpt.run.layout import VARIANTS, checkpoint_dir, list_steps, parse_step


@dataclass(frozen=True, slots=True)
class InitialRun:
    """A run to start from, and the step of each variant that it has weights of."""

    run: Path
    steps: Mapping[str, int]
    """By variant: the best checkpoint by validation loss, or the one that was named."""

    def checkpoint(self, variant: str) -> Path:
        """The directory of the weights of a variant."""
        return checkpoint_dir(self.run, variant, self.steps[variant])


def find_initial(path: Path) -> InitialRun:
    """The best checkpoints of a run or variant directory, or a single checkpoint."""
    folder = path.absolute()
    if (step := parse_step(folder.name)) is not None:
        return InitialRun(folder.parent.parent, {folder.parent.name: step})
    single = folder.name in VARIANTS and bool(list_steps(folder.parent, folder.name))
    run, variants = (folder.parent, (folder.name,)) if single else (folder, VARIANTS)
    best = {variant: list_variant(run, variant).step("best") for variant in variants}
    return InitialRun(run, {variant: step for variant, step in best.items() if step is not None})
