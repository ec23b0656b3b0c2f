"""The settings of the form: what they accept, and the options they produce."""

import argparse
from pathlib import Path

import pytest

from tinygpt.command.options import settings
from tinygpt.config import build, dotted_fields
from tinygpt.fields import flag
from tinygpt_tui.cli import make_parser
from tinygpt_tui.launch import trainer_process
from tinygpt_tui.screens import form


def test_every_setting_of_the_command_line_is_in_the_form() -> None:
    assert form.FIELDS.keys() == {form.NAME, form.GPUS, *dict(dotted_fields())}
    labels = [field.label for field in form.FIELDS.values()]
    assert len(set(labels)) == len(labels)  # an error names a field by its label


def test_a_search_finds_words_of_name_label_option_and_help() -> None:
    def found(words: str) -> set[str]:
        return {name for name, field in form.FIELDS.items() if field.matches(words)}

    assert found("RoPE base") == found("--gpt.rope-base") == found("rotary") == {"gpt.rope_base"}
    assert found("gpt hidden") == {"gpt.hidden"}
    assert found("weight decay") >= {"optim.weight_decay", "optim.decay_taps"}
    assert found("no such setting") == set()
    assert found("") == form.FIELDS.keys()


@pytest.mark.parametrize(
    ("values", "name", "says"),
    [
        ({"steps": "many"}, "steps", "Steps 'many' is not a whole number: at least 1"),
        ({"minutes": "0"}, "minutes", "Minutes 0.0 is out of range: it must be more than 0"),
        (
            {"optim.momentum": "x"},
            "optim.momentum",
            "Momentum 'x' is not a number: at least 0, less than 1",
        ),
        ({"gpt.width": "129"}, "gpt.width", "Width 129 is not a multiple of Heads 4: try Width 1"),
        (
            {"moe.top_k": "5"},
            "moe.top_k",
            "Top-k is 5, but there are only 4 experts: choose 1 to 4, or raise Experts",
        ),
        ({"device": "gpu:1"}, "device", "Device 'gpu:1' is not one of auto, cpu"),
        ({"gpus": "0"}, "gpus", "GPUs 0 is neither a number of GPUs nor all"),
        ({"data": "/nowhere"}, "data", "there is no readable file /nowhere: name one, or auto"),
    ],
)
def test_a_problem_names_the_field_by_its_label_and_what_is_right(
    tmp_path: Path, values: dict[str, str], name: str, says: str
) -> None:
    problems, _ = form.read_form(tmp_path, "", {"preset": "nano", **values})
    assert problems[name].startswith(says)
    assert "--" not in problems[name]


def test_the_name_of_a_run_is_checked(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    for name, says in (("a/b", "path separator"), ("taken", "already exists")):
        problems, _ = form.read_form(tmp_path, name, {"preset": "nano"})
        assert says in problems[form.NAME]


def test_data_problem(tmp_path: Path, corpus_file: Path) -> None:
    assert form.data_problem("auto") is form.data_problem(str(corpus_file)) is None
    for fine in (str(tmp_path), f"{tmp_path}, {corpus_file}", "no/*.txt", "hf:some/thing"):
        assert form.data_problem(fine) is None
    for broken in ("~nobody-here/x", "a\0b", "nothing", f"{corpus_file},nothing"):
        assert form.data_problem(broken)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model": "dense", "steps": "300", "minutes": "2.5", "seed": "7"},
        {"minutes": "1"},
        {"steps": "5000", "minutes": "1"},
        {"data": "-text-", "train.sample_prompt": "-- ", "train.compile": "false"},
        {"optim.weight_decay": "0.25", "target_loss": "1.5", "gpt.width": "96"},
    ],
)
def test_the_options_give_the_same_run_on_the_command_line(values: dict[str, str]) -> None:
    config = build({"preset": "baby", **values})
    run = form.new_run("first", {"preset": "baby", **values}, config)
    parsed = vars(make_parser().parse_args(["--train-only", *run.arguments]))
    assert (run.name, run.preset, parsed["name"]) == ("first", "baby", "first")
    given = settings(argparse.Namespace(**parsed))
    assert build(given) == config
    assert len(given) == 1 + len(values)


@pytest.mark.parametrize(
    ("said", "session", "words"),
    [
        ({}, [], []),
        ({}, ["--gpus=2"], []),  # every trainer gets that
        ({"gpus": "all"}, [], ["--gpus", "all"]),
        ({"gpus": "1"}, ["--gpus=2"], ["--gpus", "1"]),
    ],
)
def test_the_number_of_processes_is_an_option_beside_the_configuration(
    said: dict[str, str], session: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_process, "_OPTIONS", session)
    values = {"preset": "nano", **said}
    run = form.new_run("", values, build(form.settings(values)))
    assert run.arguments == ["--preset", "nano", *words]
    assert form.default_texts(values)[form.GPUS] == ("2" if session else "1")


def test_help_tells_option_range_and_default() -> None:
    assert form.help_text("gpt.dropout", "0.0", "nano") == (
        "--gpt.dropout: dropout probability; at least 0, less than 1; nano: 0.0"
    )
    for name in form.FIELDS:
        assert flag(name) in form.help_text(name, "", "nano")
