"""A checkpoint as a folder that Hugging Face's transformers loads, without tinygpt.

It holds the weights, the tokenizer, a model card, and the two Python files with which transformers
computes the model: `AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from tinygpt.checkpoint import Checkpoint
from tinygpt.export.folder import export_folder
from tinygpt.export.model_card import model_card
from tinygpt.export.tokenizer_json import tokenizer_config, tokenizer_json
from tinygpt.files import safe_open
from tinygpt.model_config import ModelConfig
from tinygpt.run.layout import StrPath

CONFIG = "config.json"
CODE = ("configuration_tinygpt.py", "modeling_tinygpt.py")
FILES = frozenset(
    (
        *(CONFIG, "generation_config.json", "model.safetensors", "README.md"),
        *("tokenizer.json", "tokenizer_config.json", *CODE),
    )
)


def export_hf(checkpoint: Checkpoint, target: StrPath) -> Path:
    """Write a model to the new folder `target`; returns its path. Weights are in fp32.

    An earlier export there is replaced.

    Raises:
        ConfigError: `target` holds something else, or cannot be written.
    """
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    contents: dict[str, Mapping[str, Any]] = {
        CONFIG: model_configuration(model.config),
        "generation_config.json": _generation(tokenizer.end_of_text),
        "tokenizer.json": tokenizer_json(tokenizer),
        "tokenizer_config.json": tokenizer_config(tokenizer, model.config.context),
    }
    with export_folder(target, FILES, is_export) as (folder, final):
        for name, content in contents.items():
            (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="ascii")
        tensors = weights(model.state_dict())
        # transformers looks for this entry, which our own checkpoints lack.
        data = safetensors.torch.save(tensors, metadata={"format": "pt"})
        (folder / "model.safetensors").write_bytes(data)
        for name in CODE:
            code = Path(__file__).with_name(name).read_text(encoding="utf-8")
            (folder / name).write_text(code, encoding="utf-8")
        card = model_card(checkpoint, final.name)
        (folder / "README.md").write_text(card, encoding="utf-8", errors="backslashreplace")
    return final


def is_export(folder: Path) -> bool:
    """Whether a folder with the files of an export is one, by its config.json."""
    try:
        config = json.loads(safe_open.read_text(folder / CONFIG))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "tinygpt"


def model_configuration(config: ModelConfig) -> dict[str, Any]:
    """The content of config.json: the fields of `configuration_tinygpt.TinyGPTConfig`."""
    moe = config.moe
    return {
        "architectures": ["TinyGPTForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_tinygpt.TinyGPTConfig",
            "AutoModelForCausalLM": "modeling_tinygpt.TinyGPTForCausalLM",
        },
        "model_type": "tinygpt",
        "dtype": "float32",
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.expert_hidden,
        "max_position_embeddings": config.context,
        "conv_size": config.conv_size,
        "rotary_base": config.rope_base,
        "dropout": config.dropout,
        "num_experts": moe.experts if moe else 0,
        "num_experts_per_tok": moe.top_k if moe else 1,
        "tie_word_embeddings": config.tied,
    }


def weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the names of `modeling_tinygpt`, whose matrices are linear layers."""
    named: dict[str, Tensor] = {}
    for name, tensor in state.items():
        leaf = name.rpartition(".")[2]
        if leaf == "query_key":
            tensor = tensor.flatten(0, 1)  # noqa: PLW2901 - one matrix for both
        is_matrix = leaf in ("query_key", "value", "out", "head", "up", "down") and tensor.ndim == 2
        named[f"{name}.weight" if is_matrix else name] = tensor.detach().float().cpu().contiguous()
    return named


def _generation(end_of_text: int | None) -> dict[str, Any]:
    if end_of_text is None:
        return {"use_cache": True}
    return {"use_cache": True, "eos_token_id": end_of_text, "pad_token_id": end_of_text}
