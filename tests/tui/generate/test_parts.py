"""The Generate tab's pure parts: settings, wrapped text, the tree, what is kept."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.generated import made, texts, token
from tinygpt.errors import ConfigError
from tinygpt.generation.filters import chain
from tinygpt.generation.params import SamplingParams
from tinygpt_tui.engine.protocol import (
    Ended,
    GenerateRequest,
    Opened,
    Reply,
    Request,
    StopRequest,
    Tokens,
)
from tinygpt_tui.generate import presets, settings
from tinygpt_tui.generate.controller import GenerateController
from tinygpt_tui.generate.settings import BY_NAME, PRESETS, SETTINGS
from tinygpt_tui.generate.tree import Tree, reproducible
from tinygpt_tui.generate.view import (
    COLOURS,
    Side,
    ViewOptions,
    _first_line,
    column,
    inspector,
    level,
    listing,
    settings_rows,
)
from tinygpt_tui.prompt_history import FIRST, Prompts
from tinygpt_tui.render.cells import plain, width
from tinygpt_tui.render.wrap import Flow


def test_every_setting_has_a_key_of_its_own() -> None:
    assert {s.name for s in SETTINGS} == {*settings.as_dict(SamplingParams())}
    keys = [s.key for s in SETTINGS]
    assert len(set(keys)) == len(keys)
    assert all(key.isupper() for key in keys)


params_strategy = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.7, 1.0, 1.3]),
    top_k=st.sampled_from([0, 5]),
    top_p=st.sampled_from([0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.1]),
    typical_p=st.sampled_from([0.9, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.2]),
    no_repeat_ngram=st.sampled_from([0, 3]),
    temperature_last=st.booleans(),
    greedy=st.booleans(),
    seed=st.none() | st.integers(0, 99),
    stop=st.lists(st.sampled_from(["x", "a\nb"]), max_size=2).map(tuple),
)


@given(params_strategy)
def test_the_chain_in_words_is_the_chain(params: SamplingParams) -> None:
    words = settings.chain_words(params)
    names = [name for name, _ in chain(params)]
    parts = words.split(" → ") if names else []
    assert len(parts) == len(names)
    assert all(part.startswith(name) for part, name in zip(parts, names, strict=True))


@given(params_strategy)
def test_what_is_shown_can_be_typed_and_kept(params: SamplingParams) -> None:
    assert settings.from_dict(json.loads(json.dumps(settings.as_dict(params)))) == params
    for setting in SETTINGS:
        if setting.range:
            text = settings.typed(params, setting)
            assert settings.parsed(SamplingParams(), setting, text) == settings.changed(
                SamplingParams(), setting, getattr(params, setting.name)
            )


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_steps_walk_the_whole_ladder_and_stay_in_range(setting: settings.Setting) -> None:
    params = SamplingParams()
    for by in (-1, 1, -1):
        seen = []
        for _ in range(40):
            params = settings.stepped(params, setting, by)
            seen.append(getattr(params, setting.name))
        if setting.ladder:
            assert seen[-1] == setting.ladder[-1 if by > 0 else 0]
            assert by == -1 or set(setting.ladder[1:]) <= set(seen)


def test_a_value_between_two_steps_goes_to_the_next() -> None:
    odd = SamplingParams(temperature=0.83)
    assert settings.stepped(odd, BY_NAME["temperature"], 1).temperature == 0.9
    assert settings.stepped(odd, BY_NAME["temperature"], -1).temperature == 0.8
    far = SamplingParams(temperature=7.0)
    assert settings.stepped(far, BY_NAME["temperature"], 1) == far
    assert settings.stepped(far, BY_NAME["temperature"], -1).temperature == 2.0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temperature", "-1"),
        ("temperature", "nan"),
        ("temperature", "inf"),
        ("top_k", "2.5"),
        ("top_k", "-1"),
        ("top_p", "1.01"),
        ("min_p", "x"),
        ("typical_p", "0"),
        ("repetition_penalty", "0"),
        ("no_repeat_ngram", "-2"),
        ("max_new_tokens", "20001"),
        ("max_new_tokens", "1e99"),
        ("max_new_tokens", ""),
        ("seed", "-1"),
        ("seed", str(2**63)),
        ("seed", "a"),
        ("stop", "a||b"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name: str, text: str) -> None:
    setting = BY_NAME[name]
    with pytest.raises(ConfigError) as refused:
        settings.parsed(SamplingParams(), setting, text)
    assert setting.label in str(refused.value)
    assert setting.range in str(refused.value)


def test_a_preset_keeps_seed_length_and_stop() -> None:
    mine = SamplingParams(seed=5, max_new_tokens=7, stop=("x",), top_k=3)
    found = settings.with_preset(mine, PRESETS["careful"])
    assert (found.seed, found.max_new_tokens, found.stop) == (5, 7, ("x",))
    assert (found.temperature, found.top_k) == (0.7, 40)
    assert settings.preset_name(found, PRESETS) == "careful"
    assert settings.preset_name(mine, PRESETS) is None


def test_prompts_and_presets_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    prompts = Prompts()
    assert prompts.last == FIRST
    for prompt in ("one", "two\nlines", "one"):
        prompts.used(prompt)
    again = Prompts()
    assert again.all == ["two\nlines", "one"]
    assert [again.move(-1, "now") for _ in range(3)] == ["one", "two\nlines", "now"]
    assert again.move(1, "now") == "one"
    presets.save_preset("mine", PRESETS["creative"])
    assert presets.saved_presets() == {"mine": PRESETS["creative"]}
    presets.save_preset("mine", None)
    assert presets.saved_presets() == {}


@pytest.mark.parametrize("found", ["", "[1, 2]", '{"a": {"nope": 1}, "b": 3}', "\x00", "[" * 9999])
def test_what_is_kept_but_broken_is_passed_over(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "tinygpt-tui"
    folder.mkdir()
    for name in ("prompts.json", "presets.json"):
        (folder / name).write_text(found)
    assert Prompts().all == []
    assert presets.saved_presets() == {}


@given(texts, st.integers(4, 20), st.booleans())
@example(text=" aa漢漢", columns=5, marks=False)
def test_a_wrapped_text_is_the_text(text: str, columns: int, marks: bool) -> None:  # noqa: FBT001
    flow = Flow(columns, marks=marks)
    flow.extend(text)
    assert len(flow.cells) == flow.tokens == len(text)
    ends = [*flow._starts[1:], len(flow.cells)]
    assert [*flow._starts] == sorted(set(flow._starts))
    for number, end in enumerate(ends):
        cells = flow.line(number)
        assert sum(c.width for c in cells) <= columns
        hanging = flow.cells[flow._starts[number] + len(cells) : end]
        assert all(c.space or text[c.token] == "\n" for c in hanging)
    for place in range(len(text)):
        line, at = flow.place(place)
        assert flow._starts[line] <= place < ends[line]
        if at < columns:
            assert flow.token_at(line, at) == place


def test_lines_break_behind_spaces() -> None:
    flow = Flow(7)
    flow.extend("to be or nottobeatall\nx")
    lines = ["".join(c.text for c in flow.line(n)) for n in range(flow.height)]
    assert [line.rstrip() for line in lines] == ["to be", "or", "nottobe", "atall", "x"]


def test_branches_walk_and_prune() -> None:
    tree = Tree()
    first = tree.add("ab", SamplingParams(seed=1), "p")
    first.tokens = [token(c) for c in "abc"]
    second = tree.branch(first, 1, 2, SamplingParams(seed=1))
    assert second.text == "a" + first.tokens[1].texts[2]
    assert second.forced == {1}
    assert second.tokens[1].surprisal == pytest.approx(-math.log(0.1))
    assert second.tokens[1].rank == 2
    assert first.text == "abc"
    third = tree.branch(second, 1, 0, SamplingParams(seed=1))
    other = tree.add("x", SamplingParams(), "p")
    assert [(d, t.id) for d, t in tree.walk()] == [
        (0, first.id),
        (1, second.id),
        (2, third.id),
        (0, other.id),
    ]
    assert tree.prune(second) == [second, third]
    assert [t.id for _, t in tree.walk()] == [first.id, other.id]


def test_what_is_saved_says_what_makes_it_again() -> None:
    tree = Tree()
    first = made("abc")
    tree.texts[first.id] = first
    branched = tree.branch(first, 2, 3, first.params)
    found = json.loads(json.dumps(reproducible(branched), allow_nan=False))
    assert found["chosen_by_hand"] == [[2, branched.tokens[2].id]]
    assert (found["prompt"], found["text"]) == ("ab", branched.text)
    assert found["sampling"]["max_new_tokens"] == 3
    assert settings.from_dict(found["sampling"]).seed == 3


def test_levels_follow_what_is_looked_at() -> None:
    top1_probability, unsure = token("a", p=0.97), token("a", p=0.02)
    for colour in COLOURS[1:3]:
        look = ViewOptions(colour=colour)
        assert level(top1_probability, (), look) == "heat.0"
        assert level(unsure, (), look) == ("heat.6" if colour == "surprisal" else "heat.7")
    assert level(top1_probability, (3, 1), ViewOptions("expert", layer=1)) == "expert.1"
    assert level(top1_probability, (), ViewOptions("expert")) == "text"
    assert level(top1_probability, (), ViewOptions()) == "text"


@pytest.mark.parametrize("columns", [5, 38, 59, 120])
@pytest.mark.parametrize("height", [1, 2, 7, 20])
def test_every_row_has_the_width_and_there_are_as_many_as_asked(columns: int, height: int) -> None:
    text = made("abc de\n" * 9)
    look = ViewOptions("surprisal")
    for cursor in (None, 0, 61):
        rows = column(Side("Dense", text=text), columns, height, look, cursor=cursor)
        assert len(rows) == height
        assert {width(r) for r in rows} == {columns}
    if height > 1 and columns >= 20:
        rows = inspector(text, 3, columns, height, candidate=2)
        assert len(rows) == height
        assert {width(r) for r in rows} == {columns}
        rows = listing([text] * 5, 3, columns, height, look, timeline=True)
        assert len(rows) == height
        assert {width(r) for r in rows} == {columns}


def test_a_list_says_of_what_other_run_its_texts_are() -> None:
    text = made("abc")
    text.path = "runs/other/dense/step-00000003"
    for run, said in (("other", False), ("one", True)):
        shown = plain(listing([text], 0, 60, 3, ViewOptions(), timeline=True, run=run))[0]
        assert ("other" in shown) == said


def test_the_inspector_shows_all_and_marks_the_chosen() -> None:
    text = made("abc")
    rows = inspector(text, 1, 120, 4)
    shown = "\n".join(plain(rows))
    assert "2/3 b" in shown
    assert "●b     40.0  50.0" in shown
    assert "top-k" in shown
    for name in ("\\n", "' '", "a", "c", "d", "e"):
        assert f" {name} " in shown


def test_settings_fit_two_rows_of_eighty() -> None:
    busy = replace(PRESETS["careful"], seed=123456789, no_repeat_ngram=10, stop=("x",))
    assert len(settings_rows(busy, 80)) <= 3
    assert {width(r) for r in settings_rows(busy, 80)} == {80}


@given(total=st.integers(1, 400), room=st.integers(1, 41))
def test_a_growing_text_keeps_its_newest_line_in_sight_and_seldom_moves(
    total: int, room: int
) -> None:
    firsts = [_first_line(n, room, n - 1, centre=False) for n in range(1, total + 1)]
    for lines, first in enumerate(firsts, start=1):
        assert first <= lines - 1 < first + room
    moves = sum(a != b for a, b in pairwise(firsts))
    assert moves <= total / max(1, room // 2)


def test_a_burst_is_swept_and_a_text_of_another_run_says_so(tmp_path: Path) -> None:
    asked: list[Request] = []
    console = GenerateController(asked.append, lambda: len(asked) + 1)
    one, two = tmp_path / "one", tmp_path / "two"
    console.open(one)
    console.kept = {"dense": [7]}
    for _ in range(3):
        console.write("ab", seed=5)
    writes = [request for request in asked if isinstance(request, GenerateRequest)]
    jobs = [write.job for write in writes[:2]]
    assert {request.job for request in asked if isinstance(request, StopRequest)} == {*jobs}
    replies: list[Reply] = [Ended(job, "stopped", 0.0) for job in jobs]
    last = writes[-1]
    replies += [Opened(last.job, last.path, "dense", 7, 1.5, 2, 0)]
    replies += [Tokens(last.job, (token("a"),)), Ended(last.job, "stopped", 1.0)]
    assert all(console.take(reply) for reply in replies)
    console.sweep()
    assert list(console.tree.texts) == [3]
    (side,) = console.sides
    assert side.note == ""
    console.open(two)
    assert side.note == "generated by run one"
    console.open(one)
    console.kept = {"dense": [7, 11]}
    console.look_for_newer()
    assert side.note == "step 11 is available: a regenerates with it"
