"""What the study measures of a trained model: its losses, its routing, its parts, and its texts.

All of it is of the model at the end of the run. Losses are of the test split, which nothing was
chosen by; what is left out or exchanged is measured on the validation split.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from study_cells import TEST_SHARE, VARIANTS, Study, Variant, result
from torch import Tensor

import tinygpt
from tinygpt.analysis import ablation, routing
from tinygpt.analysis.text_statistics import Reference
from tinygpt.config import Shares
from tinygpt.data.splits import split
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.files import atomic
from tinygpt.generation.decoding import stream_many
from tinygpt.model.gpt import GPT, evaluating
from tinygpt.model_config import ModelConfig
from tinygpt.run import list_steps, step_name
from tinygpt.run.reader import evaluations
from tinygpt.training import evaluation

Ints = NDArray[np.int64]

ROUTED_TOKENS = 32_768
"""Of the test split, over which the routing is measured."""
ABLATION_TOKENS = 8_192
"""Of the validation split, over which a model is measured without its parts."""
SAMPLES, SAMPLE_CHARACTERS, TEMPERATURE = 20, 500, 0.8
PROMPTS = ("ROMEO:\n", "First Citizen:\n", "To be, or not to be")
STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {"greedy": True},
    "temperature 0.8": {"temperature": 0.8},
    "top-k 10": {"top_k": 10},
    "top-p 0.9": {"top_p": 0.9},
}
CONTINUATIONS, CONTINUATION_CHARACTERS = 4, 300
SEED = 1000
"""Of the first sample; the others count on from it."""
SHUFFLES = 5


def measure(study: Study, scale: str, variant: Variant, seed: int) -> None:
    """Measure a trained cell and write the results beside its run, unless they are there."""
    torch.set_num_threads(1)
    run = study.run(scale, variant, seed)
    path = results_path(run)
    if path.exists():
        return
    texts = read_texts(study.data)
    found = tinygpt.load(run / variant.model, step="newest")
    model, tokenizer = found.model, found.tokenizer
    validation, test = (
        torch.tensor(tokenizer.encode(text)) for text in (texts.validation, texts.test)
    )
    reference = texts.reference
    count, length = study.scaled(SAMPLES), study.scaled(SAMPLE_CHARACTERS)
    samples = sample(model, tokenizer, "\n", count, length, temperature=TEMPERATURE)
    context = model.config.context
    measured = {
        "cell": [scale, variant.name, seed],
        **losses(run, variant.model),
        "flops_per_token": flops_per_token(model.config),
        "ablation": ablations(
            model, spread_windows(validation, context, study.scaled(ABLATION_TOKENS))
        ),
        "texts": [text for text, _ in samples],
        "text": asdict(reference.statistics(text for text, _ in samples)),
        "decoding": decoding(model, tokenizer, reference, study.scaled(CONTINUATION_CHARACTERS)),
    }
    if model.config.moe:
        windows = spread_windows(test, context, study.scaled(ROUTED_TOKENS))
        measured["routing"] = routing_statistics(run / variant.model, found, windows)
    atomic.write_text(path, json.dumps(measured, indent=1))


class Texts(NamedTuple):
    """The splits of the text; of that for training, what texts are compared with."""

    reference: Reference
    validation: str
    test: str


@lru_cache(maxsize=1)
def read_texts(data: Path) -> Texts:
    """The splits of the text in a file."""
    train, validation, test = split(data.read_text(encoding="utf-8"), Shares(test=TEST_SHARE))
    return Texts(Reference(train), validation, test)


def original(study: Study) -> dict[str, Any]:
    """The statistics of evenly spaced excerpts of the test split, as many and as long as the
    samples of a model, as `measure` writes them."""
    reference, _, test = read_texts(study.data)
    count, length = study.scaled(SAMPLES), study.scaled(SAMPLE_CHARACTERS)
    starts = [i * (len(test) - length) // max(1, count - 1) for i in range(count)]
    found = reference.statistics(test[start : start + length] for start in starts)
    return dict(json.loads(json.dumps(asdict(found))))


def known_words(study: Study) -> dict[str, float]:
    """The share of the words of the validation and the test split that the training split has."""
    reference, validation, test = read_texts(study.data)
    return {
        name: reference.statistics([text], cut=False).known_words
        for name, text in (("validation", validation), ("test", test))
    }


def results_path(run: Path) -> Path:
    """Where the results of a run are."""
    return run.with_suffix(".json")


def losses(run: Path, model: str) -> dict[str, Any]:
    """What the run itself recorded."""
    numbers = result(run)
    curve = [(r.step, r.epoch, r.val_loss, r.train_loss) for r in evaluations(run)[model]]
    kept = ("step", "train_seconds", "params_total", "params_active")
    named = ("val_loss", "best_val_loss", "test_loss", "best_test_loss")
    return {**{name: numbers[name] for name in (*kept, *named)}, "curve": curve}


def flops_per_token(config: ModelConfig) -> int:
    """Floating-point operations of training on a token: 6 per active parameter of a matmul, and 12
    per layer, channel and position of the context for attention (PaLM, arXiv:2204.02311)."""
    _, active = config.parameters()
    not_in_matmuls = config.looked_up + config.conv_size * config.width
    not_in_matmuls += 2 * config.layers * config.width
    attention = 12 * config.layers * config.width * config.context
    return 6 * (active - not_in_matmuls) + attention


def spread_windows(ids: Tensor, context: int, tokens: int) -> Tensor:
    """Full windows of a text (W, context + 1), evenly spread over it, of `tokens` tokens."""
    (found,) = evaluation.sample(ids, context, max(tokens, context))
    return found


def ablations(model: GPT, windows: Tensor) -> dict[str, Any]:
    """By how much the loss over windows (W, T + 1) rises without each part, or with others in its
    place, in nats per token."""
    found = ablation.ablate(model, windows)
    rises: dict[str, Any] = {"loss": found.loss, "heads": (found.heads - found.loss).tolist()}
    if found.experts is None or model.config.moe is None:
        return rises
    rises["experts"] = (found.experts - found.loss).tolist()
    layers = model.config.layers
    rotated = []
    for layer in range(layers):
        with ablation.rotated_experts(model, layer):
            rotated.append(ablation.mean_loss(model, windows) - found.loss)
    exchanged = []
    for layer in range(layers - 1):
        with ablation.exchanged_layers(model, layer, layer + 1):
            exchanged.append(ablation.mean_loss(model, windows) - found.loss)
    with ablation.next_choice(model):
        rises["next_choice"] = ablation.mean_loss(model, windows) - found.loss
    return rises | {"rotated": rotated, "exchanged": exchanged}


def routing_statistics(folder: Path, loaded: tinygpt.Checkpoint, windows: Tensor) -> dict[str, Any]:
    """Load, confidence, specialisation and stability of the routing of windows (W, T + 1), per
    layer; `folder` has all checkpoints of the model."""
    model, tokenizer = loaded.model, loaded.tokenizer
    assert model.config.moe is not None
    choice, confidence = route(model, windows)
    ids, following = windows[:, :-1].flatten().numpy(), windows[:, 1:].flatten().numpy()
    experts, vocabulary = model.config.moe.experts, model.config.vocab_size
    counts = routing.expert_counts(choice, ids, experts, vocabulary)
    classes = [routing.token_class(tokenizer.decode([i])) for i in range(vocabulary)]
    class_of = np.array([routing.CLASSES.index(name) for name in classes])
    first = choice[..., 0]
    about = {"class": (class_of[ids], len(routing.CLASSES)), "next": (following, vocabulary)}
    return {
        "entropy": (routing.load_entropy(counts) / math.log(experts)).tolist(),
        "worst_over_mean": routing.worst_over_mean(counts).tolist(),
        "dead": routing.dead(counts).tolist(),
        "confidence": confidence.tolist(),
        "information": {
            what: information(first, labels, experts, count)
            for what, (labels, count) in about.items()
        },
        "agreement": {
            step: routing.agreement(_first_choices(folder, step, windows), first).tolist()
            for step in list_steps(folder.parent, folder.name)
        },
    }


@torch.no_grad()
def route(model: GPT, windows: Tensor) -> tuple[Ints, NDArray[np.float64]]:
    """The experts of all tokens of windows (W, T + 1): (L, N, K), and the mean probability of the
    first of them (L,)."""
    choices, top1 = [], []
    with evaluating(model):
        for batch in windows[:, :-1].split(64):
            layers = model.run(batch).routing
            choices.append(torch.stack([layer.choice for layer in layers]))
            top1.append(torch.stack([layer.weight.amax(-1) for layer in layers]))
    return torch.cat(choices, 1).numpy(), torch.cat(top1, 1).double().mean(1).numpy()


def _first_choices(folder: Path, step: int, windows: Tensor) -> Ints:
    choice, _ = route(tinygpt.load(folder / step_name(step)).model, windows)
    return choice[..., 0]


def information(first: Ints, labels: Ints, experts: int, count: int) -> dict[str, list[float]]:
    """Bits that the expert of a token (L, N) says about a label (N,) below `count`: as it is, and
    with labels of other tokens, which is what chance and the size of the sample give."""
    shuffled = np.random.default_rng(SEED)
    chance = [
        routing.mutual_information(
            routing.expert_counts(first, shuffled.permutation(labels), experts, count)
        )
        for _ in range(SHUFFLES)
    ]
    found = routing.mutual_information(routing.expert_counts(first, labels, experts, count))
    return {"bits": found.tolist(), "chance": np.mean(chance, 0).tolist()}


def sample(
    model: GPT, tokenizer: Tokenizer, prompt: str, count: int, characters: int, **settings: Any
) -> list[tuple[str, float]]:
    """Continuations of a prompt, and the mean surprisal of each in nats per token."""
    params = tinygpt.SamplingParams(max_new_tokens=characters, seed=SEED, **settings)
    texts: list[list[str]] = [[] for _ in range(count)]
    surprisals: list[list[float]] = [[] for _ in range(count)]
    for events in stream_many(model, tokenizer, prompt, params, count=count):
        for text, surprisal, event in zip(texts, surprisals, events, strict=True):
            if event is not None:
                text.append(event.text)
                surprisal.append(event.surprisal)
    return [("".join(t), statistics.fmean(s)) for t, s in zip(texts, surprisals, strict=True)]


def decoding(
    model: GPT, tokenizer: Tokenizer, reference: Reference, characters: int
) -> dict[str, Any]:
    """The same prompts continued by each strategy: what the texts are like."""
    found = {}
    for name, settings in STRATEGIES.items():
        count = 1 if name == "greedy" else CONTINUATIONS
        texts = [
            text
            for prompt in PROMPTS
            for text in sample(model, tokenizer, prompt, count, characters, **settings)
        ]
        found[name] = {
            **asdict(reference.statistics(text for text, _ in texts)),
            "loss": statistics.fmean(surprisal for _, surprisal in texts),
        }
    return found


def loss_of_texts(model: GPT, tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """The mean loss of a model on texts, in nats per character; each token after the first half of
    the context has at least that half before it."""
    stride = max(1, model.config.context // 2)
    found = [
        (evaluation.evaluate_text(model, torch.tensor(ids), stride), len(ids) - 1)
        for ids in (tokenizer.encode(text) for text in texts)
    ]
    return sum(loss * count for loss, count in found) / sum(count for _, count in found)


def cross_losses(study: Study, scale: str, seed: int) -> None:
    """Write the loss of each measured variant on the texts of each other one, unless that is there
    for all of them."""
    torch.set_num_threads(1)
    path = study.folder(scale) / f"cross-s{seed}.json"
    runs = {v: run for v in VARIANTS if results_path(run := study.run(scale, v, seed)).exists()}
    if path.exists() and json.loads(path.read_text()).keys() >= {v.name for v in runs}:
        return
    texts = {v.name: json.loads(results_path(run).read_text())["texts"] for v, run in runs.items()}
    found = {}
    for variant, run in runs.items():
        loaded = tinygpt.load(run / variant.model, step="newest")
        found[variant.name] = {
            author: loss_of_texts(loaded.model, loaded.tokenizer, written)
            for author, written in texts.items()
        }
    atomic.write_text(path, json.dumps(found, indent=1))
