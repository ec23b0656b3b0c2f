"""Widgets used by more than one tab."""
