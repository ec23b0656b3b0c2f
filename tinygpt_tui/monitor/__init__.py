"""Watching runs: the thread that reads them, the history they add up to, the machine's load."""
