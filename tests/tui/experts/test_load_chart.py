"""The load during training and the balance of the layers."""

import math
import re

import numpy as np
import pytest

from tests.helpers.records import routed
from tests.helpers.routed import load_record
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


def test_a_bar_of_two_lines_has_twice_the_steps() -> None:
    def bar(share: float) -> str:
        return "".join(load_chart.load_cell(share, 4, 2, above).text for above in (1, 0))

    assert [bar(share) for share in (0.0, 0.01, 0.25, 0.28, 0.5)] == [
        " ×",  # noqa: RUF001 - the cross
        " ▁",
        " █",
        "▁█",
        "██",
    ]
    record = load_record([[0.1, 0.4, 0.3, 0.2]] * 2)
    small = plain(load_chart.load_block([record], 40, 11))
    large = plain(load_chart.load_block([record], 40, 20))
    assert sum("40%" in line for line in small) == sum("40%" in line for line in large) == 2
    assert sum("█" in line for line in large) > sum("█" in line for line in small)


@pytest.mark.parametrize("columns", [40, 78])
def test_the_rise_of_the_loss_stands_at_the_end_of_a_row(columns: int) -> None:
    record = load_record([[0.1, 0.4, 0.3, 0.2]] * 2)
    rises = np.array([[0.0124, -0.0031, 1.5, 0.0], [0.2, 0.3, 0.4, 0.5]])
    lines = plain(load_chart.load_block([record], columns, 12, rises=rises))
    assert lines[0].endswith("loss rise without it ─")
    assert [line[-12:] for line in lines if "%" in line and "uniform" not in line] == [
        "  10% +0.012",
        "  40% -0.003",
        "  30% +1.500",
        "  20% +0.000",
        "  10% +0.200",
        "  40% +0.300",
        "  30% +0.400",
        "  20% +0.500",
    ]
    assert {len(line) for line in lines} == {columns}


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
        plain(load_chart.balance_block(one, 4, "@ step 7", columns, 9))[0]
        for columns in (70, 52, 40)
    ]
    assert titles == [
        "─ load balance @ step 7 ────────── routing agreement with the newest ─",
        "─ load balance @ step 7 ─── agreement: with newest ─",
        "─ load balance @ step 7 ────────────────",
    ]


@pytest.mark.parametrize("experts", [11, 64, 1024])
@pytest.mark.parametrize("size", [(80, 11), (80, 20), (58, 5), (24, 4)])
def test_every_expert_can_be_shown_under_its_own_number(
    experts: int, size: tuple[int, int]
) -> None:
    load = np.linspace(0.5, 1.5, experts) / experts
    record = load_record([load.tolist()] * 2)
    for expert in (0, 9, 10, experts - 1):
        rows = plain(load_chart.load_block([record], *size, layer=1, selected=expert))
        found = {line[4:9].split()[0] for line in rows[1:-1]}
        assert str(expert) in found
        if size[0] == 80 and len(found) < experts:
            visible = load_chart.visible_experts(experts, size[1], expert)
            assert f" experts {visible[0]}-{visible[-1]} of {experts} ─" in rows[0]
            assert re.match(rf"[ L0-9]{{4}}{visible[0]} ", rows[1])


def test_the_entropy_of_one_expert_has_no_sign() -> None:
    for zero in (-0.0, -1e-9):
        one = load_chart.Balance(zero, 1.0, 1.0, 0)
        row = plain(load_chart.balance_block([one], 1, "", 70, 9))[2]
        assert row.split()[:4] == ["L0", "0.00", "100%", "1.00"]
