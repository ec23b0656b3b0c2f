"""Screens on top of the tabs: questions, the form for a new run, all runs, help; and the start
screen."""
