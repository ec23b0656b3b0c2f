"""Exported models in Hugging Face's transformers, which computes what tinygpt does.

Each test loads from an empty cache of modules, so that no earlier export is taken for this one.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import tinygpt
from tests.helpers.checkpoints import TOKENIZER
from tests.helpers.models import TEXT, tiny
from tests.helpers.training import make_session, train_session
from tinygpt.checkpoint import Checkpoint
from tinygpt.data.characters import CharTokenizer
from tinygpt.data.subword import BPETokenizer, WordPieceTokenizer
from tinygpt.data.tokenizer import Tokenizer
from tinygpt.export.huggingface import export_hf
from tinygpt.model_config import MoEConfig

transformers: Any = pytest.importorskip("transformers")

TOLERANCE = 1e-5
SHAPES: dict[str, dict[str, Any]] = {
    "dense": {},
    "moe": {"moe": MoEConfig(experts=5)},
    "top-2": {"moe": MoEConfig(experts=5, top_k=2)},
    "tied": {"tie_embeddings": True},
    "no-convolution": {"conv_size": 1},
    "other-base": {"rope_base": 321.0},
}
KINDS: dict[str, Tokenizer] = {
    "char": CharTokenizer.train(TEXT),
    "char-documents": CharTokenizer.train(TEXT).with_end_of_text(),
    "bpe": BPETokenizer.train([TEXT], 311).with_end_of_text(),
    "wordpiece": WordPieceTokenizer.train([TEXT], 613),
}


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = str(tmp_path / "modules")
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", modules)
    monkeypatch.setattr(sys, "path", [modules, *sys.path])
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        monkeypatch.delitem(sys.modules, name)


def exported(folder: Path, tokenizer: Tokenizer = TOKENIZER, **changes: Any) -> tuple[Any, Any]:
    """A tiny model with random weights and biases of its routers, and it as transformers has it."""
    model = tiny(vocab_size=tokenizer.vocab_size, seed=3, **changes).eval()
    for block in model.blocks:
        if model.config.moe:
            with torch.no_grad():
                block.feed.router.bias.normal_(std=0.1)  # type: ignore[union-attr, operator]
    variant = "moe" if model.config.moe else "dense"
    path = folder / "run" / variant / "step-00000007"
    export_hf(Checkpoint(model, tokenizer, variant, 7, 1.5, path), folder / "hf")
    return model, loaded(folder / "hf")


def loaded(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()


def some_ids(count: int, size: int = 13) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(size, (2, count), generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_logits_are_the_same(tmp_path: Path, shape: str) -> None:
    model, other = exported(tmp_path, **SHAPES[shape])
    ids = some_ids(11)
    with torch.no_grad():
        expected = model(ids)
        assert (other(ids).logits - expected).abs().max() < TOLERANCE
        seen = other(ids, output_attentions=True)
    assert (seen.logits - expected).abs().max() < TOLERANCE
    found = torch.stack(seen.attentions, 1)
    expected = torch.stack([tinygpt.inspect_tokens(model, row.tolist()).attention for row in ids])
    assert (found - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cached", [True, False])
def test_greedy_text_is_the_same_beyond_the_context(
    tmp_path: Path, shape: str, *, cached: bool
) -> None:
    model, other = exported(tmp_path, **SHAPES[shape])
    params = tinygpt.SamplingParams(greedy=True, max_new_tokens=37)
    events = tinygpt.stream(model, TOKENIZER, "abcdef", params)
    ids = torch.tensor([TOKENIZER.encode("abcdef")])
    found = other.generate(ids, do_sample=False, max_new_tokens=37, use_cache=cached)
    assert found[0, 6:].tolist() == [event.id for event in events]


def test_a_cache_gives_the_logits_of_a_whole_pass(tmp_path: Path) -> None:
    _, other = exported(tmp_path, **SHAPES["moe"])
    ids = some_ids(23)  # more than the context, of which a window slides
    with torch.no_grad():
        whole, cache, parts = other(ids).logits, None, []
        for start, end in ((0, 2), (2, 3), (3, 9), (9, 23)):
            before = ids[:, :start]
            result = other(ids[:, start:end], past_key_values=cache, previous_ids=before)
            cache = result.past_key_values
            parts.append(result.logits)
    assert (torch.cat(parts, 1) - whole).abs().max() < TOLERANCE
    with pytest.raises(ValueError, match="pass the 3 tokens before input_ids as previous_ids"):
        other(ids[:, :1], past_key_values=cache)


def test_texts_of_a_batch_are_padded_on_the_left(tmp_path: Path) -> None:
    tokenizer = KINDS["char-documents"]
    _, other = exported(tmp_path, tokenizer, **SHAPES["moe"])
    reader = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf", trust_remote_code=True)
    texts = ["ROMEO:\nBut", "Juliet"]
    batch = reader(texts, return_tensors="pt", padding=True)
    together = other.generate(**batch, do_sample=False, max_new_tokens=17, eos_token_id=None)
    for text, row in zip(texts, together, strict=True):
        ids = reader(text, return_tensors="pt").input_ids
        alone = other.generate(ids, do_sample=False, max_new_tokens=17, eos_token_id=None)
        assert row[-17:].tolist() == alone[0, -17:].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_tokenizers_keep_every_text(tmp_path: Path, kind: str) -> None:
    tokenizer = KINDS[kind]
    exported(tmp_path, tokenizer)
    reader = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf", trust_remote_code=True)
    for text in (TEXT[:307], "  two  spaces,\nand 'tis . !"):
        known = [c for c in text if kind in ("bpe", "wordpiece") or c in TEXT]
        ids = reader("".join(known)).input_ids
        assert ids == tokenizer.encode("".join(known))
        assert reader.decode(ids) == "".join(known)
    assert reader.eos_token_id == tokenizer.end_of_text


def test_the_pipeline_continues_a_text(tmp_path: Path) -> None:
    session = make_session(tmp_path)
    train_session(session)
    checkpoint = tinygpt.load(session.path)
    export_hf(checkpoint, tmp_path / "hf")
    pipe = transformers.pipeline(
        "text-generation", model=str(tmp_path / "hf"), trust_remote_code=True
    )
    (found,) = pipe("ROMEO", do_sample=False, max_new_tokens=19, return_full_text=False)
    params = tinygpt.SamplingParams(greedy=True, max_new_tokens=19)
    wanted = tinygpt.generate(checkpoint.model, checkpoint.tokenizer, "ROMEO", params)
    assert found["generated_text"] == wanted


@pytest.mark.parametrize("shape", ["dense", "moe", "tied"])
def test_it_can_be_trained_and_saved_there(tmp_path: Path, shape: str) -> None:
    _, other = exported(tmp_path, **SHAPES[shape])
    ids = some_ids(11)
    other.train()
    loss = other(ids, labels=ids).loss
    loss.backward()
    assert all(p.grad is not None for p in other.parameters())
    by_hand = torch.nn.functional.cross_entropy(
        other(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
    )
    assert loss.item() == pytest.approx(by_hand.item(), abs=TOLERANCE)
    other.eval().save_pretrained(tmp_path / "saved")
    with torch.no_grad():
        assert torch.equal(loaded(tmp_path / "saved")(ids).logits, other(ids).logits)


def test_a_new_model_of_the_configuration_is_random(tmp_path: Path) -> None:
    exported(tmp_path, **SHAPES["moe"])
    config = transformers.AutoConfig.from_pretrained(tmp_path / "hf", trust_remote_code=True)
    fresh = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=True)
    for name, parameter in fresh.named_parameters():
        assert bool(parameter.isfinite().all()), name
        assert "norm" in name or parameter.std().item() > 0.01, name


def test_it_loads_where_there_is_no_tinygpt(tmp_path: Path) -> None:
    exported(tmp_path, **SHAPES["moe"])
    script = (
        "import sys; sys.modules['tinygpt'] = None\n"
        "from transformers import AutoModelForCausalLM\n"
        "model = AutoModelForCausalLM.from_pretrained('hf', trust_remote_code=True)\n"
        "import torch; print(tuple(model(torch.tensor([[1, 2, 3]])).logits.shape))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.strip() == "(1, 3, 13)", done.stderr
