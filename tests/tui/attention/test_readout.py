"""The readout of the Attention tab."""
# ruff: noqa: RUF001 - the commas are Chinese

from dataclasses import replace

from rich.cells import cell_len

from tests.helpers.looks import attention_state, inspected, weights
from tinygpt_tui.attention import readout, view
from tinygpt_tui.render.cells import plain


def test_the_weight_under_the_cursor_is_exact() -> None:
    shown = inspected(29)
    rows = "\n".join(plain(view.tab(attention_state(shown, (120, 34), level="head"), 120, 34)))
    weight = weights(29)[1, 1, 23, 20]
    assert f"weight {weight:.4f} rank 1/24" in rows
    assert "query l    at 24" in rows
    assert " 1:1 ─" in rows
    assert "layer 1 head 1" in rows


def test_top_keys_are_in_order_and_not_after_the_query() -> None:
    matrix = weights(29)[2, 1]
    found = readout.top_keys(matrix, 11)
    expected = sorted(range(12), key=lambda key: -matrix[11, key])[:5]
    assert [key for key, _ in found] == expected
    assert len(readout.top_keys(matrix, 1)) == 2


def test_the_columns_of_the_readout_are_those_of_narrow_characters() -> None:
    wide = replace(
        inspected(29),
        texts=tuple("春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。春眠不觉晓")[:29],
    )
    rows = []
    for shown in (inspected(29), wide):
        made = attention_state(shown, (120, 34), level="head")
        panel = plain(readout.under_cursor(shown, made.choice, made.matrix))
        rows.append([cell_len(line[: line.index("at ")]) for line in panel[:2]])
        context = plain([readout._context(shown, made.choice, 21)])[0]
        assert cell_len(context) <= 21
        assert shown.texts[23] in context
    assert rows[0] == rows[1]


def test_bars_of_top_keys_begin_in_one_column_and_end_at_the_border() -> None:
    shown = inspected(29)
    texts = ("システムの管理者によるファイル", "を", " the")
    shown = replace(shown, texts=tuple(texts[i % 3] for i in range(shown.size)))
    state = attention_state(shown, (120, 34), level="head")
    for columns in (31, 41, 60):
        rows = readout.top_keys_rows(shown, state.choice, state.matrix, columns, 5)
        lines = plain(rows)
        assert len({cell_len(line[: line.index("▄")]) for line in lines}) == 1
        assert max(map(cell_len, lines)) == columns - 2
        assert max(line.count("▄") for line in lines) >= 10
