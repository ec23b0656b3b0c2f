"""Settings: ranges, presets, dotted names, and the way to TOML and back."""

import dataclasses
import re
import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from tinygpt.config import (
    EARLIER,
    OptimConfig,
    RunConfig,
    build,
    dotted_fields,
    flatten,
    from_tables,
    unflatten,
)
from tinygpt.errors import ConfigError
from tinygpt.fields import choices, flag, kind_of
from tinygpt.model_config import TIED_FROM, ModelConfig, MoEConfig
from tinygpt.presets import PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_build_and_survive_toml(preset: str) -> None:
    """Once the recipe and the vocabulary have set what nobody named."""
    recipe = {"optim.weight_decay": 0.7, "optim.weight_decay_power": 1}
    config = build({"preset": preset, **recipe}).with_vocabulary(65)
    text = tomli_w.dumps(unflatten(flatten(config)))
    assert build(from_tables(tomllib.loads(text)), preset_applies=False) == config


def test_what_a_stored_run_lacks_is_what_was_done_before() -> None:
    stored = build({"optim.learning_rate": 0.5}, preset_applies=False)
    assert {name: flatten(stored)[name] for name in EARLIER} == EARLIER
    assert {name: flatten(build({})).get(name) for name in EARLIER} != EARLIER


@pytest.mark.parametrize(
    ("given", "vocabulary", "tied"),
    [
        (None, TIED_FROM - 1, False),
        (None, TIED_FROM, True),
        (True, 65, True),
        (False, 50_257, False),
    ],
)
def test_embeddings_are_tied_where_the_vocabulary_is_large_or_somebody_says_so(
    given: bool | None,  # noqa: FBT001
    vocabulary: int,
    tied: bool,  # noqa: FBT001
) -> None:
    config = build({} if given is None else {"gpt.tie_embeddings": given})
    assert config.gpt.tie_embeddings is given
    for variant in ("dense", "moe"):
        assert config.model_config(variant, vocabulary).tie_embeddings is tied
    written = flatten(config.with_vocabulary(vocabulary))
    assert written["gpt.tie_embeddings"] is tied
    stored = build(written, preset_applies=False)
    assert stored.model_config("moe", vocabulary) == config.model_config("moe", vocabulary)
    before = build({"gpt.layers": 3}, preset_applies=False)
    assert before.model_config("dense", vocabulary).tie_embeddings is False


def test_a_value_named_goes_before_the_preset() -> None:
    config = build({"preset": "micro", "gpt.layers": "3", "optim.learning_rate": "0.5"})
    assert (config.gpt.layers, config.gpt.width, config.optim.learning_rate) == (3, 64, 0.5)


def test_minutes_replace_the_steps_of_the_preset() -> None:
    assert build({"minutes": 2}).steps is None
    assert build({"minutes": 2, "steps": 7}).steps == 7
    assert build({"target_loss": 2}).steps == PRESETS["nano"]["steps"]


def test_dotted_names_are_unique_and_have_help() -> None:
    fields = dict(dotted_fields())
    assert len(fields) == len(list(dotted_fields()))
    assert all(field.metadata["help"] for field in fields.values())
    assert {"steps", "gpt.layers", "moe.top_k", "optim.clip", "train.batch"} <= fields.keys()
    assert flag("moe.top_k") == "--moe.top-k"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"device": "gpu"}, "--device 'gpu' is not one of auto, cpu, cuda, mps, or a GPU such as"),
        ({"device": "cuda:x"}, "; did you mean 'cuda'?"),
        ({"device": "cpu:1"}, "--device 'cpu:1' is not one of"),
        ({"gpt.layers": "0"}, "--gpt.layers 0 is out of range: it must be at least 1"),
        ({"gpt.layers": "2.5"}, "--gpt.layers '2.5' is not a whole number"),
        ({"gpt.layers": 2.0}, "--gpt.layers 2.0 is not a whole number"),
        ({"gpt.layers": True}, "is not a whole number"),
        ({"gpt.dropout": 1}, "must be less than 1"),
        ({"gpt.dropout": "nan"}, "--gpt.dropout 'nan' is not a number"),
        ({"minutes": float("inf")}, "--minutes inf is not a number"),
        ({"minutes": 0}, "must be more than 0"),
        ({"train.compile": "maybe"}, "--train.compile 'maybe' is not true or false"),
        ({"data": 3}, "--data 3 is not text"),
        ({"model": "mo"}, "--model 'mo' is not one of both, dense, moe; did you mean 'moe'?"),
        ({"preset": "nan"}, "did you mean 'nano'?"),
        ({"gpt.layer": 3}, "unknown setting 'gpt.layer'; did you mean 'gpt.layers'?"),
        ({"gpt.width": 130}, "--gpt.width 132"),
        ({"gpt.width": 12, "gpt.heads": 4}, "--gpt.width 16"),
        ({"moe.top_k": 5}, "there are only 4 experts"),
        ({"moe.top_k": 3}, "among --moe.top-k 3 experts: try --gpt.hidden 504"),
        ({"tokenizer": "bbe"}, "--tokenizer 'bbe' is not one of char, bpe, wordpiece, or the"),
        ({"val_share": 0.5, "test_share": 0.45}, "leave less than a tenth of the text"),
        ({"tokenizer": "bbe"}, "did you mean 'bpe'"),
        (
            {"vocab_size": 1024},
            "--vocab-size is for a vocabulary that is trained",
        ),
        (
            {"vocab_size": 1024, "tokenizer": "t.json"},
            "t.json the tokens are those of the file",
        ),
        ({"vocab_size": 511, "tokenizer": "wordpiece"}, "at least 512"),
        ({"vocab_size": 255, "tokenizer": "bpe"}, "at least 256"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        build(values)
    assert "\n" not in str(caught.value)


def test_checks_hold_for_the_dataclasses_themselves() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        ModelConfig(layers=0)
    with pytest.raises(ConfigError, match="less than 1"):
        OptimConfig(momentum=1.0)


def test_dense_and_moe_have_the_same_active_parameters_but_for_the_gates() -> None:
    for moe in (MoEConfig(), MoEConfig(experts=7, top_k=2), MoEConfig(experts=1)):
        dense, sparse = ModelConfig(), ModelConfig(moe=moe)
        gates = sparse.layers * moe.experts * sparse.width
        assert sparse.parameters()[1] - dense.parameters()[1] == gates


_VALUES = {
    int: st.integers(),
    float: st.floats(),
    bool: st.booleans(),
    str: st.text(),
}


@given(st.data())
def test_any_value_is_taken_or_refused_by_our_own_error(data: st.DataObject) -> None:
    name, field = data.draw(st.sampled_from(list(dotted_fields())))
    fitting = st.sampled_from(choices(field)) if choices(field) else _VALUES[kind_of(field)]
    value = data.draw(st.one_of(fitting, st.text(), st.integers(), st.floats(), st.booleans()))
    try:
        config = build({name: value})
    except ConfigError:
        return
    found = flatten(config)[name]
    assert type(found) is kind_of(field)


def test_configurations_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().seed = 3  # type: ignore[misc]


def test_a_setting_is_found_by_its_old_name_too() -> None:
    assert from_tables({"train": {"film": 7}}) == {"train.snapshots": 7}


def test_one_of_several_gpus_is_a_device() -> None:
    assert build({"device": "cuda:11"}).device == "cuda:11"


@pytest.mark.parametrize("top_k", range(1, 12))
@pytest.mark.parametrize("width", [2, 64, 100, 128, 384, 768])
def test_the_suggested_width_of_experts_works(top_k: int, width: int) -> None:
    moe = MoEConfig(experts=12, top_k=top_k)
    try:
        ModelConfig(heads=1, width=width, moe=moe)
    except ConfigError as error:
        hidden = int(str(error).split("try --gpt.hidden ")[1])
        config = ModelConfig(heads=1, width=width, hidden=hidden, moe=moe)
        assert config.expert_hidden * top_k == hidden
        assert hidden < 8 * top_k or config.expert_hidden % 8 == 0
        assert abs(hidden - 4 * width) <= 4 * top_k
