"""The load during training and the balance of the layers."""

import math

import pytest

from tests.helpers.records import routed
from tinygpt_tui.experts import load_chart
from tinygpt_tui.render.cells import plain


def test_load_over_time_takes_means_or_the_nearest() -> None:
    found, ends = load_chart.load_over_time([routed(2, 0.2), routed(4, 0.4), routed(10, 0.9)], 8)
    assert ends == (2, 10)
    assert found.shape == (1, 2, 8)
    assert found[0, 0].tolist() == [0.2, 0.4, 0.4, 0.4, 0.4, 0.9, 0.9, 0.9]
    crowded, _ = load_chart.load_over_time([routed(s, s / 10) for s in range(1, 9)], 2)
    assert crowded[0, 0].tolist() == pytest.approx([0.25, 0.65])
    alone, _ = load_chart.load_over_time([routed(5, 0.3)], 3)
    assert alone[0, 0].tolist() == [0.3, 0.3, 0.3]


def test_half_a_cell_is_the_uniform_load() -> None:
    shares = (0.0, 0.01, 0.125, 0.25, 0.5, 1.0, math.nan)
    marks = [load_chart.load_cell(share, 4) for share in shares]
    assert "".join(span.text for span in marks) == "×▁▂▄██ "  # noqa: RUF001 - the cross
    assert [span.style for span in marks[:5]] == ["bad", "share.0", "share.1", "share.2", "share.4"]


def test_balance_is_coloured_by_health() -> None:
    one = load_chart.Balance(
        entropy=0.5, max_over_mean=3.5, top1_probability=0.26, dead=2, agreement=0.3
    )
    rows = load_chart.balance_block([one], 4, "", 70, 9)
    styles = {span.style for span in rows[2] if span.text.strip()}
    assert styles >= {"bad", "warn"}
    assert "good" not in styles
    fine = load_chart.balance_block([load_chart.Balance(1.38, 1.1, 0.8, 0, 0.95)], 4, "", 70, 9)
    assert not {"bad", "warn"} & {span.style for span in fine[2]}


def test_the_agreement_is_explained_where_there_is_room() -> None:
    one = [load_chart.Balance(1.38, 1.1, 0.8, 0, agreement=0.95)]
    titles = [
        plain(load_chart.balance_block(one, 4, "@ step 7", columns, 9))[0].strip()
        for columns in (70, 48, 40)
    ]
    assert titles == [
        "load balance @ step 7               routing agreement with the latest",
        "load balance @ step 7    agreement: with latest",
        "load balance @ step 7",
    ]
