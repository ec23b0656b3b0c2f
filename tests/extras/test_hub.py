"""Datasets of Hugging Face, from this disk."""

import random
from pathlib import Path

import datasets  # type: ignore[import-untyped,unused-ignore]
import pytest

from tinygpt.data.corpus import Corpus, find_corpus
from tinygpt.data.excerpts import TextSource, random_line, validation_sample
from tinygpt.errors import CorpusError

TEXTS = ["one story.\n", "", "two 日本語", "three é"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the package keeps goes elsewhere; it does not ask the network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def rows() -> datasets.Dataset:
    """A dataset of stories."""
    return datasets.Dataset.from_dict({"text": TEXTS, "id": [1, 2, 3, 4]})


def check(corpus: Corpus) -> None:
    assert [*corpus.chunks()] == [(text, True) for text in TEXTS if text]
    assert corpus.facts.documents == 3
    assert corpus.text == "".join(TEXTS)


def test_rows_are_documents(tmp_path: Path) -> None:
    rows().save_to_disk(tmp_path / "stories")
    data = f"hf:{tmp_path / 'stories'}"
    corpus = find_corpus(data)
    check(corpus)
    assert (corpus.name, corpus.path) == ("stories", data)
    assert corpus.source == f"3 documents in {data}"
    assert random_line(TextSource(data), random.Random(3)) in "".join(TEXTS)
    assert validation_sample(TextSource(data)) == ("stories", "e é")


def test_the_training_split_is_meant(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": rows(), "test": rows().select([0])})
    both.save_to_disk(tmp_path / "both")
    check(find_corpus(f"hf:{tmp_path / 'both'}"))


def test_files_of_data_are_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    rows().to_parquet(tmp_path / "files" / "train.parquet")
    check(find_corpus(f"hf:{tmp_path / 'files'}"))


def test_what_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    rows().save_to_disk(tmp_path / "stories")
    data = f"hf:{tmp_path / 'stories'}"
    with pytest.raises(CorpusError) as error:
        find_corpus(data, "body")
    assert str(error.value) == (
        f"--data {data} has no column 'body': name one of text, id with --data-field"
    )
    with pytest.raises(CorpusError, match=r"the column 'id' has a row that is no text: name anoth"):
        find_corpus(data, "id")
    with pytest.raises(
        CorpusError, match=r"--data hf:no/where cannot be loaded \(.*\): name a dat"
    ):
        find_corpus("hf:no/where")
