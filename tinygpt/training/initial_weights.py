"""The weights of another run, which a new run starts from: ``--init-from``.

Only the weights: the optimizer, the schedule and all counters start as in any new run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tinygpt.checkpoint import load
from tinygpt.config import RunConfig
from tinygpt.errors import CheckpointError, ConfigError
from tinygpt.run.initial import InitialRun, find_initial
from tinygpt.training.learner import Learner


def load_initial(
    config: RunConfig, learners: Sequence[Learner], steps: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Give learners before their first step the weights that ``init_from`` names.

    Args:
        config: of the new run; without ``init_from``, nothing is done.
        learners: whose weights are replaced.
        steps: which checkpoint, by variant; by default the best.

    Returns:
        The step of each variant's weights.

    Raises:
        ConfigError: they are not there any more, or are of another shape.
    """
    if config.init_from is None:
        return {}
    initial = find_initial(Path(config.init_from))
    initial = InitialRun(initial.run, {**initial.steps, **(steps or {})})
    for learner in learners:
        _load(config.init_from, initial, learner)
    return {learner.variant: initial.steps[learner.variant] for learner in learners}


def _load(name: str, initial: InitialRun, learner: Learner) -> None:
    variant = learner.variant
    if variant not in initial.steps:
        raise ConfigError(f"--init-from {name} has no weights of {variant}: choose another --model")
    try:
        found = load(initial.checkpoint(variant)).model
    except CheckpointError as error:
        raise ConfigError(f"--init-from {name}: {error}") from error
    known, needed = found.config.vocab_size, learner.model.config.vocab_size
    if known < needed:
        raise ConfigError(
            f"--init-from {name} has no token that ends a document, but the corpus has several: "
            "join them, or train a new run"
        )
    weights = found.state_dict()
    try:
        learner.model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"--init-from {name} has a model of another shape: give the settings --gpt.* and "
            "--moe.* of that run"
        ) from error
    if learner.average:
        learner.average.model.load_state_dict(weights)
