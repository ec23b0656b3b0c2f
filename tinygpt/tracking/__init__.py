"""Experiment trackers: TensorBoard, Weights & Biases, Trackio.

Each follows a run directory from a process of its own, as any viewer does. So nothing that a
tracker does can delay a training or end it, and the same code sends a run that has ended.
"""
