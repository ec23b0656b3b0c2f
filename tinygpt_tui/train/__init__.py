"""The Train tab: both models' curves, their numbers, and the control of the run."""
