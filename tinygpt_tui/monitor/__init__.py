"""Watching runs: the thread that reads them, their history, overlays, and the machine's load."""
