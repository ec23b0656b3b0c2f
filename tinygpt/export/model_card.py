"""The model card of an export: a README.md that says what the model is, how it was trained, and how
to use it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygpt.checkpoint import Checkpoint
from tinygpt.data.characters import CharTokenizer, summarize
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.errors import TinyGPTError
from tinygpt.escape import printable
from tinygpt.run.layout import VARIANTS, read_config
from tinygpt.run.meta import read_meta
from tinygpt.run.reader import evaluations
from tinygpt.run.records import EvalRecord

TRANSFORMERS = "4.57"
"""The oldest version of transformers with which exports are tested."""

_PROMPT = "To be, or not"
_NAMES = dict(zip(VARIANTS, ("Dense", "MoE"), strict=True))


def model_card(checkpoint: Checkpoint, name: str) -> str:
    """The content of README.md; `name` is that of the export's folder."""
    run = checkpoint.path.parent.parent
    settings: Mapping[str, Any] = {}
    with suppress(TinyGPTError):  # a copy may have the checkpoint alone
        settings = read_config(run)
    total, active = checkpoint.model.parameter_counts()
    kind, corpus = _NAMES[checkpoint.variant], _text(_table(settings, "corpus").get("name"))
    facts = [f"| {label} | {text} |" for label, text in _facts(checkpoint, settings, run)]
    only = f", {active:,} of them active per token" if active < total else ""
    parts = [
        _header(checkpoint),
        f"# {_text(name)}",
        _INTRODUCTION.format(
            kind=kind, total=f"{total:,}", only=only, corpus=f" on {corpus}" if corpus else ""
        ),
        "\n".join(["| | |", "| --- | --- |", *facts]),
        *_command(settings),
        "## Use",
        _USE.format(transformers=TRANSFORMERS, prompt=_prompt(checkpoint.tokenizer)),
        *_limits(checkpoint),
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = (
    "A small GPT ({kind}, {total} parameters{only}) that was trained from scratch{corpus} with "
    "tinygpt-tui. It continues a text in the way of its corpus, and knows nothing else."
)
_USE = """With transformers from {transformers} on, and torch; `DIR` is this folder:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("DIR", trust_remote_code=True)
model = AutoModelForCausalLM.from_pretrained("DIR", trust_remote_code=True)
ids = tokenizer({prompt!r}, return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, do_sample=True, max_new_tokens=200)[0]))
```

`trust_remote_code` is needed because `modeling_tinygpt.py` in this folder computes the model, not a
class of transformers: read it first. `generate` keeps a cache, and can go on beyond the context:
then each token attends to the last ones that fit."""


def _header(checkpoint: Checkpoint) -> str:
    tags = ["tinygpt-tui", "from-scratch", "mixture-of-experts"]
    tags = tags if checkpoint.variant == "moe" else tags[:-1]
    lines = ["library_name: transformers", "pipeline_tag: text-generation", "tags:"]
    return "\n".join(["---", *lines, *(f"- {tag}" for tag in tags), "---"])


def _facts(
    checkpoint: Checkpoint, settings: Mapping[str, Any], run: Path
) -> Iterator[tuple[str, str]]:
    config, tokenizer = checkpoint.model.config, checkpoint.tokenizer
    corpus, versions = _table(settings, "corpus"), _table(settings, "versions")
    if corpus:
        chars, sha256 = corpus.get("chars"), corpus.get("sha256")
        size = f", {chars:,} characters" if isinstance(chars, int) else ""
        digest = f", sha256 `{_text(sha256)}`" if sha256 else ""
        yield "corpus", f"{_text(corpus.get('name'))}{size}{digest}"
    yield "validation loss", _loss(checkpoint, run)
    moe = config.moe
    experts = f", {moe.experts} experts of which {moe.top_k} per token" if moe else ""
    yield (
        "shape",
        f"{config.layers} layers, {config.heads} heads, width {config.width}{experts}",
    )
    yield "context", f"{config.context:,} tokens"
    yield "tokens", f"{tokenizer.kind}, a vocabulary of {tokenizer.vocab_size:,}"
    tokens = 0
    with suppress(TinyGPTError):
        tokens = read_meta(checkpoint.path)["tokens"]
    seen = f", {tokens:,} tokens" if tokens else ""
    yield "trained", f"step {checkpoint.step:,}{seen} of run {_text(run.name)}"
    if "seed" in settings:
        yield "seed", _text(settings["seed"])
    if versions:
        yield "versions", ", ".join(f"{_text(k)} {_text(v)}" for k, v in versions.items())
    git = _table(settings, "git")
    if git:
        changed = ", with changes" if git.get("changed") is True else ""
        yield "git commit", f"`{_text(git.get('commit'))}`{changed}"


def _loss(checkpoint: Checkpoint, run: Path) -> str:
    """The validation loss in several units, with how it was measured."""
    if checkpoint.val_loss is None:
        return "not measured at this step"
    loss = f"{checkpoint.val_loss:.4f} nats per token"
    found: list[EvalRecord] = []
    with suppress(TinyGPTError):
        found = evaluations(run).get(checkpoint.variant, [])
    record = next((e for e in found if e.step == checkpoint.step), None)
    if record is None or record.val_loss != checkpoint.val_loss:
        return loss
    per_byte = "" if record.bits_per_byte is None else f", {record.bits_per_byte:.4f} bits per byte"
    sample = "" if record.val_tokens is None else f", on a sample of {record.val_tokens:,} tokens"
    return f"{loss}, perplexity {record.perplexity:.3f}{per_byte}{sample}"


def _command(settings: Mapping[str, Any]) -> Iterator[str]:
    argv = settings.get("argv")
    if isinstance(argv, list) and argv and all(isinstance(word, str) for word in argv):
        words = ["tinygpt-tui" if argv[0] == "__main__.py" else argv[0], *argv[1:]]
        yield "The command that trained it:"
        yield f"    {printable(shlex.join(words))}"


def _prompt(tokenizer: Tokenizer) -> str:
    """A short text that the tokenizer knows."""
    if not isinstance(tokenizer, CharTokenizer) or {*_PROMPT} <= {*tokenizer.characters}:
        return _PROMPT
    return "".join(c for c in tokenizer.characters if c.isalnum())[:5] or tokenizer.characters[0]


def _limits(checkpoint: Checkpoint) -> Iterator[str]:
    tokenizer = checkpoint.tokenizer
    if isinstance(tokenizer, CharTokenizer):
        known = printable(summarize(tokenizer.characters)).replace("`", "'")
        yield (
            "Its tokens are characters. It knows these, and the tokenizer raises an error (about "
            f"a missing `[UNK]`) for a text with others: {known}."
        )


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str:
    """Text within a line or a cell of Markdown."""
    shown = "" if value is None else printable(str(value))
    return "".join(f"\\{c}" if c in "\\|`*_<>[]#" else c for c in shown)
