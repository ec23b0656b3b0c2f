"""The files that are written are those of the library safetensors, bit for bit."""

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinygpt import tensor_file

KINDS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
        st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 5), max_size=3)),
        max_size=7,
    )
)
def test_as_the_library_writes_it(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: dict[str, tuple[torch.dtype, list[int]]],
) -> None:
    tensors = {name: torch.randn(shape).to(kind) for name, (kind, shape) in shapes.items()}
    path = tmp_path_factory.mktemp("file") / "tensors"
    expected = safetensors.torch.save(tensors)
    found = tensor_file.write(path, tensors)
    assert path.read_bytes() == expected
    assert found == {"bytes": len(expected), "sha256": hashlib.sha256(expected).hexdigest()}


def test_of_a_view_its_own_numbers_are_written(tmp_path: Path) -> None:
    whole = torch.randn(5, 7, requires_grad=True)
    tensor_file.write(tmp_path / "file", {"a": whole.T[2:4]})
    found = safetensors.torch.load_file(tmp_path / "file")
    assert torch.equal(found["a"], whole.T[2:4])


def test_a_file_that_exists_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    with pytest.raises(FileExistsError):
        tensor_file.write(tmp_path / "file", {})
    assert (tmp_path / "file").read_bytes() == b"here"
