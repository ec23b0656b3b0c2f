"""Which preset suits a device."""

from tinygpt.presets import preset_for


def test_a_gpu_trains_a_larger_preset() -> None:
    assert [preset_for(device) for device in ("cpu", "cuda", "mps")] == ["nano", "baby", "nano"]
