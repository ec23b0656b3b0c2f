"""The size of a run by what takes it."""

from pathlib import Path

from tinygpt.run.disk import CheckpointSize, disk_use, free_bytes


def test_checkpoints_and_other_files_are_told_apart(tmp_path: Path) -> None:
    sizes = {
        "moe/step-00000013/model.safetensors": 41,
        "dense/step-00000013/model.safetensors": 17,
        "dense/step-00000013/training.safetensors": 29,
        "dense/step-00000007/model.safetensors": 11,
        "dense/.step-00000019.0123abcd.tmp/model.safetensors": 5,
        "control/pause": 0,
        "metrics.jsonl": 101,
        "note.md": 3,
    }
    for name, size in sizes.items():
        file = tmp_path / "run" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
    (tmp_path / "large").write_bytes(b"x" * 9999)
    link = tmp_path / "run" / "link"
    link.symlink_to(tmp_path / "large")
    use = disk_use(tmp_path / "run")
    assert use.checkpoints == (
        CheckpointSize("dense", 7, 11, 0),
        CheckpointSize("dense", 13, 46, 29),
        CheckpointSize("moe", 13, 41, 0),
    )
    others = {**use.others}
    assert others.pop("link") < 1000, "the link itself"
    assert others == {"metrics.jsonl": 101, "dense": 5, "note.md": 3, "control": 0}
    assert use.total == sum(sizes.values()) + use.others["link"]
    assert use.free is not None


def test_a_run_that_is_gone_takes_no_room(tmp_path: Path) -> None:
    use = disk_use(tmp_path / "gone")
    assert (use.total, use.checkpoints, use.others, use.free) == (0, (), {}, None)


def test_free_room_is_that_of_the_folder_to_come(tmp_path: Path) -> None:
    free = free_bytes(tmp_path / "not" / "there" / "yet")
    assert free is not None
    assert free > 0
