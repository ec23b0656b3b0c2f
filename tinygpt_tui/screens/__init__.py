"""What opens over the tabs: questions, the form of a new run, the list of runs; and the start."""
