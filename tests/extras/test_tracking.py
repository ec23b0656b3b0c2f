"""Real trackers, offline: a run is trained, resumed and sent, and read back from their own files.

Needs the extras tensorboard, trackio and wandb.
"""

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import tinygpt
from tests.helpers.trainer import SHAPE, command, environment
from tests.helpers.waiting import PATIENCE
from tinygpt.run import read_config
from tinygpt.tracking.state import LOG, read_tracking

STEPS, MORE = 23, 41
TRAINING = ("--data", "corpus.txt", *SHAPE, "--name", "nano", "--steps", str(STEPS))
NAMES = ("dense", "moe")
BLOCK, HEADER = 1 << 15, struct.Struct("<IHB")
"""Of a file of wandb."""


def tracker_environment(home: Path) -> dict[str, str]:
    """Nobody is logged in, and what trackers keep for the user goes to `home`."""
    others = {k: v for k, v in environment().items() if not k.startswith(("WANDB_", "TRACKIO_"))}
    return {
        **others,
        "HOME": str(home),
        "TRACKIO_DIR": str(home / "trackio"),
        "HF_HUB_OFFLINE": "1",
        "WANDB_ERROR_REPORTING": "false",
    }


def run_command(folder: Path, *arguments: str, headless: bool = True) -> str:
    """Run it in `folder`; returns what it said."""
    words = command(*arguments)
    done = subprocess.run(
        words if headless else [word for word in words if word != "--train-only"],
        cwd=folder,
        env=tracker_environment(folder / "home"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "stopped:" not in done.stderr, done.stderr + _logs(folder)
    return done.stderr


def _logs(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.rglob(LOG))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in whose run two sessions were tracked live by all trackers, the first by a
    training, the second by its resume, which does not name them."""
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "home").mkdir()
    (folder / "corpus.txt").write_text("ROMEO: a <b> *c* & d.\n\n" * 53)
    said = run_command(folder, *TRAINING, "--track", "tensorboard,trackio,wandb", "--track-model")
    assert "tensorboard: tensorboard --logdir runs/nano/tensorboard" in said
    assert "trackio: trackio show --project tinygpt-tui" in said
    assert "wandb: nano/moe is offline, to be sent with: wandb sync" in said
    run_command(folder, "--resume", "--name", "nano", "--out", "runs", "--steps", str(MORE))
    return folder


def scalars(folder: Path) -> Mapping[str, Mapping[str, list[tuple[int, float]]]]:
    """What TensorBoard shows of a folder: steps and values by tag, by run."""
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    found = EventMultiplexer(size_guidance={"scalars": 0, "tensors": 0})
    found.AddRunsFromDirectory(str(folder)).Reload()
    return {
        run: {
            tag: [(event.step, event.value) for event in found.Scalars(run, tag)]
            for tag in tags["scalars"]
        }
        for run, tags in found.Runs().items()
    }


def test_tensorboard_shows_two_runs_with_the_same_tags(tracked: Path) -> None:
    found = scalars(tracked / "runs" / "nano" / "tensorboard")
    assert sorted(found) == ["dense", "moe"]
    for name in NAMES:
        assert [step for step, _ in found[name]["train/loss"]] == list(range(1, MORE + 1))
        assert [step for step, _ in found[name]["val/loss"]] == [20, STEPS, 40, MORE]
        assert {"val/perplexity", "val/bits_per_byte", "train/learning_rate"} <= found[name].keys()
    alone = found["moe"].keys() - found["dense"].keys()
    assert {"experts/load_entropy", "expert_load/layer_0/expert_3"} <= alone
    assert found["dense"].keys() <= found["moe"].keys()
    shares = [found["moe"][f"expert_load/layer_0/expert_{n}"][-1][1] for n in range(4)]
    assert sum(shares) == pytest.approx(1)


def test_tensorboard_shows_samples_settings_and_results(tracked: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tracked / "runs" / "nano"
    found = EventAccumulator(str(run / "tensorboard" / "dense"), {"tensors": 0}).Reload()
    tags = {"sample", "run.toml", "result"}
    assert tags <= set(found.Tags()["tensors"])
    assert found.summary_metadata["sample"].plugin_data.plugin_name == "text"
    samples = found.Tensors("sample")
    assert [event.step for event in samples] == [20, STEPS, 40, MORE]
    (toml,) = found.Tensors("run.toml")[0].tensor_proto.string_val
    plain = "\n".join(line[4:] for line in toml.decode().splitlines())
    assert plain.splitlines() == (run / "run.toml").read_text().splitlines()
    (results,) = found.Tensors("result")[-1].tensor_proto.string_val
    assert f"best_checkpoint: {run}/dense/step-000000" in results.decode()


def test_tensorboard_forgets_what_was_sent_and_not_noted(tracked: Path, tmp_path: Path) -> None:
    """The process of a tracker was killed right after it had sent steps that it did not note."""
    from tinygpt.tracking.follow import open_tracker
    from tinygpt.tracking.protocol import Row, TrackedRun

    run = tracked / "runs" / "nano"
    for sent, steps in ((-1, range(1, 8)), (4, range(5, 12))):
        where = TrackedRun(
            path=run,
            folder=tmp_path,
            variant="moe",
            group="g",
            id="0",
            sent=sent,
            live=True,
            config={},
        )
        tracker = open_tracker("tensorboard", where)
        for step in steps:
            tracker.log(Row(step=step, time=float(step), scalars={"train/loss": 2.0}))
        tracker.finish({}, None, failed=False)
    assert [step for step, _ in scalars(tmp_path)["moe"]["train/loss"]] == list(range(1, 12))


def wandb_records(folder: Path) -> list[Any]:
    """The records in the file of an offline run, which is a log of LevelDB after seven bytes: each
    has a checksum, a length and whether it is continued (1: whole, 4: the last part)."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("run-*.wandb")
    data, offset, records, parts = file.read_bytes(), 7, [], b""
    while offset < len(data):
        if (left := BLOCK - offset % BLOCK) < HEADER.size:
            offset += left
            continue
        _, length, kind = HEADER.unpack_from(data, offset)
        offset += HEADER.size
        parts += data[offset : offset + length]
        offset += length
        if kind in (1, 4):
            records.append(Record.FromString(parts))
            parts = b""
    return records


def history(records: list[Any]) -> dict[int, dict[str, str]]:
    """The rows of an offline run by step, values as JSON."""
    rows = {}
    for record in records:
        if record.WhichOneof("record_type") == "history":
            items = {
                item.key or "/".join(item.nested_key): item.value_json
                for item in record.history.item
            }
            step = int(items["_step"])
            assert step not in rows
            rows[step] = items
    return rows


def test_wandb_has_one_run_per_variant_in_two_offline_sessions(tracked: Path) -> None:
    run = tracked / "runs" / "nano"
    ids = read_tracking(run / "wandb").ids
    assert ids.keys() == {"dense", "moe"}
    for name in NAMES:
        first, second = (
            wandb_records(folder)
            for folder in sorted((run / "wandb").glob(f"offline-run-*-{ids[name]}"))
        )
        about = next(r.run for r in first if r.WhichOneof("record_type") == "run")
        assert (about.run_id, about.display_name) == (ids[name], f"nano/{name}")
        assert (about.run_group, about.job_type) == ("nano", name)
        config = {item.key: item.value_json for item in about.config.update}
        assert config["seed"] == str(read_config(run)["seed"])
        rows = history(first)
        assert sorted(rows) == list(range(1, STEPS + 1))
        assert sorted(history(second)) == list(range(STEPS + 1, MORE + 1))
        assert "val/loss" in rows[20]
        assert rows[20]["sample/_type"] == '"html-file"'
        summary = {
            item.key: item.value_json
            for record in second
            if record.WhichOneof("record_type") == "summary"
            for item in record.summary.update
        }
        assert summary["best_checkpoint"].startswith(f'"{run}/{name}/step-000000')
        exits = [r.exit.exit_code for r in first if r.WhichOneof("record_type") == "exit"]
        assert exits == [0]


def test_wandb_gets_a_model_that_can_be_loaded(tracked: Path, tmp_path: Path) -> None:
    run = tracked / "runs" / "nano"
    id = read_tracking(run / "wandb").ids["moe"]
    folder = min((run / "wandb").glob(f"offline-run-*-{id}"))
    (artifact,) = (
        record.artifact
        for record in wandb_records(folder)
        if record.WhichOneof("record_type") == "artifact"
    )
    assert "best" in artifact.aliases
    for file in artifact.manifest.contents:
        copy = tmp_path / "model" / file.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(Path(file.local_path).read_bytes())
    model = tinygpt.load(tmp_path / "model")
    assert (model.variant, model.step) == ("moe", 20)


def test_trackio_has_two_runs_of_a_group(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import json\n"
        "from trackio.sqlite_storage import SQLiteStorage as storage\n"
        "found = {}\n"
        "for run in storage.get_run_records('tinygpt-tui'):\n"
        "    logs = storage.get_logs('tinygpt-tui', run['name'], run_id=run['id'])\n"
        "    config = storage.get_run_config('tinygpt-tui', run['name'], run_id=run['id'])\n"
        "    found[run['name']] = {'logs': logs, 'config': config}\n"
        "print(json.dumps(found, default=str))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=tracker_environment(tracked / "home"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    found = json.loads(done.stdout)
    ids = read_tracking(tracked / "runs" / "nano" / "trackio").ids
    assert sorted(found) == sorted(f"nano-{name}-{ids[name][:6]}" for name in NAMES)
    for run in found.values():
        steps = [log["step"] for log in run["logs"] if "train/loss" in log]
        assert steps == list(range(1, MORE + 1))
        assert run["config"]["_Group"] == "nano"
        (sampled,) = (log["sample"] for log in run["logs"] if log["step"] == 20)
        assert sampled["_value"][0]["step"] == 20
    blobs = tracked / "home" / "trackio" / "artifacts" / "tinygpt-tui" / "blobs" / "sha256"
    weights = (tracked / "runs" / "nano").glob("*/*/model.safetensors")
    sent = {file.name for file in blobs.glob("*/*")}
    assert sum(hashlib.sha256(file.read_bytes()).hexdigest() in sent for file in weights) >= 2


def test_a_run_that_was_not_tracked_is_sent_afterwards(tracked: Path, tmp_path: Path) -> None:
    """To all at once; the second time there is nothing to send."""
    (tmp_path / "home").mkdir()
    (tmp_path / "corpus.txt").write_text((tracked / "corpus.txt").read_text())
    run_command(tmp_path, *TRAINING)
    words = ("nano", "--out", "runs", "--track-to", "tensorboard,trackio,wandb")
    said = run_command(tmp_path, *words, headless=False)
    for name in ("tensorboard", "trackio", "wandb"):
        assert f"{name}: {2 * STEPS} rows sent" in said
    shown = scalars(tmp_path / "runs" / "nano" / "tensorboard")
    live = scalars(tracked / "runs" / "nano" / "tensorboard")
    for name in NAMES:
        assert shown[name]["train/loss"] == live[name]["train/loss"][:STEPS]
    said = run_command(tmp_path, *words, headless=False)
    assert said.count("it had all of this run's steps already") == 3
