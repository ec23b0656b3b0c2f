"""Records as a trainer writes them."""

import math

from tinygpt.run import EvalRecord, Item, RoutingRecord, SampleRecord, StartRecord, TrainRecord
from tinygpt.run.columns import group


def started(steps: int | None = 100) -> StartRecord:
    return StartRecord(
        time=10.0,
        run="a",
        corpus={"name": "tinyshakespeare", "sha256": "0", "chars": 7},
        models={
            "dense": {"params_total": 804224, "params_active": 804224},
            "moe": {"params_total": 2379136, "params_active": 806272},
        },
        device="cpu",
        versions={},
        steps=steps,
        context=11,
        batch_tokens=77,
    )


def train(model: str, step: int, loss: float | None = None) -> TrainRecord:
    return TrainRecord(
        time=10.0 + step,
        model=model,
        step=step,
        tokens=77 * step,
        epoch=0.5 * step,
        loss=4.0 / step if loss is None else loss,
        lr=0.02,
        grad_norm=0.71,
        tokens_per_second=154.0,
        train_seconds=0.5 * step,
    )


def evaluated(model: str, step: int, loss: float) -> EvalRecord:
    return EvalRecord(
        time=10.0 + step,
        model=model,
        step=step,
        tokens=77 * step,
        epoch=0.5 * step,
        val_loss=loss,
        train_loss=loss - 0.1,
        perplexity=math.exp(loss),
        bits_per_char=loss / math.log(2),
        best_val_loss=loss,
        best_step=step,
        train_seconds=0.5 * step,
        wall_seconds=2.0 * step,
        context=11,
    )


def sample(model: str, step: int) -> SampleRecord:
    text = f"{model} at {step}"
    return SampleRecord(time=1.0, model=model, step=step, tokens=7, prompt="", seed=1, text=text)


def routed(step: int, share: float = 0.5) -> RoutingRecord:
    return RoutingRecord(
        time=10.0 + step,
        model="moe",
        step=step,
        tokens=77 * step,
        load=[[share, 1 - share]],
        entropy=[0.69],
        worst_over_mean=[2 * max(share, 1 - share)],
        mean_top1=[0.7],
        dead=[0],
    )


def lockstep(last: int) -> list[Item]:
    """Train records of both variants from step 1 to `last`."""
    return group([started(), *(train(m, s) for s in range(1, last + 1) for m in ("dense", "moe"))])
