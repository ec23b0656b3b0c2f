"""The commands that need no interface, for scripts: one module each."""
