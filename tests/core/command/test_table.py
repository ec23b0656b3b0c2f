"""The final table."""

from tinygpt.command.table import comparison


def test_closing_table() -> None:
    dense = {"val_loss": 1.5, "step": 2000, "train_seconds": 187.0, "perplexity": None}
    rows = comparison({"dense": dense, "moe": {**dense, "val_loss": 1.25}})
    assert rows[0] == ["", "dense", "moe", "dense - moe"]
    assert rows[1] == ["validation loss", "1.5000", "1.2500", "+0.2500"]
    assert ["perplexity", "-", "-", ""] in rows
    assert ["steps", "2,000", "2,000", ""] in rows
    assert ["training time", "3:07", "3:07", ""] in rows


def test_equal_losses_differ_by_a_plain_zero() -> None:
    rows = comparison({"dense": {"val_loss": 1.5}, "moe": {"val_loss": 1.49999}})
    assert rows[1] == ["validation loss", "1.5000", "1.5000", "+0.0000"]


def test_the_table_says_what_a_sampled_split_was_evaluated_on() -> None:
    dense = {"val_loss": 1.5, "val_loss_over": "whole split"}
    rows = comparison({"dense": dense, "moe": {**dense, "val_loss_over": "sample"}})
    assert ["validation over", "whole split", "sample", ""] in rows
    assert "overfitting since step" not in [row[0] for row in rows]
    assert "validation over" not in [row[0] for row in comparison({"dense": {"val_loss": 1.5}})]


def test_the_table_says_since_when_a_variant_is_overfitting() -> None:
    rows = comparison({"dense": {"overfitting_since": 1200}, "moe": {"overfitting_since": None}})
    assert ["overfitting since step", "1,200", "-", ""] in rows
