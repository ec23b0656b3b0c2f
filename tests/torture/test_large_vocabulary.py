"""Preset `small`, the shape of GPT-2 124M, with its vocabulary trains in the memory foreseen."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.paths import ROOT
from tinygpt.config import build
from tinygpt.model_config import MOST_LOGITS
from tinygpt_tui.launch import cost

VOCABULARY = 50_304
STEPS = 3
TRAIN = """
import json, resource, sys
import torch
from tests.helpers.memory import largest_tensor
from tinygpt.config import build
from tinygpt.training.learner import Learner
variant, vocabulary, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
recipe = {"optim.weight_decay": 0.1, "optim.weight_decay_power": 1.0}
shape = {"train.batch": 1, "train.accumulate": 1, "device": "cpu"}
config = build({"preset": "small", "steps": steps, "optim.warmup": 0, **shape, **recipe})
learner = Learner(variant, config, vocabulary, "cpu")
text = torch.randint(vocabulary, (1, 1025), generator=torch.Generator().manual_seed(7))
losses = []
with largest_tensor(last=vocabulary) as logits:
    for step in range(steps):
        losses.append(float(learner.train([text], step / steps).loss))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
found = {"losses": losses, "logits": logits.numbers, "peak": peak}
found |= {"tied": learner.model.config.tied, "finite": learner.weights_finite}
print(json.dumps(found))
"""


@pytest.mark.parametrize("variant", ["dense", "moe"])
def test_three_steps_of_the_whole_context(
    variant: str, record_property: Callable[[str, object], None]
) -> None:
    """On one text, so that the loss falls. Memory at the peak: at most a fifth more than what the
    form of a new run says, for a batch of one."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, variant, str(VOCABULARY), str(STEPS)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
        cwd=ROOT,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["tied"]
    assert found["finite"]
    losses = found["losses"]
    assert losses[0] == pytest.approx(math.log(VOCABULARY), abs=0.1)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 1
    assert VOCABULARY <= found["logits"] <= MOST_LOGITS
    expected: dict[str, object] = {"preset": "small", "model": variant, "train.batch": 1}
    expected |= {"tokenizer": "bpe", "vocab_size": VOCABULARY}
    record_property(f"count MB at the peak of small, {variant}", round(found["peak"] / 1e6))
    assert found["peak"] < 1.2 * cost.memory(build(expected))
