"""The weight decay that a run gets when nobody names one, and what runs from before it keep."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.models import TEXT
from tests.helpers.training import make_session, train_session
from tinygpt.config import build
from tinygpt.training import resume
from tinygpt.training.recipe import (
    POWER,
    STRONGEST,
    WEAKEST,
    Regime,
    find_regime,
    weight_decay,
    with_recipe,
)

BEFORE = Path(__file__).parent / "run_of_2026_11_27"
"""A run of both variants, stopped after 11 of 23 steps before this recipe existed."""
CONTINUED = {
    "dense": "3.460765 3.447379 3.421069 3.419277 3.365180 3.361259 "
    "3.364965 3.350422 3.343430 3.363453 3.311536 3.332756",
    "moe": "3.463898 3.453217 3.426750 3.424129 3.375239 3.368583 "
    "3.376087 3.356821 3.350962 3.370043 3.318152 3.341857",
}
"""Training losses of its last 12 steps, as the code of that day resumed it."""


def test_the_regime_counts_epochs_and_active_parameters() -> None:
    values: dict[str, Any] = {"train.batch": 7, "train.accumulate": 3, "gpt.context": 11}
    config = build({**values, "steps": 130})
    regime = find_regime(config, 1001, 13, "cpu")
    assert regime.epochs == 130 * 7 * 3 * 11 / 1001
    assert regime.parameters_per_token == config.model_config("dense", 13).parameters()[1] / 1001
    assert not regime.assumed


def test_a_time_limit_alone_is_taken_for_some_epochs() -> None:
    short, long = (
        find_regime(build({"minutes": minutes}), 10_000, 13, "cpu") for minutes in (1.5, 4.5)
    )
    assert long.epochs == pytest.approx(3 * short.epochs, rel=1e-4)
    assert short.assumed
    _, note = with_recipe(build({"minutes": 1.5}), 10_000, 13, "cpu")
    assert note is not None
    assert "assumed, as the run has a time limit alone" in note


regimes = st.builds(
    Regime,
    epochs=st.floats(1e-4, 1e4),
    parameters_per_token=st.floats(1e-4, 1e4),
    assumed=st.booleans(),
)


@given(regimes, st.floats(1, 100), st.floats(1, 100))
def test_more_epochs_or_parameters_never_weaken_the_decay(
    regime: Regime, epochs: float, ratio: float
) -> None:
    more = Regime(regime.epochs * epochs, regime.parameters_per_token * ratio, assumed=False)
    (decay, power), (stronger, faster) = weight_decay(regime), weight_decay(more)
    assert WEAKEST <= decay <= stronger <= STRONGEST
    assert 1 >= power >= faster > 0


def test_who_names_a_decay_gets_it() -> None:
    config = build({"optim.weight_decay": 0.0, "optim.weight_decay_power": 0.25})
    assert with_recipe(config, 1000, 13, "cpu") == (config, None)
    config, note = with_recipe(build({"optim.weight_decay_power": 0.25}), 1000, 13, "cpu")
    assert (config.optim.weight_decay, config.optim.weight_decay_power) == (STRONGEST, 0.25)
    assert note is not None
    assert note.startswith(f"weight decay {STRONGEST:g}, for ")
    config, note = with_recipe(build({"optim.weight_decay": 0.25}), 1000, 13, "cpu")
    assert (config.optim.weight_decay, config.optim.weight_decay_power) == (0.25, POWER)
    assert note is not None
    assert note.startswith(f"weight decay fading with the learning rate to the power of {POWER}, ")


def test_the_decay_is_stored_and_kept_by_a_longer_run(tmp_path: Path) -> None:
    session = make_session(tmp_path, optim__weight_decay=None, optim__weight_decay_power=None)
    chosen = session.config.optim.weight_decay
    assert session.notes[0].startswith(f"weight decay {chosen:g}, for ")
    stored = tomllib.loads((tmp_path / "run" / "run.toml").read_text())
    assert stored["optim"]["weight_decay"] == chosen
    train_session(session)
    assert resume(tmp_path / "run", {"steps": 10_000}).config.optim.weight_decay == chosen


def test_a_run_from_before_goes_on_as_it_would_have_then(tmp_path: Path) -> None:
    shutil.copytree(BEFORE, tmp_path / "run")
    (tmp_path / "corpus.txt").write_text(TEXT)
    session = resume(tmp_path / "run", {"data": str(tmp_path / "corpus.txt")})
    assert train_session(session).state == "done"
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    trained = [record for line in lines if (record := json.loads(line))["kind"] == "train"]
    for variant, expected in CONTINUED.items():
        losses = [record["loss"] for record in trained if record["model"] == variant]
        assert losses[11:] == pytest.approx([float(loss) for loss in expected.split()], abs=1e-4)
