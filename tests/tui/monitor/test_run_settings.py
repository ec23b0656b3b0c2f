"""What of a run's settings differs from its preset, and the form that describes it again."""

from typing import Any

import pytest

from tinygpt.config import build, flatten, unflatten
from tinygpt_tui.monitor.run_settings import form_values, run_settings


def tables(values: dict[str, object], *argv: str) -> dict[str, Any]:
    """The run.toml of a run whose weight decay was found by the recipe unless it is in `values`."""
    found = {"optim.weight_decay": 2.5, "optim.weight_decay_power": 0.3, **values}
    found = {"gpt.tie_embeddings": False, **found}
    return {**unflatten(flatten(build(found))), "argv": ["tinygpt-tui", *argv]}


def different(stored: dict[str, Any]) -> dict[str, tuple[object, object]]:
    return {s.name: (s.value, s.default) for s in run_settings(stored) if s.differs}


def test_what_differs_is_shown_with_the_value_of_the_preset() -> None:
    stored = tables({"preset": "micro", "steps": 301, "train.compile": False})
    assert different(stored) == {"steps": (301, 10000), "train.compile": (False, True)}
    by_recipe = [(s.name, s.value) for s in run_settings(stored) if s.by_recipe]
    assert by_recipe == [
        ("gpt.tie_embeddings", False),
        ("optim.weight_decay", 2.5),
        ("optim.weight_decay_power", 0.3),
    ]


@pytest.mark.parametrize(
    "argv", [["--optim.weight-decay", "2.5"], ["--optim.weight-decay=2.5"], ["--config", "x.toml"]]
)
def test_what_was_named_is_not_by_the_recipe(argv: list[str]) -> None:
    stored = tables({"optim.weight_decay": 2.5}, *argv)
    assert different(stored)["optim.weight_decay"] == (2.5, None)
    assert form_values(stored)["optim.weight_decay"] == "2.5"


@pytest.mark.parametrize(
    "values",
    [
        {"preset": "micro"},
        {"preset": "micro", "steps": 301, "seed": 7, "train.compile": False},
        {"preset": "nano", "minutes": 3.5},
        {"preset": "nano", "minutes": 3.5, "steps": 2000},
        {"preset": "baby", "target_loss": 1.5, "data": "/x y/z.txt", "gpt.dropout": 0.1},
    ],
)
def test_the_form_describes_the_run_again(values: dict[str, object]) -> None:
    described = form_values(tables(values))
    assert described.keys() == values.keys()
    assert build(described) == build(values)


def test_a_run_of_another_version_is_shown_as_it_is_written() -> None:
    stored = {"preset": "huge", "steps": 12, "gpt": {"layers": 3, "rings": 5}}
    assert [(s.name, s.value, s.default) for s in run_settings(stored)] == [
        ("preset", "huge", "nano"),
        ("steps", 12, 2000),
        ("gpt.layers", 3, 4),
        ("gpt.rings", 5, None),
    ]
    assert form_values(stored) == {"steps": "12", "gpt.layers": "3"}
