"""The files of a model for transformers. That it computes the same is in tests/extras."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.helpers.checkpoints import TOKENIZER
from tests.helpers.models import tiny
from tinygpt.checkpoint import Checkpoint
from tinygpt.errors import ConfigError
from tinygpt.export.huggingface import CODE, FILES, export_hf
from tinygpt.model_config import MoEConfig


def checkpoint(folder: Path, **changes: Any) -> Checkpoint:
    model = tiny(**changes)
    variant = "moe" if model.config.moe else "dense"
    return Checkpoint(model, TOKENIZER, variant, 7, 1.5, folder / "run" / variant / "step-00000007")


def test_the_files_of_an_export(tmp_path: Path) -> None:
    target = export_hf(checkpoint(tmp_path), tmp_path / "out")
    assert {path.name for path in target.iterdir()} == FILES
    export_hf(checkpoint(tmp_path), tmp_path / "out")
    assert {path.name for path in target.iterdir()} == FILES


def test_the_configuration_has_the_shape(tmp_path: Path) -> None:
    moe = MoEConfig(experts=5, top_k=2)
    target = export_hf(checkpoint(tmp_path, moe=moe, conv_size=3), tmp_path / "out")
    config = json.loads((target / "config.json").read_text())
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    assert [config[name] for name in names] == [13, 12, 3, 2]
    names = ("intermediate_size", "max_position_embeddings", "conv_size", "num_experts")
    assert [config[name] for name in names] == [17, 11, 3, 5]
    assert config["num_experts_per_tok"] == 2
    assert config["tie_word_embeddings"] is False


@pytest.mark.parametrize("moe", [None, MoEConfig(experts=5)], ids=["dense", "moe"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_weights_are_all_there(tmp_path: Path, moe: MoEConfig | None, *, tied: bool) -> None:
    exported = checkpoint(tmp_path, moe=moe, tie_embeddings=tied)
    target = export_hf(exported, tmp_path / "out")
    found = safetensors.torch.load_file(target / "model.safetensors")
    state = exported.model.state_dict()
    assert sum(t.numel() for t in found.values()) == sum(t.numel() for t in state.values())
    assert ("head.weight" in found) is not tied
    matrix = found["blocks.1.attention.query_key.weight"]
    assert torch.equal(matrix, torch.cat([*state["blocks.1.attention.query_key"]]))
    up = "blocks.2.feed.up" if moe else "blocks.2.feed.up.weight"
    assert torch.equal(found[up], state["blocks.2.feed.up"])
    assert all(t.dtype == torch.float32 for t in found.values())


def test_its_code_needs_nothing_of_ours(tmp_path: Path) -> None:
    target = export_hf(checkpoint(tmp_path), tmp_path / "out")
    for name in CODE:
        for node in ast.walk(ast.parse((target / name).read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = ["." * node.level + (node.module or "")]
            for module in modules:
                first = module.split(".")[0] or module
                assert first in (
                    *("__future__", "math", "typing", "torch", "transformers"),
                    ".configuration_tinygpt",
                )


def test_the_model_of_another_is_safe(tmp_path: Path) -> None:
    other = tmp_path / "llama"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "llama"}')
    (other / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="has files that are not an export's"):
        export_hf(checkpoint(tmp_path), other)
    assert (other / "model.safetensors").read_bytes() == b"mine"
