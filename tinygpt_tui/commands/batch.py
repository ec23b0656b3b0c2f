"""``--prompts FILE --samples N``: many continuations of one model, as JSON lines, for experiments.

Text number k of the output, counted from 0, has the seed of ``--seed`` plus k; of a prompt that
names a seed itself, sample i has that seed plus i. So each text is that of a single ``--generate``
with the seed in its line, and no two texts of a batch share their random numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tinygpt.command.results import print_json
from tinygpt.errors import ConfigError, TinyGPTError
from tinygpt.fields import SettingError, nearest, whole_number
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.commands.common import about_checkpoint, read_input

if TYPE_CHECKING:
    from tinygpt.checkpoint import Checkpoint

MOST_SAMPLES = 1_000_000
_SETTINGS = [field.name for field in fields(SamplingParams)]
_KEYS = ["prompt", "id", *_SETTINGS]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text to continue, with its decoding settings."""

    text: str
    params: SamplingParams
    own_seed: bool = False
    """Whether the seed of `params` is its own, not that of the whole batch."""
    id: str | int | float | None = None
    """The user's name for it, passed through."""
    where: str = ""
    """File and line, for errors."""


def parse_samples(text: str) -> int:
    """The number that --samples gives. Raises ConfigError unless it is 1 to `MOST_SAMPLES`."""
    return whole_number(text, "--samples", MOST_SAMPLES)


def read_prompts(path: str, params: SamplingParams) -> list[Prompt]:
    """The prompts in a file: one per line, or one per JSON object if its name ends in .jsonl.

    Empty lines are skipped; an object may have an empty prompt, and one of several lines. `params`
    are the settings of those that do not set their own.

    Raises:
        ConfigError: names the file, and the line that is not valid.
    """
    text = read_input(path, "--prompts").removeprefix("\ufeff")
    is_json = path.lower().endswith(".jsonl")
    prompts = []
    for number, ended in enumerate(text.split("\n"), 1):
        line = ended.removesuffix("\r")
        where = f"--prompts {path} line {number}"
        if is_json and line.strip():
            prompts.append(_from_json(line, params, where))
        elif line and not is_json:
            prompts.append(Prompt(line, params, where=where))
    if not prompts:
        raise ConfigError(f"--prompts {path} has no prompt: write one per line")
    return prompts


def _from_json(line: str, params: SamplingParams, where: str) -> Prompt:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is not JSON: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("prompt"), str):
        raise ConfigError(f'{where} is not an object with a text as "prompt"')
    for key in found:
        if key not in _KEYS:
            raise ConfigError(f"{where} has an unknown key {key!r}{nearest(key, _KEYS)}")
    if not isinstance(found.get("id"), str | int | float | None):
        raise ConfigError(f"{where}: its id is neither text nor a number")
    own = {name: found[name] for name in _SETTINGS if found.get(name) is not None}
    try:
        params = SamplingParams.from_dict({**asdict(params), **own})
    except SettingError as error:
        raise ConfigError(f"{where}: {error.naming(str)}") from error
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return Prompt(found["prompt"], params, "seed" in own, found.get("id"), where)


def write(prompts: Sequence[Prompt], samples: int, checkpoint: Checkpoint) -> None:
    """Print one JSON line per text as soon as it is complete, all samples of a prompt in a row.

    Raises:
        ConfigError: a prompt has a character that the model does not know; before the first text.
    """
    _check_characters(prompts, checkpoint)
    for line in _lines(prompts, samples, checkpoint):
        print_json(line)


def _check_characters(prompts: Iterable[Prompt], checkpoint: Checkpoint) -> None:
    for prompt in prompts:
        try:
            checkpoint.tokenizer.encode(prompt.text)
        except TinyGPTError as error:
            raise ConfigError(f"{prompt.where}: {error}" if prompt.where else str(error)) from error


def _lines(
    prompts: Sequence[Prompt], samples: int, checkpoint: Checkpoint
) -> Iterator[dict[str, Any]]:
    from tinygpt import stream  # noqa: PLC0415 - torch

    for index, prompt in enumerate(prompts):
        for sample in range(samples):
            assert prompt.params.seed is not None
            offset = sample if prompt.own_seed else index * samples + sample
            params = replace(prompt.params, seed=prompt.params.seed + offset)
            texts, surprisals, is_end = [], [], False
            for event in stream(checkpoint.model, checkpoint.tokenizer, prompt.text, params):
                texts.append(event.text)
                surprisals.append(event.surprisal)
                is_end = event.id == checkpoint.tokenizer.end_of_text
            text = "".join(texts)
            yield {
                "id": prompt.id,
                "index": index,
                "sample": sample,
                "prompt": prompt.text,
                "text": text,
                "token_count": len(texts),
                "mean_surprisal": sum(surprisals) / len(texts) if texts else None,
                "finish_reason": finish_reason(text, params, is_end=is_end),
                **about_checkpoint(checkpoint),
                "sampling": asdict(params),
            }


def finish_reason(text: str, params: SamplingParams, *, is_end: bool) -> str:
    """Why a text ended: "stop" at its end or at a stop sequence, "length" after the most tokens."""
    return "stop" if is_end or any(stop in text for stop in params.stop) else "length"
