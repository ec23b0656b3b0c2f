"""The settings of the form for a new run: labels, groups, checks, and the options they produce.

They are those of the command line, from the same source. Values are texts by dotted name, as in the
configuration; "name" is the run's name, and "gpus" how many processes train it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tinygpt.command import gpus_option
from tinygpt.config import RunConfig, build, dotted_fields, flatten
from tinygpt.data import sources
from tinygpt.data.corpus import KNOWN
from tinygpt.errors import ConfigError
from tinygpt.fields import SettingError, as_text, choices, convert, flag, kind_of, range_text
from tinygpt.files.paths import user_path
from tinygpt.presets import Scalar
from tinygpt.run.manage import rename_problem
from tinygpt_tui.launch import trainer_process

NAME = "name"
GPUS = "gpus"
CONFIG_FIELDS = dict(dotted_fields())
AS_TYPED = ("train.sample_prompt",)
"""Settings in which blanks at the ends count."""


class FormField(NamedTuple):
    """A setting in the form."""

    name: str
    """Dotted, as in the configuration."""
    label: str
    help: str
    choices: tuple[str, ...] = ()
    """The values, if there are only a few."""

    def matches(self, words: str) -> bool:
        """Whether all of these words, separated by blanks, are in its name, label or help."""
        known = f"{self.name} {flag(self.name)} {self.label} {self.help}".lower()
        return all(word in known for word in words.lower().split())

    def is_called(self, words: str) -> bool:
        """Whether its label or its flag is just these words."""
        return words.strip().lower() in (self.label.lower(), flag(self.name), self.name)


class NewRun(NamedTuple):
    """What the form asks for."""

    name: str | None
    """None for a free name that begins with the preset."""
    preset: str
    arguments: list[str]
    """For `launch.trainer_process.start_training`: ``--preset`` and what differs from it."""
    values: Mapping[str, str] = MappingProxyType({})
    """The texts in the form, to fill it again."""

    @property
    def device(self) -> str:
        """The setting ``device``."""
        return self.values.get("device", "auto")


# Labels and help that are shorter, or more exact, than what follows from the configuration.
_USUAL = {
    NAME: ("Name", "the run's folder; blank = the name shown"),
    "preset": ("Preset", "model size and training schedule"),
    "model": ("Train", "which variants; both see the same batches"),
    "steps": ("Steps", "optimizer steps; with minutes too, whichever comes first"),
    "minutes": ("Minutes", "time limit, both variants together"),
    "data": ("Corpus", f"auto, {', '.join(KNOWN)}, or text: files, a folder, books/*.txt"),
    "tokenizer": ("Tokenizer", "char, bpe, wordpiece, or a tokenizer.json"),
    "vocab_size": ("Vocabulary", "tokens of bpe or wordpiece; blank = by the corpus's size"),
    "moe.experts": ("Experts", "experts per MoE layer"),
    "moe.top_k": ("Top-k", "experts that each token is routed to"),
    "optim.matrix_learning_rate": ("Learning rate", "peak learning rate of Muon"),
    "seed": ("Seed", "for weights, batches and dropout"),
    "device": ("Device", "auto, cpu, cuda, mps, or one of several GPUs: cuda:1"),
    GPUS: ("GPUs", "how many train together, or all; with device cpu, as many processes"),
}
_LABELS = {
    "data_field": "Text field",
    "val_data": "Validation text",
    "val_share": "Validation share",
    "init_from": "Start from run",
    "gpt.conv_size": "Convolution size",
    "gpt.hidden": "Hidden width",
    "gpt.rope_base": "RoPE base",
    "gpt.tie_embeddings": "Tied embeddings",
    "moe.aux_loss": "Load-balancing loss",
    "moe.z_loss": "Router z-loss",
    "moe.bias_rate": "Balancing bias rate",
    "moe.router": "Router",
    "optim.learning_rate": "AdamW learning rate",
    "optim.decay_taps": "Decay taps",
    "optim.clip": "Gradient clipping",
    "optim.decay": "Learning rate decay",
    "optim.final": "Final learning rate",
    "optim.average": "Weight average",
    "train.compile": "torch.compile",
    "train.cuda_graph": "CUDA graph",
    "train.eval_every": "Evaluate every",
    "train.log_every": "Log every",
    "train.eval_train_windows": "Train windows",
}
_NO_VALUE = {
    "steps": "no limit",
    "minutes": "no limit",
    "target_loss": "none",
    "val_data": "a share",
    "init_from": "none",
    "train.disk_budget": "no limit",
}
"""How a setting without a value is shown; others are `AUTOMATIC`."""
AUTOMATIC = "automatic"


def _field(name: str) -> FormField:
    if name not in CONFIG_FIELDS:
        return FormField(name, *_USUAL[name])
    field = CONFIG_FIELDS[name]
    values = choices(field) or (["true", "false"] if kind_of(field) is bool else [])
    if values and field.default is None:
        values = [AUTOMATIC, *values]
    plain = name.rpartition(".")[2].replace("_", " ").capitalize()
    default = _LABELS.get(name, plain), str(field.metadata["help"])
    return FormField(name, *_USUAL.get(name, default), tuple(values))


USUAL = tuple(map(_field, _USUAL))
ADVANCED = tuple(_field(name) for name in CONFIG_FIELDS if name not in _USUAL)
FIELDS = {field.name: field for field in (*USUAL, *ADVANCED)}


def table_of(name: str) -> str:
    """The table of a setting: "gpt" of "gpt.layers", empty for one of the run itself."""
    return name.rpartition(".")[0]


def read_form(
    out: Path, name: str, values: Mapping[str, str]
) -> tuple[dict[str, str], RunConfig | None]:
    """The problems by field, and the configuration of the valid fields; None if they conflict."""
    problems = {}
    if name and (problem := rename_problem(out / name, name)):
        problems[NAME] = problem
    if problem := data_problem(values.get("data", "auto")):
        problems["data"] = problem
    if problem := gpus_option.problem(values.get(GPUS, "all")):
        problems[GPUS] = f"{FIELDS[GPUS].label} {problem}"
    for field, text in settings(values).items():
        try:
            convert(CONFIG_FIELDS[field], text, field)
        except SettingError as error:
            problems[field] = f"{error.naming(_label)}{_valid_values(field, str(error))}"
    try:
        return problems, build({n: t for n, t in settings(values).items() if n not in problems})
    except ConfigError as error:
        said = error.naming(_label) if isinstance(error, SettingError) else str(error)
        return problems | {_field_named_in(str(error), values): said}, None


def settings(values: Mapping[str, str]) -> dict[str, str]:
    """The values of the configuration among those of the form."""
    return {name: text for name, text in values.items() if name in CONFIG_FIELDS}


def _valid_values(name: str, said: str) -> str:
    """The valid values of a number, unless the error message tells them."""
    field = CONFIG_FIELDS[name]
    valid = "" if choices(field) or "must be" in said else range_text(field)
    return f": {valid}" if valid else ""


def _label(name: str) -> str:
    return FIELDS[name].label


def data_problem(data: str) -> str | None:
    """Why `data` names no corpus; None if it does, as far as can be told without reading it."""
    if data in ("auto", *KNOWN):
        return None
    for name in sources.names(data):
        path = user_path(name)
        readable = os.path.isfile(path) and os.access(path, os.R_OK)
        if not (readable or os.path.isdir(path) or sources.is_pattern(name)):
            return f"there is no readable file {name}: name one, or auto"
    return None


def _field_named_in(message: str, values: Mapping[str, str]) -> str:
    """The field at which to show an error about several fields: the first that it names."""
    named = [name for name in values if flag(name) in message]
    return min(named, key=lambda name: message.find(flag(name)), default="preset")


def defaults(values: Mapping[str, str]) -> dict[str, Scalar]:
    """The settings that blank fields stand for, given the preset and whether there is a time limit;
    those without a value are absent."""
    known = flatten(build({"preset": values["preset"]}))
    if "minutes" in values and "steps" in known:
        del known["steps"]  # as in `build`
    return known


def default_texts(values: Mapping[str, str]) -> dict[str, str]:
    """The value that each blank field stands for, as text."""
    texts = {name: as_text(value) for name, value in defaults(values).items()}
    if not texts["train.sample_prompt"]:
        texts["train.sample_prompt"] = "a newline"
    known = {name: texts.get(name, _NO_VALUE.get(name, AUTOMATIC)) for name in CONFIG_FIELDS}
    return known | {GPUS: trainer_process.gpus() or "1"}


def help_text(name: str, default: str, preset: str) -> str:
    """The help of a field, with its option, the valid values, and the default of the preset."""
    field = FIELDS[name]
    if name not in CONFIG_FIELDS:
        return f"{flag(name)}: {field.help}"
    valid = "" if field.choices else range_text(CONFIG_FIELDS[name])
    parts = [
        f"{flag(name)}: {field.help}",
        valid,
        "" if name == "preset" else f"{preset}: {default}",
    ]
    return "; ".join(part for part in parts if part)


def new_run(name: str, values: Mapping[str, str], config: RunConfig) -> NewRun:
    """The options that start this run.

    ``--preset`` is always included (the trainer's default depends on the machine), ``--name`` if it
    is not blank, other options only if they differ from the preset.
    """
    preset = values["preset"]
    given, default = flatten(config), flatten(build({"preset": preset}))
    arguments = [*(["--name", name] if name else []), "--preset", preset]
    for field in settings(values):
        both_limits = field == "steps" and "minutes" in values
        if given[field] != default.get(field) or both_limits:
            value = as_text(given[field])
            # or argparse would take it for an option
            words = [f"{flag(field)}={value}"] if value.startswith("-") else [flag(field), value]
            arguments += words
    if GPUS in values:
        arguments += [flag(GPUS), values[GPUS]]
    return NewRun(name or None, preset, arguments, {NAME: name, **values})
