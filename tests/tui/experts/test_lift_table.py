"""The order of the table of lifts, and the examples."""

from dataclasses import replace

from rich.cells import cell_len

from tests.helpers.routed import VOCABULARY, survey_reply
from tinygpt.analysis import routing
from tinygpt_tui.engine import results
from tinygpt_tui.engine.protocol import Example
from tinygpt_tui.experts import lift_table
from tinygpt_tui.experts.state import Sorting
from tinygpt_tui.render.cells import plain


def test_table_is_ordered_by_lift_with_the_rare_last() -> None:
    found = results.routing_survey(survey_reply())
    assert found is not None
    names, counts = lift_table.counted(found, Sorting())
    lift = routing.lift(counts)[1]
    order = lift_table.ordered(counts[1], lift, Sorting(expert=2))
    common = [i for i in order if counts[1][:, i].sum() >= lift_table.RARE]
    assert [lift[2, i] for i in common] == sorted((lift[2, i] for i in common), reverse=True)
    assert names[order[-1]] == "3"
    assert "B" not in [names[i] for i in order]
    by_count = lift_table.ordered(counts[1], lift, Sorting(order="count"))
    assert counts[1][0, by_count[0]] == counts[1][0].max()
    by_name = lift_table.ordered(counts[1], lift, Sorting(order="name"))
    assert by_name == sorted(by_name)
    assert lift_table.rows_of(found, 1, Sorting()) == len(order) == len(VOCABULARY) - 1
    assert "consonant" in lift_table.counted(found, Sorting(classes=True))[0]


def test_the_strongest_exceed_their_expected_count_most() -> None:
    found = results.routing_survey(survey_reply())
    assert found is not None
    strongest = lift_table.strongest(found, 1, 2)
    counts = found.expert_counts[1]
    shares = counts.sum(0) * counts[2].sum() / counts.sum()
    excess = [counts[2, token] - shares[token] for token, _ in strongest]
    assert excess == sorted(excess, reverse=True)


def test_a_heading_says_whether_anything_is_over_represented() -> None:
    found = results.routing_survey(survey_reply())
    assert found is not None
    rows = plain(lift_table.examples_block(found, 50, 4, layer=1, experts=[2]))
    assert rows[0].strip().strip("─ ") == "■ over-represented in expert 2"
    alone = replace(found, examples={})
    rows = plain(lift_table.examples_block(alone, 50, 4, layer=1, experts=[2]))
    assert rows[0].strip().strip("─ ") == "■ nothing over-represented in expert 2"


def test_long_tokens_keep_the_columns_of_examples() -> None:
    found = results.routing_survey(survey_reply())
    assert found is not None
    first, _ = lift_table.strongest(found, 1, 2)[0]
    vocabulary = (*found.vocabulary[:first], "システム", *found.vocabulary[first + 1 :])
    examples: dict[tuple[int, int, int], tuple[Example, ...]]
    examples = dict.fromkeys(found.examples, (Example("cab", "!", "d"),))
    changed = replace(found, vocabulary=vocabulary, examples=examples)
    rows = plain(lift_table.examples_block(changed, 50, 5, layer=1, experts=[2]))
    assert any("システム " in line for line in rows)
    places = [cell_len(line[: line.index("!")]) for line in rows if "!" in line]
    assert len(places) > 1
    assert len(set(places)) == 1


def test_examples_of_several_experts_are_side_by_side_where_there_is_room() -> None:
    found = results.routing_survey(survey_reply())
    assert found is not None
    rows = plain(lift_table.examples_block(found, 90, 12, layer=1, experts=[0, 2, 3]))
    assert len(rows) == 12
    assert {cell_len(line) for line in rows} == {90}
    assert rows[0].count("over-represented") == 2
    assert "┬" in rows[0]
    assert rows[6].count("over-represented in expert 3") == 1
    narrow = plain(lift_table.examples_block(found, 60, 12, layer=1, experts=[0, 2, 3]))
    assert [line.count("over-represented") for line in narrow].count(1) == 3


def test_examples_of_wide_characters_keep_their_columns() -> None:
    found = results.routing_survey(survey_reply())
    assert found is not None
    vocabulary = tuple("漢" if c == "b" else c for c in found.vocabulary)
    places = []
    for before in ("cab ab cab ab c", "漢字漢字漢字漢字漢"):
        example = (Example(before, "!", "d"),)
        examples: dict[tuple[int, int, int], tuple[Example, ...]]
        examples = dict.fromkeys(found.examples, example)
        changed = replace(found, vocabulary=vocabulary, examples=examples)
        rows = plain(lift_table.examples_block(changed, 50, 4, layer=1, experts=[2]))
        places += [cell_len(line[: line.index("!")]) for line in rows[1:3]]
    assert len(places) == 4
    assert len(set(places)) == 1
