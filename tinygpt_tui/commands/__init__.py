"""The commands for scripts, which run without the interface."""
