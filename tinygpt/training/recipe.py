"""The part of the recipe that depends on how often a run sees its corpus: the weight decay.

A model that has many parameters for each token of its corpus, and sees that corpus many times,
memorises it: the validation loss rises again while the training loss still falls. Weight decay
prevents that, and does it better than dropout. It bounds the weights: with a decay of w, Muon's
updates cannot carry a matrix beyond a spectral norm of 1 / w. A short run does not come near that
bound, and only loses speed to a strong decay.

The law is a fit to the measurements in docs/log.md; ``benchmarks/regime.py`` repeats them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from tinygpt.config import RunConfig
from tinygpt.device import device_type

FEW = 12.0
"""Pressure to memorise, epochs times parameters per token, up to which a run does not: `nano` has
1.2, `micro` 2.2. Such a run gets `WEAKEST`, which fades as AdamW has it."""
WEAKEST, STRONGEST = 0.1, 3.0
"""Range of the weight decay. Above 3, a run of many epochs loses as much by learning slowly as it
gains."""
FACTOR, EXPONENT = 0.06, 0.7
"""Of the pressure, above `FEW`: the decay is the factor times the pressure to the exponent. Runs of
1.5 to 41 epochs, with 1.3 to 11 parameters per token, came within 0.01 of their best decay."""
POWER = 0.3
"""Of the learning rate, with which the decay fades in runs that do memorise: with 1, they do so in
the cool-down, and MoE even with 0.5; with 0, the weights vanish there."""

ASSUMED_FLOPS = {"cpu": 4e10, "cuda": 1e14, "mps": 2e12}
"""Floating-point operations per second in training: per CPU thread, and per GPU. They decide how
many epochs a run with a time limit alone is taken for."""


@dataclass(frozen=True, slots=True)
class Regime:
    """What decides how strongly a run must be kept from memorising its corpus."""

    epochs: float
    """How often the run sees each token of the training split."""
    parameters_per_token: float
    """Parameters of Dense, which are as many as MoE's active ones but for the routers, over tokens
    of the training split."""
    assumed: bool
    """Whether the epochs are a guess, for a run that ends by time alone."""


def find_regime(config: RunConfig, tokens: int, vocab_size: int, device: str) -> Regime:
    """The regime of a run over a training split of `tokens` tokens."""
    parameters, _ = config.model_config("dense", vocab_size).parameters()
    trained = (config.steps or 0) * config.batch_tokens
    if config.steps is None:
        kind = device_type(device)
        threads = torch.get_num_threads() if kind == "cpu" else 1
        seconds = 60 * (config.minutes or 0)
        operations = 6 * parameters * len(config.variants)  # per token; attention is left out
        trained = int(seconds * ASSUMED_FLOPS[kind] * threads / operations)
    return Regime(trained / tokens, parameters / tokens, config.steps is None)


def weight_decay(regime: Regime) -> tuple[float, float]:
    """The decay of all matrices, of Muon and of AdamW alike, to two digits; and the power of the
    learning rate with which it fades."""
    pressure = regime.epochs * regime.parameters_per_token
    if pressure <= FEW:
        return WEAKEST, 1.0
    return float(f"{min(STRONGEST, FACTOR * pressure**EXPONENT):.2g}"), POWER


def with_recipe(
    config: RunConfig, tokens: int, vocab_size: int, device: str
) -> tuple[RunConfig, str | None]:
    """`config` with a number for each setting of the recipe that nobody named, and one line that
    says what was chosen and why; None if nothing was.

    `tokens` is the size of the training split.
    """
    named = config.optim
    if named.weight_decay is not None and named.weight_decay_power is not None:
        return config, None
    regime = find_regime(config, tokens, vocab_size, device)
    decay, power = weight_decay(regime)
    if named.weight_decay is None:
        chosen = f"weight decay {decay:g}"
    else:
        decay = named.weight_decay
        chosen = f"weight decay fading with the learning rate to the power of {power:g}"
    if named.weight_decay_power is not None:
        power = named.weight_decay_power
    optim = dataclasses.replace(named, weight_decay=decay, weight_decay_power=power)
    return dataclasses.replace(config, optim=optim), f"{chosen}, for {_in_words(regime)}"


def _in_words(regime: Regime) -> str:
    epochs, ratio = f"{regime.epochs:.2g}", f"{regime.parameters_per_token:.2g}"
    guess = " (assumed, as the run has a time limit alone)" if regime.assumed else ""
    return f"{epochs} epochs{guess} and {ratio} parameters per token"
