"""Following runs: a thread that reads, the fold of what it read, and the machine beside it."""
