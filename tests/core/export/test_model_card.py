"""The model card says what was trained on what, by which command, and how to use it."""

from pathlib import Path

import pytest

import tinygpt
from tests.helpers.models import TEXT
from tests.helpers.training import make_session, train_session
from tinygpt.export.model_card import model_card
from tinygpt.run import EvalRecord, MetricsReader


@pytest.mark.parametrize("variant", ["dense", "moe"])
def test_what_it_says(tmp_path: Path, variant: str) -> None:
    session = make_session(tmp_path, model=variant)
    train_session(session)
    checkpoint = tinygpt.load(session.path, step=12)
    card = model_card(checkpoint, "my_model")
    (evaluation,) = (
        r for r in MetricsReader(session.path).read() if isinstance(r, EvalRecord) and r.step == 12
    )
    for text in (
        "library_name: transformers",
        "# my\\_model",
        f"| corpus | corpus.txt, {len(TEXT):,} characters, sha256 `{session.corpus.sha256}` |",
        f"{evaluation.val_loss:.4f} nats per token, perplexity {evaluation.perplexity:.3f}",
        f"{evaluation.bits_per_byte:.4f} bits per byte |",
        "| context | 7 tokens |",
        "step 12, 420 tokens of run run",
        "\n    test\n",
        "It knows these",
    ):
        assert text in card
    assert ("of them active per token" in card) is (variant == "moe")
    assert ("- mixture-of-experts" in card) is (variant == "moe")
    prompt = card.partition("tokenizer('")[2].partition("'")[0]
    assert checkpoint.tokenizer.encode(prompt)


def test_a_copy_without_records_has_a_card(tmp_path: Path) -> None:
    session = make_session(tmp_path, model="dense")
    train_session(session)
    (session.path / "run.toml").unlink()
    (session.path / "metrics.jsonl").unlink()
    card = model_card(tinygpt.load(session.path / "dense", step=12), "copy")
    assert "| corpus" not in card
    assert "nats per token" in card


def test_what_markdown_or_a_terminal_would_obey_is_escaped(tmp_path: Path) -> None:
    session = make_session(tmp_path, model="dense")
    train_session(session)
    toml = session.path / "run.toml"
    toml.write_text(
        toml.read_text().replace('name = "corpus.txt"', 'name = "a|b <img> \\u001B[2J"')
    )
    card = model_card(tinygpt.load(session.path, step=12), "out")
    assert "a\\|b \\<img\\>" in card
    assert "\x1b" not in card
