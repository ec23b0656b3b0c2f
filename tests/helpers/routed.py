"""Replies of the engine about experts, and the state of the Experts tab."""

import math
from dataclasses import replace

import numpy as np

from tests.helpers.listed import listed
from tinygpt.analysis.routing import Floats
from tinygpt.run import RoutingRecord
from tinygpt_tui.engine import results
from tinygpt_tui.engine.protocol import AblationResult, Example, InspectResult, SurveyResult
from tinygpt_tui.engine.session import Timeline
from tinygpt_tui.experts.state import ExpertsState

LAYERS, EXPERTS = 3, 5

VOCABULARY = tuple("\n !.3abcdeAB")

TEXT = "abba cade!\nBe a dab.\nA bead."

STEPS = (0, 7, 20, 45, 100)


def records() -> tuple[RoutingRecord, ...]:
    """Evaluations of three layers whose load settles; one expert of the last layer is dead."""
    found = []
    for step in range(10, 101, 10):
        tilt = [
            [1 + math.sin(7 * a + b) * 10 / step for b in range(EXPERTS)] for a in range(LAYERS)
        ]
        tilt[2][3] = 0.0
        load = [[max(x, 0.0) / sum(max(y, 0.0) for y in row) for x in row] for row in tilt]
        found.append(
            RoutingRecord(
                time=1.0,
                model="moe",
                step=step,
                tokens=77 * step,
                load=load,
                entropy=[1.6, 1.55, 1.1],
                worst_over_mean=[1.1, 1.7, 2.9],
                mean_top1=[0.3, 0.6, 0.9],
                dead=[0, 0, 1],
            )
        )
    return tuple(found)


def load_record(load: list[list[float]], step: int = 100) -> RoutingRecord:
    """An evaluation with this load (L, E)."""
    layers = len(load)
    return RoutingRecord(
        time=1.0,
        model="moe",
        step=step,
        tokens=77 * step,
        load=load,
        entropy=[0.0] * layers,
        worst_over_mean=[1.5] * layers,
        mean_top1=[0.3] * layers,
        dead=[0] * layers,
    )


def inspect_reply(
    job: int = 1, *, step: int = 100, experts: int = EXPERTS, text: str = TEXT
) -> InspectResult:
    """An engine's reply about the text; every row of probabilities is different."""
    grid = np.mgrid[0:LAYERS, 0 : len(text), 0:experts]
    scores = np.exp(np.sin(3.0 * grid[0] + 1.7 * grid[1] * (grid[2] + 1) + step) * 2)
    router = (scores / scores.sum(-1, keepdims=True)).astype(np.float32)
    return InspectResult(
        job=job,
        path=f"run/moe/step-{step:08}",
        variant="moe",
        step=step,
        val_loss=1.5,
        context=31,
        total=len(text) + 11,
        start=0,
        at=None,
        texts=tuple(text),
        attention=np.zeros((LAYERS, 2, len(text), len(text)), np.float32),
        router=router,
        choice=router.argmax(-1).astype(np.int32),
        statistics={},
    )


def survey_reply(job: int = 1, *, step: int = 45) -> SurveyResult:
    grid = np.mgrid[0:LAYERS, 0:EXPERTS, 0 : len(VOCABULARY)]
    expert_counts = (40 * (1 + np.sin(grid[0] + 2.3 * grid[1] * (grid[2] + 1)))).astype(np.int64)
    expert_counts[:, :, VOCABULARY.index("3")] //= 30
    expert_counts[:, :, VOCABULARY.index("B")] = 0
    expert_counts[2, 3] = 0
    examples: dict[tuple[int, int, int], tuple[Example, ...]] = {
        (layer, expert, token): (Example("cab a", VOCABULARY[token], "d\nbe"),) * 2
        for layer in range(LAYERS)
        for expert in range(EXPERTS)
        for token in (5, 8)
    }
    return SurveyResult(
        job=job,
        path=f"run/moe/step-{step:08}",
        step=step,
        tokens=int(expert_counts[0].sum()),
        corpus="tinyshakespeare",
        statistics={},
        uniform_baseline={},
        vocabulary=VOCABULARY,
        expert_counts=expert_counts,
        top1_probability=(0.4, 0.5, 0.8),
        agreement=(0.31, 0.77, 0.94),
        examples=examples,
    )


def at(step: int) -> Timeline:
    """A checkpoint is selected by its step; another one is the best."""
    return Timeline(listed(*STEPS, best=20), chosen=step)


def experts_state(**changes: object) -> ExpertsState:
    state = ExpertsState(
        layer=1,
        cursor=4,
        routings=records(),
        timeline=at(45),
        routed_text=results.routed_text(inspect_reply(step=45)),
        survey=results.routing_survey(survey_reply()),
        source="typed",
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def ablation_reply(
    job: int, path: str, heads: Floats, experts: Floats | None = None
) -> AblationResult:
    """By how much the loss rises without each head (L, H) and each expert (L, E)."""
    step = int(path[-8:])
    return AblationResult(
        job=job, path=path, step=step, tokens=99, loss=1.5, heads=heads, experts=experts
    )
